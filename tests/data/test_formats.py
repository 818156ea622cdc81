"""The table of formats: unknown names are refused, and a new format needs one function and one entry."""

import json
from pathlib import Path
from typing import Any

import pytest

from litehrnet.config.schema import RunConfig
from litehrnet.config.tasks import TASKS, metric_of
from litehrnet.data import formats
from litehrnet.data.checks import check_photo_lists
from litehrnet.data.formats import FORMATS, LABEL_FORMATS, coco_like, find_format, find_label_format, guess_format
from litehrnet.data.settings import AugmentationConfig, DataConfig, EvalConfig, SegmentationConfig
from litehrnet.data.trainingset import read_training_set
from litehrnet.errors import UserError
from litehrnet.evaluation.metrics import MEASURES, find_measure
from litehrnet.evaluation.protocol import read_eval_set
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.skeletons import COCO


def test_unknown_formats_are_refused_with_the_known_ones() -> None:
    expected = f"expected {' or '.join(FORMATS)}"
    with pytest.raises(UserError, match=rf"csv: unknown format of keypoint annotations \({expected}\)"):
        find_format("csv")
    with pytest.raises(UserError, match=r"csv: unknown format of label images \(expected cityscapes or folder\)"):
        find_label_format("csv")
    config = RunConfig("own", "lite_hrnet_18", (64, 64), segmentation=SegmentationConfig("cityscapes"))
    with pytest.raises(
        UserError, match=r"own: coco is not a format for segmentation \(expected cityscapes or folder\)"
    ):
        metric_of(config, EvalConfig("coco", "a", "b"))


def test_every_metric_of_keypoints_has_its_functions() -> None:
    assert {form.metric.name for form in FORMATS.values()} == set(MEASURES)
    assert set(TASKS["segmentation"].formats) == set(LABEL_FORMATS)


def test_the_format_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    for content, name in (({"images": []}, "coco"), ([{"image": "a.jpg"}], "mpii")):
        path.write_text(json.dumps(content))
        assert guess_format(path).name == name
    path.write_text("3")
    with pytest.raises(UserError, match=r"annotations\.json: unknown format \(expected annotations in the format coco"):
        guess_format(path)


def test_a_format_that_parses_into_cocos_object_trains_and_evaluates(
    drawn_coco: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Annotations wrapped in one more object, as an example of another format."""

    def load(path: Path) -> Any:
        return json.loads(path.read_text())["wrapped"]

    path = tmp_path / "wrapped.json"
    path.write_text(json.dumps({"wrapped": json.loads(Path(drawn_coco.annotations).read_text())}))
    monkeypatch.setitem(formats.FORMATS, "wrapped", coco_like("wrapped", load))
    data = DataConfig("wrapped", str(path), drawn_coco.images)
    own, same = (
        read_training_set([each], COCO, (64, 96), HeatmapCodec(), AugmentationConfig(), 0)
        for each in (data, drawn_coco)
    )
    assert [record.box_id for record in own.records] == [record.box_id for record in same.records]
    assert (own.records[0].joints_xy == same.records[0].joints_xy).all()
    test = EvalConfig("wrapped", str(path), drawn_coco.images)
    assert find_measure(test) is MEASURES["mAP"]
    pytest.importorskip("pycocotools")
    assert len(read_eval_set(test, COCO, (64, 96), Path("weights")).records) == len(same)
    assert find_format("wrapped").check(path, Path(drawn_coco.images), None, True, None).problems == []
    listed = tmp_path / "list.txt"
    listed.write_text(str(json.loads(Path(drawn_coco.annotations).read_text())["images"][0]["id"]) + "\n")
    assert check_photo_lists(path, str(listed), None, load) == []
