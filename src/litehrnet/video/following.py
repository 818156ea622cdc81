"""Follow people from frame to frame: in each frame the network looks where the last poses were.

Without a detector one person is followed, with a detector all people that it finds.
"""

import math
from dataclasses import replace

import numpy as np

from litehrnet.arrays import Floats32, Image, Indices, Mask
from litehrnet.inference.estimator import PoseEstimator
from litehrnet.keypoints.boxes import BODY_SHARE, pairwise_iou
from litehrnet.keypoints.oks import oks_nms
from litehrnet.poses import Poses

LOST = 0.3
"""Mean score of the keypoints, 0..1, below which a person is not there."""

_SURE = 0.2  # lowest score of the keypoints that the next box encloses
_BODY_MARGIN = 0.15  # of the pose's sides, on each side: the body extends beyond its outermost keypoints
_FALLEN = 0.6  # share of the mean score at the last detection, below which the detector runs again
_DOUBLE = 0.6  # OKS from which two poses are one person found twice
_ALONE_INTERVAL = 0.2  # seconds between two runs of the detector while it sees one person
_CROWDED = 0.1  # overlap (IoU) of two boxes from which only the detector can separate the people
_SAME_BOX = 0.3  # overlap (IoU) from which a detected box may show the person of an earlier box
_HALF_LIFE = 0.5  # seconds in which the box score of a person whom the detector misses halves
_FADED = 0.1  # box score below which such a person is given up
_LEAST_SHARE = 0.25  # smallest ratio of a box's sides, for people seen from the side


class Follower:
    """Finds one person frame by frame: first in the whole picture, then around where the last pose was.

    If the scores fall, the whole picture and squares along it are searched in the same frame. The best place is then
    searched twice more closely, because small people have low scores at first. The pose with the best score counts.

    Args:
        estimator: Estimator of the keypoints.
    """

    def __init__(self, estimator: PoseEstimator) -> None:
        self._estimator = estimator
        self._box: Floats32 | None = None

    def find(self, image: Image) -> Poses:
        """Find the person in the next frame: one pose or none, with the box around the pose.

        Args:
            image: uint8 (H, W, 3), RGB.
        """
        poses = None if self._box is None else self._estimator.predict(image, self._box[None])
        if poses is None or _certainty(poses) < LOST:
            poses = max([*([] if poses is None else [poses]), *self._anew(image)], key=_certainty)
        if _certainty(poses) < LOST:
            self._box = None
            return poses[:0]
        self._box = around(poses, image)
        return replace(poses, boxes=self._box[None])

    def _anew(self, image: Image) -> list[Poses]:
        """Search the whole picture and its parts, then around the best pose, then around that result."""
        everywhere = self._estimator.predict(image, windows(image))
        surest = int(everywhere.scores.mean(axis=1).argmax())
        looks = [everywhere[surest : surest + 1]]
        for _ in range(2):
            looks.append(self._estimator.predict(image, around(looks[-1], image)[None]))
        return looks


class GroupFollower:
    """Finds all people frame by frame, by a detector at intervals and by the last boxes in between.

    A box moves with its keypoints. If the scores of a person fall, or two poses become one, the detector runs in the
    same frame. A person whom the detector misses is followed for about a second: the box score falls until it is
    too low. While boxes overlap it runs in every frame: a person behind another one cannot be followed by keypoints.

    Args:
        estimator: Estimator of the keypoints, with a detector.
        interval: Seconds between two runs of the detector; 0 for every frame. None: 0.2 while one person is in the
            picture, every frame while several are, because their boxes and identities are slightly better then.
    """

    def __init__(self, estimator: PoseEstimator, interval: float | None) -> None:
        self._estimator, self._interval = estimator, interval
        self._detected_at = -math.inf
        self._at_detection: Poses | None = None  # the people at the last detection
        self._poses: Poses | None = None
        self._time = -math.inf  # of the poses

    def find(self, image: Image, time: float) -> Poses:
        """Find the people in the next frame; there may be none.

        Args:
            image: uint8 (H, W, 3), RGB.
            time: Time of the frame in seconds, strictly increasing.
        """
        poses = self._found(image, time)
        self._poses, self._time = poses, time
        return poses

    def _found(self, image: Image, time: float) -> Poses:
        before, anchors = self._poses, self._at_detection
        if before is None or anchors is None or not len(before) or self._due(before, time):
            return self._detected(image, time)
        poses = self._estimator.predict_again(image, before.boxes, before.box_scores)
        first, now = anchors.scores.mean(axis=1), poses.scores.mean(axis=1)
        if ((first >= LOST) & (now < _FALLEN * first)).any():
            return self._detected(image, time)
        # Movements start at the detector's boxes, so errors do not add up over frames.
        poses = replace(poses, boxes=_moved(anchors, poses))
        kept = np.intersect1d(_single(poses), np.flatnonzero(_inside(poses.boxes, image)))
        if len(kept) < len(poses):
            return self._detected(image, time)
        return poses

    def _due(self, before: Poses, time: float) -> bool:
        interval = self._interval
        if interval is None:
            interval = _ALONE_INTERVAL if len(before) == 1 else 0
        # Times are sums of rounded fractions, so a millisecond early counts as on time.
        return time - self._detected_at >= interval - 1e-3 or _crowded(before.boxes)

    def _detected(self, image: Image, time: float) -> Poses:
        poses = self._estimator.predict(image)
        if self._poses is not None:
            poses = self._with_missed(image, poses, self._poses, time - self._time)
        self._at_detection, self._detected_at = poses, time
        return poses

    def _with_missed(self, image: Image, poses: Poses, before: Poses, seconds: float) -> Poses:
        """Add the people of the last frame, ``seconds`` ago, whom the detector missed and who are still there.

        Their box scores fade, so that a wrong pose does not stay.
        """
        missed = before[pairwise_iou(before.boxes, poses.boxes).max(axis=1, initial=0) < _SAME_BOX]
        faded = missed.box_scores * np.float32(0.5 ** (seconds / _HALF_LIFE))
        missed, faded = missed[faded >= _FADED], faded[faded >= _FADED]
        if not len(missed):
            return poses
        again = self._estimator.predict_again(image, missed.boxes, faded)
        again = replace(again, boxes=_moved(missed, again))
        again = again[(again.scores.mean(axis=1) >= LOST) & _inside(again.boxes, image)]
        together = _joined(poses, again)
        return together[_single(together)]


