"""How good a segmentation is: everything from one matrix that counts pixels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from litehrnet.segmentation.classes import IGNORED

Confusion = NDArray[np.int64]


def confusion_matrix(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int) -> Confusion:
    """Pixels of each true class (rows) that are predicted as each class (columns); ``IGNORED`` ones do not count.

    Args:
        truth: uint8, any shape: classes or ``IGNORED``.
        predicted: uint8 of the same shape: classes.
        classes: Their number.

    Returns:
        int64 (classes, classes); matrices of several images are added.
    """
    counts = truth != IGNORED
    pairs = truth[counts].astype(np.int64) * classes + predicted[counts]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def class_iou(matrix: Confusion) -> NDArray[np.float64]:
    """Intersection over union of each class, (classes,), 0..1; NaN for one that is neither there nor predicted."""
    intersection = matrix.diagonal()
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - intersection
    iou = np.full(len(matrix), np.nan)
    np.divide(intersection, union, out=iou, where=union > 0)
    return iou


def figures(matrix: Confusion, class_names: Sequence[str]) -> dict[str, float]:
    """``mIoU`` (over the classes that are there or predicted), ``pixel_accuracy`` and ``IoU.NAME`` of each such class.

    Args:
        matrix: Of all images together.
        class_names: In its order.

    Returns:
        Figures 0..1 by name; none where no pixel has a class.
    """
    if not matrix.any():
        return {}
    iou = class_iou(matrix)
    present = ~np.isnan(iou)
    of_classes = {f"IoU.{class_names[i]}": float(iou[i]) for i in np.flatnonzero(present).tolist()}
    accuracy = float(matrix.trace() / matrix.sum())
    return {"mIoU": float(iou[present].mean()), "pixel_accuracy": accuracy, **of_classes}
