"""How well the identities that a tracker gave fit those of the truth: IDF1 and switches by trackeval."""

from dataclasses import dataclass

import numpy as np
import trackeval
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from litehrnet.keypoints.boxes import pairwise_iou

_SAME = 0.5  # overlap of boxes (IoU) from which on a box is that of a person


@dataclass(frozen=True)
class NamedFrame:
    """One frame's truth and result.

    Attributes:
        people: (people,): which people can be seen, numbers from 0.
        boxes: (people, 4): (x, y, width, height).
        unclear: (n, 4): boxes of mostly hidden people; a name there is neither right nor wrong.
        identities: (found,): above 0.
        found: (found, 4): boxes of the named.
    """

    people: NDArray[np.intp]
    boxes: NDArray[np.float64]
    unclear: NDArray[np.float64]
    identities: NDArray[np.intp]
    found: NDArray[np.float64]


@dataclass(frozen=True)
class IdentityScores:
    """Result for a film; ``idf1`` in 0..1."""

    people: int
    identities: int
    idf1: float
    switches: int


def judge(frames: list[NamedFrame]) -> IdentityScores:
    """Score a film; trackeval must be installed."""
    truth, given, similarities = [], [], []
    numbers: dict[int, int] = {}  # trackeval expects numbers from 0 without gaps
    for frame in frames:
        kept = ~_on_unclear(frame)
        truth.append(frame.people)
        given.append(np.array([numbers.setdefault(int(i), len(numbers)) for i in frame.identities[kept]], int))
        similarities.append(pairwise_iou(frame.boxes, frame.found[kept]))
    people = len(np.unique(np.concatenate(truth)))
    data = {
        "gt_ids": truth,
        "tracker_ids": given,
        "similarity_scores": similarities,
        "num_timesteps": len(frames),
        "num_gt_ids": int(np.concatenate(truth).max(initial=-1)) + 1,
        "num_tracker_ids": len(numbers),
        "num_gt_dets": sum(map(len, truth)),
        "num_tracker_dets": sum(map(len, given)),
    }
    quiet = {"PRINT_CONFIG": False}
    idf1 = float(trackeval.metrics.Identity(quiet).eval_sequence(data)["IDF1"])
    switches = int(trackeval.metrics.CLEAR(quiet).eval_sequence(data)["IDSW"])
    named = {int(i) for frame in frames for i in frame.identities}
    return IdentityScores(people, len(named), idf1, switches)


def _on_unclear(frame: NamedFrame) -> NDArray[np.bool_]:
    """Mark the found boxes that belong to mostly hidden people: bool (found,)."""
    overlaps = pairwise_iou(np.concatenate([frame.boxes, frame.unclear]), frame.found)
    overlaps[overlaps < _SAME] = 0
    people, found = linear_sum_assignment(overlaps, maximize=True)
    unclear = (people >= len(frame.boxes)) & (overlaps[people, found] > 0)
    on_unclear = np.zeros(len(frame.found), bool)
    on_unclear[found[unclear]] = True
    return on_unclear
