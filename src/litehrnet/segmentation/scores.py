"""Class scores, float32 (classes, height, width) at any resolution, to the classes of pixels."""

import numpy as np

from litehrnet.arrays import Floats32, Image

Scores = Floats32


def enlarged(scores: Scores, size_wh: tuple[int, int]) -> Scores:
    """Resize scores bilinearly, like ``models.SegmentationNetwork``; those of this size are returned unchanged."""
    if scores.shape[:0:-1] == size_wh:
        return scores
    return np.stack([_enlarged_map(scores_of_class, size_wh) for scores_of_class in scores])


def best_classes(scores: Scores, size_wh: tuple[int, int]) -> Image:
    """Return the class with the highest score for every pixel; the first one of equal scores.

    The classes are compared one after another, so that memory holds at most two maps of the full size. The result is
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
    """Apply the softmax over the classes."""
    raised = np.exp(scores - scores.max(axis=0))
    result: Scores = raised / raised.sum(axis=0)
    return result


def _enlarged_map(scores_of_class: Scores, size_wh: tuple[int, int]) -> Scores:
    import cv2

    if scores_of_class.shape[::-1] == size_wh:
        return scores_of_class
    return np.asarray(cv2.resize(scores_of_class, size_wh, interpolation=cv2.INTER_LINEAR), np.float32)
