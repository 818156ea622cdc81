"""Identities in scenes with known people, judged by trackeval; ``pytest -s`` prints the table of docs/video.md.

Drawn figures walk along paths in 1280x720 pixels, 25 times a second. The tracker gets their poses with noise, without
those that are hidden, missed or outside, and with false ones in between.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.figure import JOINTS

from litehrnet.keypoints.boxes import pairwise_iou
from litehrnet.keypoints.skeletons import COCO
from litehrnet.poses import Poses
from litehrnet.video.tracking import Tracker

trackeval = pytest.importorskip("trackeval", reason="judges identities (pip install --no-deps trackeval)")

WIDTH, HEIGHT, RATE, SECONDS = 1280, 720, 25, 10
MISSES, FALSE_BOXES = 0.03, 0.1  # per person; per frame
SEEDS = range(5, 10)  # not those that the tracker was tuned with
Array = NDArray[np.float64]
Path = Callable[[float], tuple[float, float]]
Update = Callable[[Poses, float], NDArray[np.intp]]

STANDING = (np.array(list(JOINTS.values()), np.float64) - (240, 45)) / 560  # of height 1, from the top of the head
SWINGING = {"wrist": 0.09, "elbow": 0.05, "knee": 0.05, "ankle": 0.1}


@dataclass(frozen=True)
class Walker:
    """Height in pixels, where the head is at a time, and a pillar (x1, x2) that hides it."""

    height: float
    path: Path
    hidden: tuple[float, float] = (0, 0)

    def keypoints(self, time: float) -> Array:
        points = STANDING.copy()
        for name, reach in SWINGING.items():
            left, right = (COCO.keypoint_names.index(f"{side}_{name}") for side in ("left", "right"))
            swing = reach * np.sin(2 * np.pi * 0.9 * time + self.height)
            points[left, 0] += swing
            points[right, 0] -= swing
        return points * self.height + self.path(time)


def _swinging(middle: float, reach: float, period: float, phase: float, y: float) -> Path:
    """To and fro about ``middle``, in ``period`` seconds."""
    return lambda time: (middle + reach * float(np.sin(2 * np.pi * time / period + phase)), y)


def _straight(start: float, speed: float, y: float) -> Path:
    return lambda time: (start + speed * time, y)


def _crossing(rng: np.random.Generator) -> list[Walker]:
    """Three from the left and three from the right, who meet in the middle and pass each other closely."""
    walkers = []
    for number in range(6):
        start, speed = 60 + 170 * (number // 2) + rng.uniform(0, 40), rng.uniform(115, 125)
        y = rng.uniform(200, 260)
        path = _straight(WIDTH - start, -speed, y) if number % 2 else _straight(start, speed, y)
        walkers.append(Walker(rng.uniform(280, 360), path))
    return walkers


def _occluded(rng: np.random.Generator) -> list[Walker]:
    """Four who walk to and fro behind a pillar, which hides them for half a second and more."""
    walkers = []
    for number in range(4):
        phase, reach = rng.uniform(0, 2 * np.pi), rng.uniform(280, 360)
        path = _swinging(WIDTH / 2, reach, 10, phase, 90 + 110 * number)
        walkers.append(Walker(rng.uniform(200, 260), path, (WIDTH / 2 - 60, WIDTH / 2 + 60)))
    return walkers


def _returning(rng: np.random.Generator) -> list[Walker]:
    """Two at either side who walk out of the picture, turn round outside and come back within a second."""
    walkers = []
    for number in range(4):
        phase, y = rng.uniform(0, 2 * np.pi), rng.uniform(150, 300)
        path = _swinging(WIDTH - 235, 250, 5, phase, y) if number % 2 else _swinging(235, -250, 5, phase, y)
        walkers.append(Walker(rng.uniform(200, 260), path))
    return walkers


def _box(keypoints: Array) -> Array:
    first, last = keypoints.min(axis=0), keypoints.max(axis=0)
    margin = 0.1 * (last - first)[1] * np.array([0.5, 1])
    return np.concatenate([first - margin, last - first + 2 * margin])


@dataclass(frozen=True)
class Frame:
    """Who can be seen (numbers from 0, and boxes), and what the tracker is given."""

    time: float
    persons: NDArray[np.intp]
    boxes: Array
    found: Poses


def _frames(walkers: list[Walker], rng: np.random.Generator) -> list[Frame]:
    frames = []
    for number in range(RATE * SECONDS):
        time = number / RATE
        keypoints = np.stack([walker.keypoints(time) for walker in walkers])
        boxes = np.stack([_box(points) for points in keypoints])
        seen = np.array([_is_seen(i, walker, boxes) for i, walker in enumerate(walkers)])
        given = keypoints[seen & (rng.random(len(walkers)) >= MISSES)]
        heights = np.ptp(given[..., 1], axis=1)[:, None, None]
        given = given + 0.015 * heights * rng.standard_normal(given.shape)
        if rng.random() < FALSE_BOXES:
            place = rng.uniform((0, 0), (WIDTH, HEIGHT - 200))
            wrong = STANDING * rng.uniform(120, 360) + place + rng.normal(0, 12, (17, 2))
            given = np.concatenate([given, wrong[None]])
        frames.append(Frame(time, np.flatnonzero(seen), boxes[seen], _poses(given, rng)))
    return frames


def _is_seen(index: int, walker: Walker, boxes: Array) -> bool:
    """In the picture, beside the pillar, and not mostly behind somebody who stands nearer, which is lower."""
    middle = boxes[index, 0] + boxes[index, 2] / 2
    if not 0 < middle < WIDTH or walker.hidden[0] < middle < walker.hidden[1]:
        return False
    nearer = boxes[:, 1] + boxes[:, 3] > boxes[index, 1] + boxes[index, 3]
    return not (nearer & (pairwise_iou(boxes[index : index + 1], boxes)[0] > 0.6)).any()


def _poses(keypoints: Array, rng: np.random.Generator) -> Poses:
    count = len(keypoints)
    boxes = np.array([_box(points) for points in keypoints]).reshape(-1, 4)
    boxes += 0.02 * boxes[:, 3:] * rng.standard_normal(boxes.shape)
    scores = rng.uniform(0.5, 1, (count, 17)).astype(np.float32)
    ones = np.ones(count, np.float32)
    return Poses(keypoints.astype(np.float32), scores, boxes.astype(np.float32), ones, COCO)


class GreedyTracker:
    """The most overlapping boxes first, where they were last seen; gaps and false boxes as ``Tracker`` treats them."""

    def __init__(self) -> None:
        self.tracks: list[tuple[int, int, float, NDArray[np.float32]]] = []  # identity, sightings, time, box
        self.last = 0

    def update(self, poses: Poses, time: float) -> NDArray[np.intp]:
        identities, tracks = np.zeros(len(poses), np.intp), []
        old = np.array([track[3] for track in self.tracks]).reshape(-1, 4)
        overlap = pairwise_iou(old, poses.boxes)
        pairs = np.stack(np.unravel_index(np.argsort(-overlap, axis=None), overlap.shape), axis=1)
        used, taken = set(), set()
        for track, person in pairs.tolist():
            if overlap[track, person] < 0.3 or track in used or person in taken:
                continue
            used.add(track)
            taken.add(person)
            identity, sightings = self.tracks[track][0], self.tracks[track][1] + 1
            if not identity and sightings >= 3:
                self.last += 1
                identity = self.last
            identities[person] = identity
            tracks.append((identity, sightings, time, poses.boxes[person]))
        tracks += [t for i, t in enumerate(self.tracks) if i not in used and t[0] and time - t[2] <= 1]
        tracks += [(0, 1, time, poses.boxes[i]) for i in range(len(poses)) if i not in taken]
        self.tracks = tracks
        return identities


def _judged(frames: list[Frame], update: Update) -> tuple[float, int]:
    """IDF1 and the number of switches."""
    truth, given, similarities = [], [], []
    numbers: dict[int, int] = {}  # trackeval wants them without gaps, from 0
    for frame in frames:
        identities = update(frame.found, frame.time)
        named = identities > 0
        assert len(set(identities[named].tolist())) == named.sum()
        own = [numbers.setdefault(int(i), len(numbers)) for i in identities[named]]
        truth.append(frame.persons)
        given.append(np.array(own, int))
        similarities.append(pairwise_iou(frame.boxes, frame.found.boxes[named]))
    data = {
        "gt_ids": truth,
        "tracker_ids": given,
        "similarity_scores": similarities,
        "num_timesteps": len(frames),
        "num_gt_ids": int(max(persons.max(initial=-1) for persons in truth)) + 1,
        "num_tracker_ids": len(numbers),
        "num_gt_dets": sum(map(len, truth)),
        "num_tracker_dets": sum(map(len, given)),
    }
    quiet = {"PRINT_CONFIG": False}
    identity = trackeval.metrics.Identity(quiet).eval_sequence(data)
    return float(identity["IDF1"]), int(trackeval.metrics.CLEAR(quiet).eval_sequence(data)["IDSW"])


@pytest.mark.parametrize(
    ("name", "walkers", "lead"),
    [("crossing", _crossing, 0.05), ("occluded", _occluded, 0.05), ("leaving and returning", _returning, 0.05)],
)
def test_identities_stay_where_a_greedy_box_tracker_loses_them(
    name: str, walkers: Callable[[np.random.Generator], list[Walker]], lead: float
) -> None:
    ours, greedy = [], []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        frames = _frames(walkers(rng), rng)
        ours.append(_judged(frames, Tracker().update))
        greedy.append(_judged(frames, GreedyTracker().update))
    print(f"\n| {name} | {_row(ours)} | {_row(greedy)} |")  # noqa: T201
    assert np.mean([idf1 for idf1, _ in ours]) >= 0.95
    assert np.mean([idf1 for idf1, _ in greedy]) <= np.mean([idf1 for idf1, _ in ours]) - lead


def _row(judged: list[tuple[float, int]]) -> str:
    values = [idf1 for idf1, _ in judged]
    return f"{np.mean(values):.3f} | {min(values):.3f} | {sum(switches for _, switches in judged)}"
