"""Who is who from frame to frame, and steadier keypoints.

Persons are joined to those of earlier frames by the optimal assignment of what their keypoints (OKS) and boxes have in
common, after each has been moved on as it last moved. Nothing looks at the picture: who was gone for longer than
``Tracker.max_gap`` comes back as somebody new.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.keypoints.oks import oks_to_truth
from litehrnet.optional import require
from litehrnet.poses import Poses

_MIN_SIMILARITY = 0.3  # of a person to a track that it may continue, 0..1
_MIN_KEYPOINT_SCORE = 0.2  # of keypoints that count
_BODY_SHARE = 0.53  # of a person's box; COCO's areas are of the body alone
_SPEED_GAIN = 0.2  # how much of a new observation enters the speed
_COASTING = 2.0  # seconds in which somebody unseen loses all but 1/e of the speed: people turn and stop
_TURNING = 0.7  # how much finding somebody at the last place counts, compared with finding them where they went
_GROWTH = 0.8  # of the boxes' sides, per second unseen: for what is not known of where somebody went meanwhile


@dataclass(frozen=True)
class _Track:
    """A person over time, as last seen; ``identity`` is 0 until ``sightings`` are enough."""

    identity: int
    sightings: int
    time: float
    keypoints: NDArray[np.float64]
    scores: NDArray[np.float32]
    box: NDArray[np.float64]
    velocity: NDArray[np.float64]  # (2,) image pixels per second

    def shift(self, time: float) -> NDArray[np.float64]:
        """How far the person is expected to have moved since."""
        return np.asarray(self.velocity * _COASTING * -np.expm1((self.time - time) / _COASTING))

    def growth(self, time: float) -> float:
        """By what the box is enlarged for what is not known any more."""
        return 1 + _GROWTH * (time - self.time)


class Tracker:
    """Gives the persons of a video their identities, frame by frame.

    Args:
        max_gap: Seconds that somebody may be out of sight.
        min_sightings: Frames in a row, 2 or more, in which a person must be seen to get an identity: false boxes are
            rarely as steady.

    Raises:
        UserError: scipy is not installed.
    """

    def __init__(self, max_gap: float = 1.0, min_sightings: int = 3) -> None:
        require("scipy", "video", "tracking")
        self.max_gap, self.min_sightings = max_gap, min_sightings
        self._tracks: list[_Track] = []
        self._last_identity = 0

    def update(self, poses: Poses, time: float) -> NDArray[np.intp]:
        """Identities of the persons in the next frame.

        Args:
            poses: Of the frame; no persons are fine.
            time: Of the frame in seconds, later than that of the last one.

        Returns:
            (persons,): the same number for the same person, from 1 on; 0 for those not seen often enough yet.
        """
        identities = np.zeros(len(poses), np.intp)
        left = np.arange(len(poses))
        recent = [track for track in self._tracks if time - track.time <= self.max_gap]
        tracks: list[_Track] = []
        # Whoever has an identity chooses first: a false box of the last frame takes nobody's place.
        for chosen in ([t for t in recent if t.identity], [t for t in recent if not t.identity]):
            found, persons = _assigned(chosen, poses[left], time)
            for track, person in zip(found, left[persons], strict=True):
                seen = self._seen(chosen[track], poses, int(person), time)
                identities[person] = seen.identity
                tracks.append(seen)
            tracks += [track for i, track in enumerate(chosen) if track.identity and i not in found]
            left = np.delete(left, persons)
        tracks += [_new(poses, int(person), time) for person in left]
        self._tracks = tracks
        return identities

    def _seen(self, track: _Track, poses: Poses, person: int, time: float) -> _Track:
        """The track, continued by a person of this frame."""
        seen = _new(poses, person, time)
        counts = np.minimum(track.scores, seen.scores) > _MIN_KEYPOINT_SCORE
        if counts.any():
            moved = (seen.keypoints - track.keypoints)[counts].mean(axis=0)
        else:
            moved = (seen.box - track.box)[:2] + (seen.box - track.box)[2:] / 2
        gain = max(_SPEED_GAIN, 1 / track.sightings)
        velocity = track.velocity + gain * (moved / (time - track.time) - track.velocity)
        identity = track.identity
        if not identity and track.sightings + 1 >= self.min_sightings:
            self._last_identity += 1
            identity = self._last_identity
        return replace(seen, identity=identity, sightings=track.sightings + 1, velocity=velocity)


def _new(poses: Poses, person: int, time: float) -> _Track:
    keypoints, box = poses.keypoints[person].astype(np.float64), poses.boxes[person].astype(np.float64)
    return _Track(0, 1, time, keypoints, poses.scores[person], box, np.zeros(2))


def _assigned(tracks: list[_Track], poses: Poses, time: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places of tracks and of the persons that continue them: of all ways to pair them, the most alike in sum."""
    from scipy.optimize import linear_sum_assignment

    if not tracks or not len(poses):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    similarity = _similarity(tracks, poses, time)
    similarity[similarity < _MIN_SIMILARITY] = 0
    found, persons = linear_sum_assignment(similarity, maximize=True)
    alike = similarity[found, persons] > 0
    return found[alike], persons[alike]