def _joined(first: Poses, second: Poses) -> Poses:
    """Return the people of both."""
    return Poses(
        np.concatenate([first.keypoints, second.keypoints]),
        np.concatenate([first.scores, second.scores]),
        np.concatenate([first.boxes, second.boxes]),
        np.concatenate([first.box_scores, second.box_scores]),
        first.keypoint_set,
    )


def _moved(before: Poses, poses: Poses) -> Floats32:
    """Move the boxes (people, 4) of an earlier frame by the mean movement of the keypoints."""
    sure = (np.minimum(before.scores, poses.scores) >= _SURE)[..., None]
    moves = ((poses.keypoints - before.keypoints) * sure).sum(axis=1) / np.maximum(sure.sum(axis=1), 1)
    return np.concatenate([before.boxes[:, :2] + moves, before.boxes[:, 2:]], axis=1).astype(np.float32)


def _crowded(boxes: Floats32) -> bool:
    """Return whether two boxes overlap too much."""
    overlaps = pairwise_iou(boxes, boxes)
    np.fill_diagonal(overlaps, 0)
    return float(overlaps.max(initial=0)) > _CROWDED


def _single(poses: Poses) -> Indices:
    """Return the indices, in order, of the poses that do not repeat a better one."""
    areas = BODY_SHARE * poses.boxes[:, 2:].prod(axis=1)
    return np.sort(oks_nms(poses.keypoints, poses.pose_scores, areas, np.array(poses.keypoint_set.sigmas), _DOUBLE))


def _inside(boxes: Floats32, image: Image) -> Mask:
    """Return which boxes have their centers in the picture."""
    centers = boxes[:, :2] + boxes[:, 2:] / 2
    return np.asarray(((centers >= 0) & (centers < image.shape[1::-1])).all(axis=1))


def windows(image: Image) -> Floats32:
    """List the boxes (n, 4) to search for small people: the whole picture, and squares along it that overlap by half.

    Args:
        image: uint8 (H, W, 3); if H and W are equal, there are no squares.
    """
    height, width = image.shape[:2]
    side, longer = min(height, width), max(height, width)
    count = 1 + math.ceil((longer - side) / (side / 2))
    starts = np.linspace(0, longer - side, count)[: count if longer > side else 0]
    across = (1, 0) if width >= height else (0, 1)
    squares = [(start * across[0], start * across[1], side, side) for start in starts]
    return np.array([(0, 0, width, height), *squares], np.float32)


def around(poses: Poses, image: Image) -> Floats32:
    """Return a box (4,) in the picture around the first pose, as large as the body probably is."""
    sure = poses.scores[0] >= min(_SURE, float(np.sort(poses.scores[0])[-2:][0]))  # at least two, if there are two
    points = poses.keypoints[0][sure].astype(np.float64)
    first, last = points.min(axis=0), points.max(axis=0)
    size = np.maximum(last - first, (last - first).max() * _LEAST_SHARE).clip(1)
    center, size = (first + last) / 2, size * (1 + 2 * _BODY_MARGIN)
    picture = np.array(image.shape[1::-1], np.float64)
    corner = (center - size / 2).clip(0, picture - 1)
    return np.concatenate([corner, (center + size / 2).clip(corner + 1, picture) - corner]).astype(np.float32)


def _certainty(poses: Poses) -> float:
    return float(poses.scores[0].mean())
