import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.figure import draw_figure

from litehrnet import read_image, write_image
from litehrnet.data.checks import check_coco, check_photo
from litehrnet.data.packing import ANNOTATIONS, PackSource, pack
from litehrnet.data.photos import PhotoCache
from litehrnet.data.records import read_json
from litehrnet.data.samples import Batch, make_batch
from litehrnet.data.settings import AugmentationConfig, DataConfig
from litehrnet.data.trainingset import TrainingSet, read_training_set
from litehrnet.errors import UserError
from litehrnet.io.archives import read_data_file
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.skeletons import COCO


def _source(config: DataConfig, longer_side: int | None = None) -> PackSource:
    files = Path(config.annotations), Path(config.images)
    return PackSource("set", *files, config.only, config.without, (64, 96), longer_side)


def _packed(folder: Path) -> DataConfig:
    return DataConfig("coco", str(folder / "set" / ANNOTATIONS), str(folder / "set"))


def _read(config: DataConfig, **settings: Any) -> TrainingSet:
    return read_training_set([config], COCO, (64, 96), HeatmapCodec(), AugmentationConfig(**settings), 3)


def _samples(config: DataConfig) -> Batch:
    training_set = _read(config)
    return make_batch(training_set, 1, range(len(training_set)), PhotoCache())


