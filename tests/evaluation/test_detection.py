"""Average precision of boxes, with pycocotools as the reference."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litehrnet.data.formats import BOX_AP
from litehrnet.data.settings import EvalConfig
from litehrnet.detectors.detections import DetectedBoxes
from litehrnet.errors import UserError
from litehrnet.evaluation.detection import DetectionEvalSet, box_metrics, found_boxes, read_detection_eval_set
from litehrnet.io.images import write_image

BOXES = [[10.0, 10.0, 60.0, 60.0], [100.0, 20.0, 20.0, 90.0], [150.0, 60.0, 120.0, 110.0]]
"""Two medium ones and a large one."""


def _test(folder: Path, **first: Any) -> DetectionEvalSet:
    """Two photos, whose ids are words: the first with ``BOXES``, whose ids count from 0, the second with nobody."""
    for name in ("a.png", "b.png"):
        write_image(folder / name, np.zeros((200, 300, 3), np.uint8))
    images = [{"id": name[0], "file_name": name, "width": 300, "height": 200} for name in ("a.png", "b.png")]
    annotations = [{"id": i, "image_id": "a", "category_id": 3, "bbox": box} for i, box in enumerate(BOXES)]
    annotations[0] |= first
    categories = [{"id": 3, "name": "person"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "boxes.json").write_text(json.dumps(content))
    return read_detection_eval_set(EvalConfig("coco", str(folder / "boxes.json"), str(folder)), "person")


def _found(*rows: tuple[int, list[float], float]) -> np.ndarray:
    return np.array([(image_id, *box, score) for image_id, box, score in rows], np.float64).reshape(-1, 6)


def test_perfect_boxes_score_one_though_ids_count_from_0_and_the_category_is_3(tmp_path: Path) -> None:
    metrics = box_metrics(_test(tmp_path), _found(*((0, box, 0.9) for box in BOXES)))
    assert tuple(metrics) == BOX_AP.values
    assert [metrics[name] for name in ("AP", "APM", "APL", "AR100")] == pytest.approx([1, 1, 1, 1])
    assert metrics["APS"] is None  # there is no small one


def test_a_missed_box_and_a_false_one_cost_precision(tmp_path: Path) -> None:
    test = _test(tmp_path)
    two_of_three = box_metrics(test, _found((0, BOXES[0], 0.9), (0, BOXES[1], 0.8)))
    assert two_of_three["AP"] == pytest.approx(67 / 101)  # recall reaches 2/3 of 101 points
    false_first = box_metrics(test, _found((1, BOXES[0], 1.0), *((0, box, 0.9) for box in BOXES)))
    assert false_first["AP"] == pytest.approx(0.75)


def test_boxes_in_a_crowd_are_not_false(tmp_path: Path) -> None:
    test = _test(tmp_path, iscrowd=1)
    inside = _found((0, [20.0, 20.0, 20.0, 20.0], 1.0), (0, BOXES[1], 0.9), (0, BOXES[2], 0.9))
    assert box_metrics(test, inside)["AP"] == pytest.approx(1)


def test_nothing_found_scores_zero(tmp_path: Path) -> None:
    metrics = box_metrics(_test(tmp_path), _found())
    assert metrics["AP"] == metrics["AR100"] == 0


def test_a_detector_looks_at_every_photo_once(tmp_path: Path) -> None:
    class Detector:
        def detect(self, image: np.ndarray) -> DetectedBoxes:
            assert image.shape == (200, 300, 3)
            return DetectedBoxes(np.array([BOXES[0]], np.float32), np.array([0.5], np.float32))

    class Counted:
        total: int | None = None
        done: tuple[int, ...] = ()

        def start(self, total: int | None) -> None:
            self.total = total

        def advance(self, count: int) -> None:
            self.done += (count,)

    progress = Counted()
    found = found_boxes(Detector(), _test(tmp_path).records, progress)
    assert found.tolist() == [[0, *BOXES[0], 0.5], [1, *BOXES[0], 0.5]]
    assert (progress.total, progress.done) == (2, (1, 1))


def test_photos_that_are_missing_are_named(tmp_path: Path) -> None:
    _test(tmp_path)
    (tmp_path / "b.png").unlink()
    with pytest.raises(UserError, match=r"b\.png"):
        read_detection_eval_set(EvalConfig("coco", str(tmp_path / "boxes.json"), str(tmp_path)), "person")
