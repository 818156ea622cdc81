"""Likelihood of a keypoint, 0..1, from its score: the peak of a heatmap, which has no such meaning and may exceed 1.

The likelihood is the share of keypoints with such a score that are right: annotated, and with a term of 0.5 or more in
COCO's similarity (OKS). The curve is of the bundled weights, on photos that training never saw
(``python -m benchmarks.likelihood``, docs/results.md). With other weights it keeps the order of the scores only.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Floats64

_LARGEST = 100.0  # scores have no upper bound, and exp() must not overflow


@dataclass(frozen=True)
class Curve:
    """Curve from 0 at a score of 0 toward 1. Its log-odds are ``offset + power * log(score) + slope * score``.

    Attributes:
        offset: Any number.
        power: Above 0, so that the curve rises.
        slope: 0 or more.
    """

    offset: float
    power: float
    slope: float

    def __call__(self, scores: NDArray[np.floating]) -> Floats64:
        """Return the likelihoods, 0..1, of scores of any shape; negative scores count as 0."""
        scores = np.maximum(np.asarray(scores, np.float64), 0)
        odds = np.exp(self.offset + self.slope * np.minimum(scores, _LARGEST)) * scores**self.power
        return np.asarray(odds / (1 + odds))


CURVE = Curve(offset=0.5649, power=1.0695, slope=1.7911)
"""Curve of the bundled weights."""
