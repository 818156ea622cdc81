"""Quality of a tracker's identities compared with the truth: IDF1 and switches by trackeval."""

from dataclasses import dataclass

import numpy as np
import trackeval
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from litehrnet.keypoints.boxes import pairwise_iou

_SAME = 0.5  # minimum overlap of boxes (IoU) for a box to belong to a person


@dataclass(frozen=True)
class NamedFrame:
    """Truth and result of one frame.

    Attributes:
        people: (people,): numbers of the visible people, from 0.
        boxes: (people, 4): their boxes (x, y, width, height).
        unclear: (n, 4): boxes of mostly hidden people, where an identity is neither right nor wrong.
        identities: (found,): identities of the tracker, above 0.
        found: (found, 4): boxes of these identities.
    """

    people: NDArray[np.intp]
    boxes: NDArray[np.float64]
    unclear: NDArray[np.float64]
    identities: NDArray[np.intp]
    found: NDArray[np.float64]


@dataclass(frozen=True)
class IdentityScores:
    """Scores of a film; ``idf1`` is 0..1."""

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
