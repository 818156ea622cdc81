"""Metrics of a segmentation, all computed from one confusion matrix of pixels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Floats64, Image
from litehrnet.segmentation.classes import IGNORED

Confusion = NDArray[np.int64]


def confusion_matrix(truth: Image, predicted: Image, classes: int) -> Confusion:
    """Count the pixels of each true class (rows) by predicted class (columns), without ``IGNORED`` ones.

    Args:
        truth: uint8, any shape: classes or ``IGNORED``.
        predicted: uint8 of the same shape: classes.
        classes: Number of classes.

    Returns:
        int64 (classes, classes). Add the matrices of several images to evaluate them together.
    """
    counts = truth != IGNORED
    pairs = truth[counts].astype(np.int64) * classes + predicted[counts]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def class_iou(matrix: Confusion) -> Floats64:
    """Return the intersection over union of each class, (classes,), 0..1; NaN for absent, never predicted classes."""
    intersection = matrix.diagonal()
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - intersection
    iou = np.full(len(matrix), np.nan)
    np.divide(intersection, union, out=iou, where=union > 0)
    return iou


def segmentation_metrics(matrix: Confusion, class_names: Sequence[str]) -> dict[str, float]:
    """Compute ``mIoU``, ``pixel_accuracy`` and ``IoU.NAME`` of each class that is present or predicted.

    Args:
        matrix: Confusion matrix of all images together.
        class_names: Names in the order of the matrix.

    Returns:
        Metrics 0..1 by name; empty if no pixel has a class.
    """
    if not matrix.any():
        return {}
    iou = class_iou(matrix)
    present = ~np.isnan(iou)
    of_classes = {f"IoU.{class_names[i]}": float(iou[i]) for i in np.flatnonzero(present).tolist()}
    accuracy = float(matrix.trace() / matrix.sum())
    return {"mIoU": float(iou[present].mean()), "pixel_accuracy": accuracy, **of_classes}
