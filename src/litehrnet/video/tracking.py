"""Track the identities of people from frame to frame, and smooth their keypoints.

People are matched to those of earlier frames, moved on with their last speed. The optimal assignment uses similarities
of keypoints (OKS), boxes and colors. Only poses with high scores start a track, and a track gets an
identity after several sightings. People who were away for longer than ``Tracker.max_gap`` are recognized by colors.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from litehrnet.arrays import Floats, Floats32, Floats64, Image, Indices, Mask
from litehrnet.keypoints.boxes import BODY_SHARE, pairwise_iou
from litehrnet.keypoints.oks import oks_to_truth, pairwise_oks
from litehrnet.optional import require
from litehrnet.poses import Poses
from litehrnet.video.appearance import Appearance, add_sighting, color_differences, limb_colors

_SURE = 0.15  # box score times mean keypoint score from which a pose can start a track
_LEAST = 0.08  # the same below which a pose continues no track: there is only background, unless the box is sure
_SURE_BOX = 0.6  # box score from which a person counts whose keypoints were not seen
_MIN_SIMILARITY = 0.3  # lowest similarity of a person and the track that it continues, 0..1
_MIN_KEYPOINT_SCORE = 0.2  # lowest score of keypoints that count
_SPEED_GAIN = 0.2  # weight of a new observation in the speed
_COASTING = 2.0  # seconds in which the speed of an unseen person falls to 1/e: people turn and stop
_TURNING = 0.7  # weight of the last place, compared with the expected place
_GROWTH = 0.8  # growth of the search box per second without a detection
_MOST_DIFFERENT = 0.18  # largest color difference from a known person
_COLOR_SCALE = 0.05  # color difference that lowers a similarity to 1/e
_PATIENCE = 5  # times as many sightings make a new person while others are away
_LEAD = 0.02  # difference by which the colors of another identity must be nearer to cause doubt
_LEAST_SIZE = 0.25  # smallest ratio of the areas of two boxes of the same person
_BLINK = 0.2  # seconds out of sight after which the colors must also match
_SAME = 0.14  # largest color difference up to which new colors are averaged into an identity
_DOUBTS = 5  # consecutive sightings with wrong colors after which an identity is removed
_SHORT, _LONG = 4.0, 50.0  # approximate sightings over which the colors of a track and of an identity are averaged
_DOUBLE = 0.4  # OKS of two poses of the same person
_APART = 0.3  # largest overlap (IoU) with others at which a person's colors are reliable


@dataclass(frozen=True)
class _Track:
    """Track of a person, as last seen; ``identity`` is 0 until there are enough ``sightings``."""

    identity: int
    sightings: int
    doubts: int  # consecutive sightings whose colors do not match the identity
    time: float
    keypoints: Floats64
    scores: Floats32
    box: Floats64
    velocity: Floats64  # (2,) image pixels per second
    look: Appearance | None  # colors of the last sightings
    apart: bool  # whether no other person overlapped in the last sighting
    clean: bool  # whether the colors are only from such sightings

    def shift(self, time: float) -> Floats64:
        """Return the expected movement (2,) since the last sighting, in pixels."""
        return np.asarray(self.velocity * _COASTING * -np.expm1((self.time - time) / _COASTING))

    def growth(self, time: float) -> float:
        """Return the factor by which the search box grows with time."""
        return 1 + _GROWTH * (time - self.time)


@dataclass(frozen=True)
class _Known:
    """Remembered appearance of an identity."""

    time: float
    look: Appearance
    clean: bool


class Tracker:
    """Assigns identities to the people of a video, frame by frame.

    Args:
        max_gap: Seconds out of sight up to which a person is found again by place and motion.
        min_sightings: Number of consecutive frames, 2 or more, after which a person gets an identity; false boxes are
            rarely that steady.
        memory: Seconds out of sight up to which a person is recognized by colors, if images are given.

    Raises:
        UserError: scipy is not installed.

    Example:
        >>> from litehrnet import PoseEstimator
        >>> from litehrnet.cli.demo import PHOTO
        >>> from litehrnet.video.tracking import Tracker
        >>> tracker, poses = Tracker(), PoseEstimator().predict(PHOTO)
        >>> [tracker.update(poses, number / 25).tolist() for number in range(3)]
        [[0, 0, 0], [0, 0, 0], [1, 2, 3]]
    """

    def __init__(self, max_gap: float = 1.0, min_sightings: int = 3, memory: float = 60.0) -> None:
        require("scipy", "video", "tracking")
        self.max_gap, self.min_sightings, self.memory = max_gap, min_sightings, memory
        self._tracks: list[_Track] = []
        self._known: dict[int, _Known] = {}
        self._last_identity = 0

    def update(self, poses: Poses, time: float, image: Image | None = None) -> Indices:
        """Identify the people in the next frame.

        Args:
            poses: People in the frame; may be empty.
            time: Time of the frame in seconds, strictly increasing.
            image: The frame, uint8 (H, W, 3), RGB; None to ignore colors.

        Returns:
            (people,): the same number for the same person, 1 or more; 0 for people not seen often enough yet.
        """
        seen = _sightings(poses, time, image)
        named = [track for track in self._tracks if track.identity and time - track.time <= self.max_gap]
        unnamed = [track for track in self._tracks if not track.identity]
        present: dict[int, _Track] = {}  # by the person's index in the frame
        likely = (poses.pose_scores >= _LEAST) | (poses.box_scores >= _SURE_BOX)
        left = np.flatnonzero(_single(poses) & likely)
        unseen: list[_Track] = []
        # Tracks with an identity are matched first, before false boxes of the last frame.
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
        """Assign identities to tracks that were seen often enough, and correct identities with wrong colors."""
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
                # This may be a known person who comes back and is not seen well yet.
                if alike or not differences or track.sightings >= _PATIENCE * self.min_sightings:
                    self._last_identity += not alike
                    present[person] = replace(track, identity=alike or self._last_identity)

    def _confirmed(self, track: _Track, differences: dict[int, float]) -> _Track:
        """Return the track with one more doubt, or none; colors without doubt are remembered."""
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
        """Give a track the identity with its colors; a track that has it in this frame gets the other identity."""
        track = present[person]
        alike = _most_alike(differences)
        if alike:
            for other in present:
                if present[other].identity == alike:
                    present[other] = replace(present[other], identity=track.identity, doubts=0)
            present[person] = replace(track, identity=alike, doubts=0)
        elif track.look is not None and track.doubts > 3 * _DOUBTS:
            # No other identity has these colors: they were learned too early, or the light has changed.
            self._known[track.identity] = _Known(track.time, track.look, track.clean)
            present[person] = replace(track, doubts=0)

    def _differences(self, tracks: list[_Track], seen: list[_Track]) -> Floats64:
        """Compute color differences (tracks, people); infinite if the colors are unknown."""
        looks = [self._known[t.identity].look if t.identity in self._known else t.look for t in tracks]
        return color_differences(looks, [person.look for person in seen])

    def _differences_to_known(self, track: _Track) -> dict[int, float]:
        """Compute the color difference between a track and each identity."""
        looks = [known.look for known in self._known.values()]
        return dict(zip(self._known, color_differences([track.look], looks)[0].tolist(), strict=True))


def _most_alike(differences: dict[int, float]) -> int:
    """Return the identity with the smallest color difference; 0 if none is small enough."""
    alike = min(differences, key=differences.__getitem__, default=0)
    return alike if alike and differences[alike] <= _MOST_DIFFERENT else 0


def _sightings(poses: Poses, time: float, image: Image | None) -> list[_Track]:
    """Make a new track for each person in the frame."""
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
    """Continue a track with a person of this frame."""
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


def _single(poses: Poses) -> Mask:
    """Return which poses do not repeat a better one."""
    areas = BODY_SHARE * poses.boxes[:, 2:].prod(axis=1)
    alike = pairwise_oks(poses.keypoints, areas, np.array(poses.keypoint_set.sigmas))
    surer = poses.pose_scores > poses.pose_scores[:, None]
    return np.asarray((alike * surer).max(axis=1, initial=0) < _DOUBLE)


def _assigned(tracks: list[_Track], poses: Poses, time: float, differences: Floats64) -> list[tuple[int, int]]:
    """Match tracks and people, as index pairs, so that the sum of similarities is largest."""
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


def _similarity(tracks: list[_Track], poses: Poses, time: float) -> Floats64:
    """Compute similarities (tracks, people), 0..1: the mean of OKS and box overlap, wider for longer unseen tracks.

    The larger of two values counts: at the expected place, and at the last place, since people turn around.
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


