import numpy as np
import pytest

from litehrnet.segmentation.classes import IGNORED
from litehrnet.segmentation.confusion import class_iou, confusion_matrix, segmentation_metrics


def test_metrics_of_a_case_worked_by_hand() -> None:
    truth = np.array([[0, 0, 0, 1], [1, 1, 2, IGNORED]], np.uint8)
    predicted = np.array([[0, 0, 1, 1], [1, 2, 2, 0]], np.uint8)
    matrix = confusion_matrix(truth, predicted, 4)
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 2, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    # Class 0: 2 of 3; class 1: 2 of 4; class 2: 1 of 2; class 3 is nowhere and does not count.
    found = segmentation_metrics(matrix, ("a", "b", "c", "d"))
    assert found == {
        "mIoU": np.mean([2 / 3, 2 / 4, 1 / 2]),
        "pixel_accuracy": 5 / 7,
        "IoU.a": 2 / 3,
        "IoU.b": 2 / 4,
        "IoU.c": 1 / 2,
    }


@pytest.mark.parametrize("seed", range(5))
def test_metrics_equal_a_plain_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 20))
    truth = rng.integers(0, classes, (3, 40, 30)).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.1] = IGNORED
    predicted = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, classes, truth.shape)).astype(np.uint8)
    predicted[predicted == IGNORED] = 0
    matrix = sum(confusion_matrix(t, p, classes) for t, p in zip(truth, predicted, strict=True))
    assert isinstance(matrix, np.ndarray)
    ious = []
    for index in range(classes):
        both = int(((truth == index) & (predicted == index)).sum())
        either = int((((truth == index) | (predicted == index)) & (truth != IGNORED)).sum())
        ious.append(both / either)
    assert class_iou(matrix).tolist() == ious
    found = segmentation_metrics(matrix, [str(index) for index in range(classes)])
    assert found["mIoU"] == np.mean(ious)
    assert found["pixel_accuracy"] == (truth == predicted).sum() / (truth != IGNORED).sum()


def test_without_a_labeled_pixel_there_are_no_metrics() -> None:
    ignored = np.full((2, 2), IGNORED, np.uint8)
    assert segmentation_metrics(confusion_matrix(ignored, np.zeros_like(ignored), 3), "abc") == {}