def _assert_equal_samples(a: Batch, b: Batch) -> None:
    for name in ("images", "targets", "weights", "indices"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_samples_of_whole_photos_are_the_same_bit_for_bit(drawn_coco: DataConfig, tmp_path: Path) -> None:
    pack(_source(drawn_coco), tmp_path)
    _assert_equal_samples(_samples(_packed(tmp_path)), _samples(drawn_coco))


def test_pictures_of_one_person_that_are_small_enough_stay_as_they_are(drawn_coco: DataConfig, tmp_path: Path) -> None:
    pack(_source(drawn_coco, longer_side=160), tmp_path)
    _assert_equal_samples(_samples(_packed(tmp_path)), _samples(drawn_coco))


def test_photos_of_phones_are_checked_packed_and_trained_on(drawn_coco: DataConfig, tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    photos = sorted(Path(drawn_coco.images).iterdir())
    for photo in photos:
        pixels = read_image(photo)
        pillow_heif.from_bytes("RGB", pixels.shape[1::-1], pixels.tobytes()).save(photo, quality=90, format="HEIF")
    report = check_coco(Path(drawn_coco.annotations), Path(drawn_coco.images), 17)
    assert [problem for use in report.photos for problem in check_photo(use)] == []
    pack(_source(drawn_coco), tmp_path)
    _assert_equal_samples(_samples(_packed(tmp_path)), _samples(drawn_coco))


def test_lists_of_photos_are_heeded(drawn_coco: DataConfig, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("2\n")
    some = replace(drawn_coco, without=str(tmp_path / "list.txt"))
    assert pack(_source(some), tmp_path).persons == 2
    _assert_equal_samples(_samples(_packed(tmp_path)), _samples(some))


def test_files_are_full_and_no_larger_than_allowed(drawn_coco: DataConfig, tmp_path: Path) -> None:
    largest = max(path.stat().st_size for path in Path(drawn_coco.images).iterdir())
    packed = pack(_source(drawn_coco), tmp_path, shard_bytes=2 * largest + 300)
    names = sorted(path.name for path in (tmp_path / "set").iterdir())
    assert names == ["000.zip", "001.zip", "annotations.zip"]
    assert (packed.photos, packed.persons) == (3, 3)
    assert list(packed.sizes) == [(tmp_path / "set" / name).stat().st_size for name in names]
    assert max(packed.sizes) <= 2 * largest + 300
    assert len(_read(_packed(tmp_path))) == 3


def test_a_limit_is_kept_to_the_byte(drawn_coco: DataConfig, tmp_path: Path) -> None:
    for folder in ("exact", "less"):
        (tmp_path / folder).mkdir()
    *_, annotations = sizes = pack(_source(drawn_coco), tmp_path).sizes
    assert len(sizes) == 2
    limit = max(sizes)
    assert sizes[0] > annotations
    assert pack(_source(drawn_coco), tmp_path / "exact", shard_bytes=limit).sizes == sizes
    assert len(pack(_source(drawn_coco), tmp_path / "less", shard_bytes=limit - 1).sizes) == 3


def test_a_photo_that_is_too_large_alone_is_one_sentence(drawn_coco: DataConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"000000_1\.jpg: [\d,]+ bytes are too many for one file of 500"):
        pack(_source(drawn_coco), tmp_path, shard_bytes=500)


@pytest.fixture
def two_in_a_photo(tmp_path: Path) -> DataConfig:
    """A photo with two large persons side by side, one of them with a keypoint outside its box."""
    folder = tmp_path / "photos"
    folder.mkdir()
    picture, joints, box = draw_figure((480, 640))
    write_image(folder / "two.png", np.concatenate([picture, picture], axis=1))
    persons = []
    for number, shift in ((5, 0), (7, 480)):
        moved = np.column_stack([joints[:, 0] + shift, joints[:, 1], np.full(17, 2)])
        moved[0, :] = 0
        person: dict[str, Any] = {
            "id": number,
            "image_id": 900,
            "category_id": 1,
            "iscrowd": 0,
            "num_keypoints": 16,
            "area": 5e4,
        }
        person |= {"bbox": [float(box[0] + shift), *box[1:].tolist()], "keypoints": moved.ravel().tolist()}
        persons.append(person | {"segmentation": [[0, 0, 1, 1]]})
    crowd = {"id": 9, "image_id": 900, "category_id": 1, "iscrowd": 1, "bbox": [0, 0, 9, 9], "keypoints": []}
    image = {"id": 900, "file_name": "two.png", "width": 960, "height": 640}
    category = {"id": 1, "name": "person", "keypoints": [*COCO.keypoint_names], "skeleton": []}
    content = {"images": [image], "annotations": [*persons, crowd], "categories": [category]}
    (tmp_path / "two.json").write_text(json.dumps(content))
    return DataConfig("coco", str(tmp_path / "two.json"), str(folder))


def test_persons_become_crops_and_their_joints_lie_where_they_lay(two_in_a_photo: DataConfig, tmp_path: Path) -> None:
    packed = pack(_source(two_in_a_photo, longer_side=320), tmp_path)
    assert (packed.photos, packed.persons) == (2, 2)
    content = read_json(tmp_path / "set" / ANNOTATIONS)
    assert [image["coco_image_id"] for image in content["images"]] == [900, 900]
    assert [person["image_id"] for person in content["annotations"]] == [1, 2]
    assert "segmentation" not in content["annotations"][0]
    for image in content["images"]:
        crop = read_image(tmp_path / "set" / image["file_name"])
        assert crop.shape == (image["height"], image["width"], 3)
        assert max(crop.shape) == 320
    # Without anything drawn at random, the same pixels lie in the samples, but for one more resampling and JPEG.
    settings = {"flip_probability": 0.0, "half_body_probability": 0.0, "rotation_probability": 0.0, "scale": 0.0}
    settings |= {"center_jitter_probability": 0.0}
    before, after = (
        make_batch(_read(config, **settings), 0, [0, 1], PhotoCache()) for config in (two_in_a_photo, _packed(tmp_path))
    )
    np.testing.assert_array_equal(before.weights, after.weights)
    assert np.abs(before.targets - after.targets).max() < 0.15
    assert np.abs(before.images.astype(float) - after.images).mean() < 4


def test_crops_of_low_quality_are_small_webp_files(two_in_a_photo: DataConfig, tmp_path: Path) -> None:
    for name, quality in (("jpeg", None), ("webp", 30)):
        (tmp_path / name).mkdir()
        source = replace(_source(two_in_a_photo, longer_side=320), quality=quality)
        assert pack(source, tmp_path / name).persons == 2
    small, large = (_packed(tmp_path / name) for name in ("webp", "jpeg"))
    assert [record.image_file.name for record in _read(small).records] == ["000000.webp", "000001.webp"]
    for few, many in zip(_read(small).records, _read(large).records, strict=True):
        contents = [read_data_file(record.image_file) for record in (few, many)]
        assert len(contents[0]) < 0.5 * len(contents[1])
        assert contents[0][8:12] == b"WEBP"
        np.testing.assert_array_equal(few.joints_xy, many.joints_xy)
        pictures = [read_image(record.image_file).astype(float) for record in (few, many)]
        assert np.abs(pictures[0] - pictures[1]).mean() < 6


def test_whole_photos_keep_all_annotations_but_outlines(two_in_a_photo: DataConfig, tmp_path: Path) -> None:
    pack(_source(two_in_a_photo), tmp_path)
    before, after = read_json(Path(two_in_a_photo.annotations)), read_json(tmp_path / "set" / ANNOTATIONS)
    for person in before["annotations"]:
        person.pop("segmentation", None)
    assert after["annotations"] == before["annotations"]
    assert after["categories"] == before["categories"]


def test_a_packed_set_is_checked_like_any_other(drawn_coco: DataConfig, tmp_path: Path) -> None:
    pack(_source(drawn_coco), tmp_path)
    config = _packed(tmp_path)
    report = check_coco(Path(config.annotations), Path(config.images), 17)
    assert (report.persons, len(report.photos), report.problems) == (3, 3, [])
    assert not any(check_photo(photo) for photo in report.photos)
    shard = tmp_path / "set" / "000.zip"
    content = bytearray(shard.read_bytes())
    content[200] ^= 1
    shard.write_bytes(content)
    (problem,) = check_photo(report.photos[0])
    assert "000.zip: is damaged" in str(problem)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "000.zip").unlink(), r"000\.zip/000000_1\.jpg: no such file.*3 of the 3 photos"),
        (lambda folder: (folder / "000.zip").write_bytes(b"PK"), r"000\.zip: is not a zip archive, or is cut short"),
        (
            lambda folder: (folder / "annotations.zip").write_bytes(b""),
            r"annotations\.zip: is not a zip archive",
        ),
        (lambda folder: (folder / "annotations.zip").unlink(), r"annotations\.zip/annotations\.json: no such file"),
    ],
)
def test_broken_files_are_one_sentence(drawn_coco: DataConfig, tmp_path: Path, damage: Any, message: str) -> None:
    pack(_source(drawn_coco), tmp_path)
    damage(tmp_path / "set")
    with pytest.raises(UserError, match=message):
        _read(_packed(tmp_path))


def test_broken_photos_are_not_packed(drawn_coco: DataConfig, tmp_path: Path) -> None:
    Path(drawn_coco.images, "2.jpg").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"2\.jpg: not an image"):
        pack(_source(drawn_coco), tmp_path)