def _overlap(boxes: Floats64, others: Floats, growth: Floats64) -> Any:
    """Compute IoU (boxes, others), with both boxes of a pair enlarged by the first one's growth."""
    ours, theirs = (np.asarray(each, np.float64).reshape(-1, 2, 2) for each in (boxes, others))
    factor = growth[:, None, None]
    sides, other_sides = factor * ours[:, None, 1], factor * theirs[None, :, 1]
    centers, other_centers = ours[:, None].sum(axis=2) - ours[:, None, 1] / 2, theirs.sum(axis=1) - theirs[:, 1] / 2
    reach = (sides + other_sides) / 2 - np.abs(centers - other_centers)  # overlap of the sides, not clipped yet
    shared = np.minimum(reach, np.minimum(sides, other_sides)).clip(0).prod(axis=2)
    return shared / (sides.prod(axis=2) + other_sides.prod(axis=2) - shared)


@dataclass(frozen=True)
class _Smoothed:
    """Filter state of one person: keypoints (keypoints, 2), and their speeds in box sides per second."""

    time: float
    keypoints: Floats64
    speeds: Floats64


class KeypointSmoother:
    """One-Euro filter (Casiez, Roussel and Vogel, CHI 2012) for keypoints: steady at rest, fast in motion.

    Args:
        min_cutoff: Cutoff frequency at rest, in Hz; lower values give steadier keypoints.
        beta: Increase of the cutoff with the speed, in Hz per box side (root of the box's area) per second; higher
            values reduce the lag.
        max_gap: Seconds without a sighting after which a person's filter restarts.

    Example:
        >>> import numpy as np
        >>> from litehrnet import PoseEstimator
        >>> from litehrnet.cli.demo import PHOTO
        >>> from litehrnet.video.tracking import KeypointSmoother
        >>> smoother, poses = KeypointSmoother(), PoseEstimator().predict(PHOTO)
        >>> smoother.smooth(poses, np.array([1, 2, 3]), time=0.0).keypoints.shape
        (3, 17, 2)
    """

    def __init__(self, min_cutoff: float = 1.5, beta: float = 3.0, max_gap: float = 1.0) -> None:
        self.min_cutoff, self.beta, self.max_gap = min_cutoff, beta, max_gap
        self._persons: dict[int, _Smoothed] = {}

    def smooth(self, poses: Poses, identities: Indices, time: float) -> Poses:
        """Return the poses of the next frame with smoothed keypoints; ``poses`` is not changed.

        Args:
            poses: Poses of the frame.
            identities: (persons,), from ``Tracker.update``; people without an identity (0) are not smoothed.
            time: Time of the frame in seconds, strictly increasing.
        """
        keypoints = poses.keypoints.copy()
        self._persons = {i: p for i, p in self._persons.items() if time - p.time <= self.max_gap}
        for person, identity in enumerate(identities.tolist()):
            if identity:
                side = float(np.sqrt(poses.boxes[person, 2] * poses.boxes[person, 3]))
                after = self._next(self._persons.get(identity), poses.keypoints[person].astype(np.float64), side, time)
                self._persons[identity], keypoints[person] = after, after.keypoints
        return replace(poses, keypoints=keypoints)

    def _next(self, before: _Smoothed | None, measured: Floats64, side: float, time: float) -> _Smoothed:
        if before is None:
            return _Smoothed(time, measured, np.zeros_like(measured))
        seconds = time - before.time
        speeds = (measured - before.keypoints) / side / seconds
        speeds = before.speeds + _weight(1.0, seconds) * (speeds - before.speeds)  # cutoff of 1 Hz, as in the paper
        cutoff = self.min_cutoff + self.beta * np.linalg.norm(speeds, axis=-1, keepdims=True)
        return _Smoothed(time, before.keypoints + _weight(cutoff, seconds) * (measured - before.keypoints), speeds)


def _weight(cutoff: Floats64 | float, seconds: float) -> Floats64:
    """Return the weight of the newest value in a first-order low-pass filter with this cutoff frequency (Hz)."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff) * seconds)))
