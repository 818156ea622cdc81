"""Distances between predicted and annotated keypoints: PCK, AUC, EPE and NME (docs/spec/protocol.md, section 4.5).

``predicted`` and ``truth`` are image_xy (persons, keypoints, 2); a person that was not found is predicted at infinity.
``counted`` (persons, keypoints) tells which keypoints count. Distances along x and y are divided by ``normalizers``
(persons, 2), above 0. Values are -1 where nothing counts.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from litehrnet.arrays import Floats, Floats32, Floats64, Mask

AUC_PIXELS = 30.0
"""Usual normalizer of the area under the curve, in pixels."""


@dataclass(frozen=True)
class Pck:
    """Share of correct keypoints.

    Attributes:
        per_keypoint: float64 (keypoints,), 0..1; -1 for a keypoint that nobody has.
        average: Mean over the other keypoints.
    """

    per_keypoint: Floats64
    average: float


@dataclass(frozen=True)
class KeypointRow:
    """One line of a table per keypoint.

    Attributes:
        name: Name of the keypoint.
        annotated: Number of people with this keypoint.
        pck: Share of these that is found, 0..1; -1 without any. For MPII it is PCKh.
        mean_error: Mean distance in pixels, over matched people; -1 without any.
    """

    name: str
    annotated: int
    pck: float
    mean_error: float


@dataclass(frozen=True)
class KeypointScore:
    """Metrics of keypoint positions.

    Attributes:
        metrics: Values by name; shares 0..1, EPE in pixels; -1 where there is nothing to measure.
        share: Name of the share in the rows, such as ``PCK@0.2``.
        rows: One row per keypoint.
        persons: Number of annotated people.
        matched: Number of these with a matching prediction.
    """

    metrics: dict[str, float]
    share: str
    rows: tuple[KeypointRow, ...]
    persons: int
    matched: int

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain values for JSON: the values, ``persons``, ``matched`` and ``per_keypoint``."""
        counts = {"persons": self.persons, "matched": self.matched}
        return {**self.metrics, **counts, "per_keypoint": [asdict(row) for row in self.rows]}


def pck(predicted: Floats, truth: Floats, counted: Mask, normalizers: Floats, threshold: float) -> Pck:
    """Share of keypoints with a normalized distance below ``threshold``; a distance equal to it does not count."""
    hits = (_distances(predicted, truth, normalizers) < threshold) & counted
    counts = counted.sum(axis=0)
    rates = np.where(counts > 0, hits.sum(axis=0) / np.maximum(counts, 1), -1.0)
    return Pck(rates, _mean(rates, counts > 0))


def auc(predicted: Floats, truth: Floats, counted: Mask, normalizer: float = AUC_PIXELS, steps: int = 20) -> float:
    """Mean PCK over the thresholds 0, 1/steps, ... below 1; threshold 1 is a distance of ``normalizer`` pixels."""
    normalizers = np.full((len(truth), 2), normalizer)
    return float(np.mean([pck(predicted, truth, counted, normalizers, i / steps).average for i in range(steps)]))


def epe(predicted: Floats, truth: Floats, counted: Mask) -> float:
    """Mean distance in pixels (end-point error)."""
    return nme(predicted, truth, counted, np.ones((len(truth), 2)))


def nme(predicted: Floats, truth: Floats, counted: Mask, normalizers: Floats) -> float:
    """Mean normalized distance."""
    return _mean(_distances(predicted, truth, normalizers), counted)


def keypoint_errors(predicted: Floats, truth: Floats, counted: Mask) -> Floats64:
    """Mean distance in pixels of each keypoint, (keypoints,)."""
    return np.array([epe(predicted[:, [k]], truth[:, [k]], counted[:, [k]]) for k in range(truth.shape[1])])


def _distances(predicted: Floats, truth: Floats, normalizers: Floats) -> Floats32:
    """Normalized distances (persons, keypoints) in float32, as in the reference implementation."""
    with np.errstate(over="ignore"):  # a distance too large for float32 becomes infinite
        distances = np.linalg.norm((predicted - truth) / normalizers[:, None], axis=2)
        return np.asarray(distances, dtype=np.float32)


def _mean(values: Floats, counted: Mask) -> float:
    return float(values[counted].mean(dtype=np.float64)) if counted.any() else -1.0
