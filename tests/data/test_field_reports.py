"""Annotation files of public reports (docs/log/field_reports.md): right figures, or a sentence that says why not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from litehrnet.data.checks import check_coco
from litehrnet.data.coco import read_annotations
from litehrnet.data.coco_records import detection_records
from litehrnet.errors import UserError
from litehrnet.evaluation.coco import coco_metrics
from litehrnet.keypoints.skeletons import read_keypoint_set

NAMES = ["nose", "left_hand", "right_hand"]
POINTS = [30, 20, 2, 50, 40, 1, 40, 70, 2]


def _save(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Write two photos' entries with one person each, changed."""
    person = {"category_id": 1, "bbox": [20, 10, 40, 80], "area": 1500, "iscrowd": 0, "keypoints": POINTS}
    content = {
        "images": [{"id": number, "file_name": f"{number}.jpg", "width": 200, "height": 100} for number in (7, 8)],
        "annotations": [{**person, "id": number, "image_id": number + 6, "num_keypoints": 3} for number in (1, 2)],
        "categories": [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[1, 2]]}],
    }
    change(content)
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    return path


def _each(content: dict[str, Any], **values: Any) -> None:
    for person in content["annotations"]:
        person |= values


def _swap_ids(content: dict[str, Any]) -> None:
    for person in content["annotations"]:
        person["id"], person["image_id"] = person["image_id"], person["id"]


def _one_annotation_per_keypoint(content: dict[str, Any]) -> None:
    content["categories"] = [{"id": number, "name": name} for number, name in enumerate(NAMES, start=1)]
    content["annotations"] = [
        {"id": number, "image_id": 7, "category_id": number, "area": 0, "iscrowd": 0, "bbox": [30, 20, 1, 1]}
        for number in (1, 2, 3)
    ]


def _perfect_ap(path: Path) -> float | None:
    entry = {"category_id": 1, "keypoints": [1 if i % 3 == 2 else value for i, value in enumerate(POINTS)], "score": 1}
    results = [{**entry, "image_id": number} for number in read_annotations(path).images]
    return coco_metrics(path, results, read_keypoint_set(path))["AP"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param(lambda c: _each(c, num_keypoints=17), None, id="mmpose#1155"),
        pytest.param(lambda c: _each(c, area=1e6), "more than twice its box", id="cocoapi#296"),
        pytest.param(lambda c: None, None, id="detectron2#445"),
        pytest.param(lambda c: _each(c, segmentation=[[-9, -8, -5, -8, -5, -2]]), None, id="cocoapi#546"),
        pytest.param(
            lambda c: c["categories"][0].update(skeleton=[[32, 33]]), "skeleton is not drawn", id="coco-annotator#304"
        ),
    ],
)
def test_perfect_predictions_score_1_whatever_is_beside_the_keypoints(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], problem: str | None
) -> None:
    path = _save(tmp_path, change)
    assert _perfect_ap(path) == pytest.approx(1)
    named = [str(each) for each in check_coco(path, tmp_path, None).problems]
    assert not named if problem is None else all(problem in each for each in named) and named


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(
            _swap_ids, r"annotation 0 \(id 7\): is on image 1, which the file does not have", id="mmpose#1795"
        ),
        pytest.param(_one_annotation_per_keypoint, "no category has keypoints", id="Rectlabel-support#162"),
    ],
)
def test_files_without_a_safe_meaning_are_refused_and_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    path = _save(tmp_path, change)
    with pytest.raises(UserError, match=sentence):
        _perfect_ap(path)
    assert check_coco(path, tmp_path, None).problems


def test_people_with_nothing_labeled_have_no_figure(tmp_path: Path) -> None:  # detectron2#4233: nan there
    assert _perfect_ap(_save(tmp_path, lambda c: _each(c, keypoints=[0] * 9, num_keypoints=0))) is None


def test_boxes_of_another_category_are_not_taken_for_nobody(tmp_path: Path) -> None:  # mmpose#2295: a YOLO's category 0
    annotations, boxes = read_annotations(_save(tmp_path, lambda c: None)), tmp_path / "boxes.json"
    entry = {"image_id": 7, "category_id": 0, "bbox": [20, 10, 40, 80], "score": 0.9}
    boxes.write_text(json.dumps([entry]))
    with pytest.raises(UserError, match=r"boxes\.json: none of 1 boxes has category 1"):
        detection_records(annotations, boxes, tmp_path, 3, (64, 64))
    boxes.write_text(json.dumps([entry, entry | {"category_id": 1}]))
    assert len(detection_records(annotations, boxes, tmp_path, 3, (64, 64))) == 1
