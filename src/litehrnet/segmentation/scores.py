"""From the scores of classes, at whatever resolution a runtime gives them, to classes of pixels."""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]


def enlarged(scores: Scores, size_wh: tuple[int, int]) -> Scores:
    """Scores at another resolution, bilinearly as ``models.SegmentationNetwork`` enlarges them.

    Args:
        scores: float32 (classes, height, width).
        size_wh: (width, height) in pixels; scores of this size are returned as they are.

    Returns:
        float32 (classes, height, width).
    """
    if scores.shape[:0:-1] == size_wh:
        return scores
    return np.stack([_enlarged_map(scores_of_class, size_wh) for scores_of_class in scores])


def best_classes(scores: Scores, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """The class of the highest score of every pixel; of equal ones the first.

    Class by class, so that no more than two maps of the full size are held at a time.

    Args:
        scores: float32 (classes, height, width).
        size_wh: (width, height) of the result in pixels.

    Returns:
        uint8 (height, width).
    """
    best = _enlarged_map(scores[0], size_wh).copy()
    classes = np.zeros(best.shape, np.uint8)
    for index, scores_of_class in enumerate(scores[1:], 1):
        own = _enlarged_map(scores_of_class, size_wh)
        np.putmask(classes, own > best, index)
        np.maximum(best, own, out=best)
    return classes


def probabilities(scores: Scores) -> Scores:
    """Softmax over the classes of float32 (classes, height, width)."""
    raised = np.exp(scores - scores.max(axis=0))
    result: Scores = raised / raised.sum(axis=0)
    return result


def _enlarged_map(scores_of_class: Scores, size_wh: tuple[int, int]) -> Scores:
    import cv2

    if scores_of_class.shape[::-1] == size_wh:
        return scores_of_class
    return np.asarray(cv2.resize(scores_of_class, size_wh, interpolation=cv2.INTER_LINEAR), np.float32)
