"""Straightforward OKS-NMS, one pair of people at a time: a reference for the speed and results of ours."""

import numpy as np
from numpy.typing import NDArray


def plain_oks_nms(
    keypoints: NDArray[np.floating],
    scores: NDArray[np.floating],
    areas: NDArray[np.floating],
    sigmas: NDArray[np.floating],
    threshold: float,
) -> list[int]:
    """Return the kept people of one image by falling score (docs/spec/protocol.md, section 4.3)."""
    order = np.argsort(-scores, kind="stable").tolist()
    kept = []
    while order:
        best = order.pop(0)
        kept.append(best)
        order = [i for i in order if _oks(keypoints[best], keypoints[i], areas[best], areas[i], sigmas) <= threshold]
    return kept


def _oks(
    one: NDArray[np.floating], other: NDArray[np.floating], area: float, other_area: float, sigmas: NDArray[np.floating]
) -> float:
    squared = ((one.astype(np.float64) - other) ** 2).sum(axis=1)
    errors = squared / (2 * sigmas) ** 2 / ((area + other_area) / 2 + np.spacing(1)) / 2
    return float(np.exp(-errors).mean())
