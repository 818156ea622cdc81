from pathlib import Path

import numpy as np
from benchmarks.found_people import right_people

from litehrnet.data.detection import DetectionRecord


def _photo(*corners: tuple[int, int, int, int]) -> DetectionRecord:
    return DetectionRecord(
        Path("a.jpg"), 0, np.array(corners, np.float32).reshape(-1, 4), np.zeros((0, 4), np.float32), True
    )


def test_every_annotated_person_is_found_once() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 10, 10], [50, 50, 5, 5]], float)
    assert right_people(boxes, _photo((0, 0, 10, 10), (20, 0, 30, 10))) == 2
    assert right_people(boxes, _photo((0, 0, 10, 10), (0, 0, 10, 8))) == 2
    assert right_people(boxes, _photo((100, 100, 110, 110))) == 0


def test_photos_and_predictions_may_be_empty() -> None:
    assert right_people(np.zeros((0, 4)), _photo((0, 0, 10, 10))) == 0
    assert right_people(np.array([[0, 0, 10, 10]], float), _photo()) == 0