def _similarity(tracks: list[_Track], poses: Poses, time: float) -> NDArray[np.float64]:
    """(tracks, persons), 0..1: the mean of OKS and of the overlap of the boxes, both blurred by the time unseen.

    The larger of two counts: where the person would be now, and, as some turn round, where it was last seen.
    """
    growth = np.array([track.growth(time) for track in tracks])
    shifts = np.stack([track.shift(time) for track in tracks])
    boxes = np.stack([track.box for track in tracks])
    keypoints = np.stack([track.keypoints for track in tracks])
    counted = np.stack([track.scores for track in tracks]) > _MIN_KEYPOINT_SCORE
    areas = _BODY_SHARE * boxes[:, 2] * boxes[:, 3] * growth**2
    sigmas = np.array(poses.keypoint_set.sigmas)
    moved = np.concatenate([boxes[:, :2] + shifts, boxes[:, 2:]], axis=1)
    ahead, behind = (
        oks_to_truth(poses.keypoints, points, areas, sigmas, counted).T + _overlap(places, poses.boxes, growth)
        for points, places in ((keypoints + shifts[:, None], moved), (keypoints, boxes))
    )
    return np.asarray(np.maximum(ahead, _TURNING * behind) / 2)


def _overlap(boxes: NDArray[np.float64], others: NDArray[np.floating], growth: NDArray[np.float64]) -> Any:
    """(boxes, others): the pairs' intersection over union, both grown about their centres by the first one's factor."""
    ours, theirs = (np.asarray(each, np.float64).reshape(-1, 2, 2) for each in (boxes, others))
    factor = growth[:, None, None]
    sides, other_sides = factor * ours[:, None, 1], factor * theirs[None, :, 1]
    centers, other_centers = ours[:, None].sum(axis=2) - ours[:, None, 1] / 2, theirs.sum(axis=1) - theirs[:, 1] / 2
    reach = (sides + other_sides) / 2 - np.abs(centers - other_centers)  # of the sides into each other, uncut
    shared = np.minimum(reach, np.minimum(sides, other_sides)).clip(0).prod(axis=2)
    return shared / (sides.prod(axis=2) + other_sides.prod(axis=2) - shared)


@dataclass(frozen=True)
class _Smoothed:
    """Of one person: time, smoothed keypoints (keypoints, 2), and their smoothed speeds in box sides per second."""

    time: float
    keypoints: NDArray[np.float64]
    speeds: NDArray[np.float64]


class KeypointSmoother:
    """The One-Euro filter (Casiez, Roussel and Vogel, CHI 2012) for keypoints: steady at rest, prompt in motion.

    Args:
        min_cutoff: Hz; the lower, the steadier who stands still.
        beta: How fast the cutoff rises with the speed, in Hz per box side (the root of the box's area) a second; the
            higher, the less smoothed keypoints lag behind.
        max_gap: Seconds after which a person's filter starts anew.
    """

    def __init__(self, min_cutoff: float = 1.5, beta: float = 3.0, max_gap: float = 1.0) -> None:
        self.min_cutoff, self.beta, self.max_gap = min_cutoff, beta, max_gap
        self._persons: dict[int, _Smoothed] = {}

    def smooth(self, poses: Poses, identities: NDArray[np.intp], time: float) -> Poses:
        """The poses of the next frame with smoothed keypoints; ``poses`` itself is left as it is.

        Args:
            poses: Of the frame.
            identities: (persons,), from ``Tracker.update``; persons without one (0) are not smoothed.
            time: Of the frame in seconds, later than that of the last one.
        """
        keypoints = poses.keypoints.copy()
        self._persons = {i: p for i, p in self._persons.items() if time - p.time <= self.max_gap}
        for person, identity in enumerate(identities.tolist()):
            if identity:
                side = float(np.sqrt(poses.boxes[person, 2] * poses.boxes[person, 3]))
                after = self._next(self._persons.get(identity), poses.keypoints[person].astype(np.float64), side, time)
                self._persons[identity], keypoints[person] = after, after.keypoints
        return replace(poses, keypoints=keypoints)

    def _next(self, before: _Smoothed | None, measured: NDArray[np.float64], side: float, time: float) -> _Smoothed:
        if before is None:
            return _Smoothed(time, measured, np.zeros_like(measured))
        seconds = time - before.time
        speeds = (measured - before.keypoints) / side / seconds
        speeds = before.speeds + _weight(1.0, seconds) * (speeds - before.speeds)  # cut off at 1 Hz, as published
        cutoff = self.min_cutoff + self.beta * np.linalg.norm(speeds, axis=-1, keepdims=True)
        return _Smoothed(time, before.keypoints + _weight(cutoff, seconds) * (measured - before.keypoints), speeds)


def _weight(cutoff: NDArray[np.float64] | float, seconds: float) -> NDArray[np.float64]:
    """Of the newest value in a first-order low-pass filter with this cutoff frequency (Hz)."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff) * seconds)))
