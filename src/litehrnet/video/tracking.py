"""Who is who from frame to frame, and steadier keypoints.

People are joined to those of earlier frames by the optimal assignment of what their keypoints (OKS), boxes and colors
have in common, after each has been moved on as it last moved. Only sure poses start a track, and a track gets an
identity after several of them. Someone who was gone for longer than ``Tracker.max_gap`` is recognized by colors alone.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.keypoints.boxes import BODY_SHARE, pairwise_iou
from litehrnet.keypoints.oks import oks_to_truth, pairwise_oks
from litehrnet.optional import require
from litehrnet.poses import Poses
from litehrnet.video.appearance import Appearance, add_sighting, color_differences, limb_colors

_SURE = 0.15  # box score times mean keypoint score, from which on a pose can start a track
_MIN_SIMILARITY = 0.3  # of a person to a track that it may continue, 0..1
_MIN_KEYPOINT_SCORE = 0.2  # of keypoints that count
_SPEED_GAIN = 0.2  # how much of a new observation enters the speed
_COASTING = 2.0  # seconds in which somebody unseen loses all but 1/e of the speed: people turn and stop
_TURNING = 0.7  # how much finding somebody at the last place counts, compared with finding them where they went
_GROWTH = 0.8  # of the boxes' sides, per second unseen: for what is not known of where somebody went meanwhile
_MOST_DIFFERENT = 0.18  # difference in colors up to which someone can be a person seen earlier
_COLOR_SCALE = 0.05  # difference in colors that lowers a similarity to 1/e
_PATIENCE = 5  # times as many sightings make someone new while others are away
_LEAD = 0.02  # by which the colors of another identity must be nearer to cast doubt
_LEAST_SIZE = 0.25  # of the areas of two boxes of the same person, the smaller divided by the larger
_BLINK = 0.2  # seconds out of sight after which the colors must fit too
_SAME = 0.14  # difference in colors up to which those of an identity are averaged with new ones
_DOUBTS = 5  # sightings in a row with the wrong colors after which an identity is taken away
_SHORT, _LONG = 4.0, 50.0  # sightings over which the colors of a track and of an identity are averaged, about
_DOUBLE = 0.4  # OKS of two poses of the same person
_APART = 0.3  # overlap (IoU) with others up to which someone's colors are their own


@dataclass(frozen=True)
class _Track:
    """A person over time, as last seen; ``identity`` is 0 until ``sightings`` are enough."""

    identity: int
    sightings: int
    doubts: int  # sightings in a row whose colors are not those of the identity
    time: float
    keypoints: NDArray[np.float64]
    scores: NDArray[np.float32]
    box: NDArray[np.float64]
    velocity: NDArray[np.float64]  # (2,) image pixels per second
    look: Appearance | None  # colors of the last sightings
    apart: bool  # whether nobody else was in front or behind in the last sighting
    clean: bool  # whether the colors are from such sightings alone

    def shift(self, time: float) -> NDArray[np.float64]:
        """How far the person is expected to have moved since."""
        return np.asarray(self.velocity * _COASTING * -np.expm1((self.time - time) / _COASTING))

    def growth(self, time: float) -> float:
        """By what the box is enlarged for what is not known any more."""
        return 1 + _GROWTH * (time - self.time)


@dataclass(frozen=True)
class _Known:
    """What is remembered of an identity."""

    time: float
    look: Appearance
    clean: bool


class Tracker:
    """Gives the people of a video their identities, frame by frame.

    Args:
        max_gap: Seconds for which a person can be out of sight and is found again by place and motion.
        min_sightings: Frames in a row, 2 or more, in which a person must be seen to get an identity: false boxes are
            rarely as steady.
        memory: Seconds for which a person can be out of sight and is recognized by colors, if images are given.

    Raises:
        UserError: scipy is not installed.
    """

    def __init__(self, max_gap: float = 1.0, min_sightings: int = 3, memory: float = 60.0) -> None:
        require("scipy", "video", "tracking")
        self.max_gap, self.min_sightings, self.memory = max_gap, min_sightings, memory
        self._tracks: list[_Track] = []
        self._known: dict[int, _Known] = {}
        self._last_identity = 0

    def update(self, poses: Poses, time: float, image: NDArray[np.uint8] | None = None) -> NDArray[np.intp]:
        """Identities of the people in the next frame.

        Args:
            poses: People of the frame; nobody is fine.
            time: Time of the frame in seconds, later than that of the last one.
            image: The frame, uint8 (H, W, 3), RGB; without it colors do not count.

        Returns:
            (people,): the same number for the same person, from 1 on; 0 for those not seen often enough yet.
        """
        seen = _sightings(poses, time, image)
        named = [track for track in self._tracks if track.identity and time - track.time <= self.max_gap]
        unnamed = [track for track in self._tracks if not track.identity]
        present: dict[int, _Track] = {}  # by the person's place in the frame
        left = np.flatnonzero(_single(poses))
        unseen: list[_Track] = []
        # Whoever has an identity chooses first: a false box of the last frame takes nobody's place.
        for tracks in (named, unnamed):
            pairs = _assigned(tracks, poses[left], time, self._differences(tracks, [seen[i] for i in left]))
            present |= {int(left[j]): _continued(tracks[i], seen[left[j]]) for i, j in pairs}
            if tracks is named:
                found = {i for i, _ in pairs}
                unseen = [track for i, track in enumerate(named) if i not in found]
            left = np.array([i for i in left if i not in present and poses.pose_scores[i] >= _SURE], np.intp)
        present |= {int(i): seen[i] for i in left}
        self._known = {i: known for i, known in self._known.items() if time - known.time <= self.memory}
        self._identify(present)
        taken = {track.identity for track in present.values()}
        self._tracks = [*present.values(), *(track for track in unseen if track.identity not in taken)]
        identities = np.zeros(len(poses), np.intp)
        for person, track in present.items():
            identities[person] = track.identity
        return identities

    def _identify(self, present: dict[int, _Track]) -> None:
        """Give identities to tracks of this frame that were seen often enough, and correct those that do not fit."""
        for person in present:
            track = present[person]
            differences = self._differences_to_known(track)
            if track.identity:
                present[person] = self._confirmed(track, differences)
                if present[person].doubts > _DOUBTS:
                    self._correct(present, person, differences)
            elif track.sightings >= self.min_sightings:
                for other in present.values():
                    differences.pop(other.identity, None)
                alike = _most_alike(differences)
                # Someone known may be coming back who is not seen well yet.
                if alike or not differences or track.sightings >= _PATIENCE * self.min_sightings:
                    self._last_identity += not alike
                    present[person] = replace(track, identity=alike or self._last_identity)

    def _confirmed(self, track: _Track, differences: dict[int, float]) -> _Track:
        """The track with one more doubt, or none; colors without doubt are remembered."""
        known = self._known.get(track.identity)
        if track.look is None or not (known is None or track.apart):
            return track
        if known is None or track.clean > known.clean:
            self._known[track.identity] = _Known(track.time, track.look, track.clean)
            return replace(track, doubts=0)
        own = differences[track.identity]
        if own > min(_MOST_DIFFERENT, min(differences.values()) + _LEAD):
            return replace(track, doubts=track.doubts + 1) if np.isfinite(own) else track
        look = add_sighting(known.look, track.look, _LONG) if own <= _SAME else known.look
        self._known[track.identity] = _Known(track.time, look, known.clean)
        return replace(track, doubts=0)

    def _correct(self, present: dict[int, _Track], person: int, differences: dict[int, float]) -> None:
        """Give a track the identity that its colors are those of, in exchange with whoever has it in this frame."""
        track = present[person]
        alike = _most_alike(differences)
        if alike:
            for other in present:
                if present[other].identity == alike:
                    present[other] = replace(present[other], identity=track.identity, doubts=0)
            present[person] = replace(track, identity=alike, doubts=0)
        elif track.look is not None and track.doubts > 3 * _DOUBTS:
            # Nobody else looks like that: the colors were learned too early, or the light has changed.
            self._known[track.identity] = _Known(track.time, track.look, track.clean)
            present[person] = replace(track, doubts=0)

    def _differences(self, tracks: list[_Track], seen: list[_Track]) -> NDArray[np.float64]:
        """(tracks, people): how far the colors are apart; infinite where they are not known."""
        looks = [self._known[t.identity].look if t.identity in self._known else t.look for t in tracks]
        return color_differences(looks, [person.look for person in seen])

    def _differences_to_known(self, track: _Track) -> dict[int, float]:
        """How far the colors of a track are from those of each identity."""
        looks = [known.look for known in self._known.values()]
        return dict(zip(self._known, color_differences([track.look], looks)[0].tolist(), strict=True))


def _most_alike(differences: dict[int, float]) -> int:
    """The identity with the least difference in colors, if that is small enough for the same person, or 0."""
    alike = min(differences, key=differences.__getitem__, default=0)
    return alike if alike and differences[alike] <= _MOST_DIFFERENT else 0


def _sightings(poses: Poses, time: float, image: NDArray[np.uint8] | None) -> list[_Track]:
    """A new track for each person of the frame."""
    keypoints, boxes = poses.keypoints.astype(np.float64), poses.boxes.astype(np.float64)
    looks = None if image is None else limb_colors(image, poses)
    overlaps = pairwise_iou(boxes, boxes)
    apart = overlaps.sum(axis=1) - overlaps.diagonal() <= _APART
    tracks = []
    for i in range(len(poses)):
        look = None if looks is None else looks[i]
        alone = bool(apart[i])
        tracks.append(_Track(0, 1, 0, time, keypoints[i], poses.scores[i], boxes[i], np.zeros(2), look, alone, alone))
    return tracks


def _continued(track: _Track, seen: _Track) -> _Track:
    """The track, continued by a person of this frame."""
    counts = np.minimum(track.scores, seen.scores) > _MIN_KEYPOINT_SCORE
    if counts.any():
        moved = (seen.keypoints - track.keypoints)[counts].mean(axis=0)
    else:
        moved = (seen.box - track.box)[:2] + (seen.box - track.box)[2:] / 2
    gain = max(_SPEED_GAIN, 1 / track.sightings)
    velocity = track.velocity + gain * (moved / (seen.time - track.time) - track.velocity)
    look, clean = track.look, track.clean
    if look is None or seen.look is None or seen.apart > clean:
        look, clean = seen.look or look, seen.apart
    elif seen.apart or not clean:
        look = add_sighting(look, seen.look, _SHORT)
    return replace(
        seen,
        identity=track.identity,
        sightings=track.sightings + 1,
        doubts=track.doubts,
        velocity=velocity,
        look=look,
        clean=clean,
    )


def _single(poses: Poses) -> NDArray[np.bool_]:
    """Which people are not a surer person found twice."""
    areas = BODY_SHARE * poses.boxes[:, 2:].prod(axis=1)
    alike = pairwise_oks(poses.keypoints, areas, np.array(poses.keypoint_set.sigmas))
    surer = poses.pose_scores > poses.pose_scores[:, None]
    return np.asarray((alike * surer).max(axis=1, initial=0) < _DOUBLE)


def _assigned(
    tracks: list[_Track], poses: Poses, time: float, differences: NDArray[np.float64]
) -> list[tuple[int, int]]:
    """Places of tracks and of the people that continue them: of all ways to pair them, the most alike in sum."""
    from scipy.optimize import linear_sum_assignment

    if not tracks or not len(poses):
        return []
    similarity = _similarity(tracks, poses, time)
    known = np.isfinite(differences)
    lost = np.array([time - track.time > _BLINK for track in tracks])[:, None]
    near = (similarity >= _MIN_SIMILARITY) & ~(lost & known & (differences > _MOST_DIFFERENT))
    similarity = np.where(near, similarity * np.where(known, np.exp(-differences / _COLOR_SCALE), 1), 0)
    found, persons = linear_sum_assignment(similarity, maximize=True)
    alike = near[found, persons]
    return list(zip(found[alike].tolist(), persons[alike].tolist(), strict=True))


def _similarity(tracks: list[_Track], poses: Poses, time: float) -> NDArray[np.float64]:
    """(tracks, persons), 0..1: the mean of OKS and of the overlap of the boxes, both blurred by the time unseen.

    The larger of two counts: where the person would be now, and, as some turn round, where it was last seen.
    """
    growth = np.array([track.growth(time) for track in tracks])
    shifts = np.stack([track.shift(time) for track in tracks])
    boxes = np.stack([track.box for track in tracks])
    keypoints = np.stack([track.keypoints for track in tracks])
    counted = np.stack([track.scores for track in tracks]) > _MIN_KEYPOINT_SCORE
    areas = BODY_SHARE * boxes[:, 2] * boxes[:, 3] * growth**2
    sigmas = np.array(poses.keypoint_set.sigmas)
    moved = np.concatenate([boxes[:, :2] + shifts, boxes[:, 2:]], axis=1)
    ahead, behind = (
        oks_to_truth(poses.keypoints, points, areas, sigmas, counted).T + _overlap(places, poses.boxes, growth)
        for points, places in ((keypoints + shifts[:, None], moved), (keypoints, boxes))
    )
    areas, others = boxes[:, 2:].prod(axis=1)[:, None], poses.boxes[:, 2:].prod(axis=1)
    as_large = np.minimum(areas, others) >= _LEAST_SIZE * np.maximum(areas, others)
    return np.asarray(as_large * np.maximum(ahead, _TURNING * behind) / 2)


def _overlap(boxes: NDArray[np.float64], others: NDArray[np.floating], growth: NDArray[np.float64]) -> Any:
    """(boxes, others): the pairs' intersection over union, both grown about their centers by the first one's factor."""
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
