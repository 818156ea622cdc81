import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from litehrnet.data.coco import photo_number, read_photo_list
from litehrnet.data.settings import AugmentationConfig, DataConfig
from litehrnet.data.trainingset import read_training_set
from litehrnet.errors import UserError
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.skeletons import COCO

Save = Callable[[dict[str, Any]], DataConfig]


def _write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def _persons(config: DataConfig) -> list[int]:
    training_set = read_training_set([config], COCO, (64, 96), HeatmapCodec(), AugmentationConfig(), 0)
    return [record.image_id for record in training_set.records]


def test_only_and_without_part_the_photos(drawn_coco: DataConfig, tmp_path: Path) -> None:
    listed = _write(tmp_path / "list.txt", "# held out\n2  # the second\n\n77\n")
    assert read_photo_list(Path(listed)) == {2, 77}
    assert _persons(replace(drawn_coco, only=listed)) == [2]
    assert _persons(replace(drawn_coco, without=listed)) == [1, 3]


def test_all_crops_of_a_photo_go_the_same_way(coco_content: dict[str, Any], save_coco: Save, tmp_path: Path) -> None:
    for image, photo in zip(coco_content["images"], (900, 2, 900), strict=True):
        image["coco_image_id"] = photo
    config, listed = save_coco(coco_content), _write(tmp_path / "list.txt", "900\n3\n")
    assert _persons(replace(config, only=listed)) == [1, 3]
    assert _persons(replace(config, without=listed)) == [2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\ntwo\n", r"list\.txt, line 2: not a number of a photo"),
        ("-1", r"list\.txt, line 1: not a number of a photo"),
        ("# nothing\n", r"list\.txt: has no numbers of photos"),
        ("77\n", r"list\.txt: none of its photos is in .*annotations\.json"),
    ],
)
def test_broken_lists_are_one_sentence(drawn_coco: DataConfig, tmp_path: Path, text: str, message: str) -> None:
    listed = _write(tmp_path / "list.txt", text)
    with pytest.raises(UserError, match=message):
        _persons(replace(drawn_coco, without=listed))


def test_missing_lists_and_lists_for_mpii_are_one_sentence(drawn_coco: DataConfig, drawn_mpii: DataConfig) -> None:
    with pytest.raises(UserError, match=r"nowhere\.txt: no such file"):
        _persons(replace(drawn_coco, only="nowhere.txt"))
    with pytest.raises(UserError, match=r"mpii\.json: MPII's photos have no numbers"):
        _persons(replace(drawn_mpii, only="nowhere.txt"))


HELD_OUT = "configs/own/heldout_coco_image_ids.txt"


def _is_held_out(number: int) -> bool:
    return int(hashlib.sha256(str(number).encode()).hexdigest()[:8], 16) % 20 == 0


def test_the_held_out_list_follows_its_rule(project: Path) -> None:
    numbers = read_photo_list(project / HELD_OUT)
    assert len(numbers) == 100
    assert all(map(_is_held_out, numbers))


def test_the_held_out_list_is_complete(project: Path, shared: Path) -> None:
    images = json.loads((shared / "data/coco_train_crops/annotations.json").read_text())["images"]
    assert read_photo_list(project / HELD_OUT) == {n for n in map(photo_number, images) if _is_held_out(n)}


def test_held_out_photos_are_none_of_the_photos_that_are_tested_on(project: Path, shared: Path) -> None:
    images = json.loads((shared / "data/coco_dev/annotations.json").read_text())["images"]
    assert not read_photo_list(project / HELD_OUT) & set(map(photo_number, images))
