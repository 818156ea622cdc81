"""``Body`` and ``PoseTracker``, called as those of rtmlib: ``(image_bgr) -> keypoints, scores``.

Images are uint8 (height, width, 3) in OpenCV's order of channels, BGR. ``keypoints`` are float32 (people, keypoints, 2)
in pixels. ``scores`` are the likelihoods, float32 (people, keypoints), 0..1, as programs compare rtmlib's scores with
thresholds between 0 and 1. rtmlib itself is not needed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from litehrnet.arrays import Floats32, Image, Indices
from litehrnet.errors import UserError
from litehrnet.inference.estimator import PoseEstimator
from litehrnet.poses import Poses
from litehrnet.video.following import Follower, GroupFollower
from litehrnet.video.tracking import Tracker


class Body:
    """Finds people in single images. rtmlib's own ``PoseTracker(Body)`` accepts this class in place of its ``Body``.

    Args:
        estimator: Networks; None for the bundled ones. ``functools.partial(Body, estimator)`` is a class for rtmlib.
        to_openpose: Must be False, as keypoints keep the order of the weights.
        mode, backend, device: Settings of rtmlib's networks, which have no effect here.

    Attributes:
        det_model: Finds boxes (people, 4): left, top, right, bottom; None if the estimator has no detector.
        pose_model: This object.

    Raises:
        UserError: ``to_openpose`` is True; or see ``PoseEstimator``.

    Example:
        >>> from litehrnet import read_image
        >>> from litehrnet.cli.demo import PHOTO
        >>> from litehrnet.integrations.rtmlib import Body
        >>> image_bgr = read_image(PHOTO)[..., ::-1]
        >>> keypoints, scores = Body()(image_bgr)
        >>> keypoints.shape, scores.shape
        ((3, 17, 2), (3, 17))
    """

    def __init__(
        self,
        estimator: PoseEstimator | None = None,
        *,
        to_openpose: bool = False,
        mode: str | None = None,
        backend: str | None = None,
        device: str | None = None,
    ) -> None:
        if to_openpose:
            raise UserError("to_openpose: is not supported (expected False; Poses.to_openpose writes OpenPose's JSON)")
        self._estimator = estimator or PoseEstimator()
        self.det_model = None if self._estimator.detector is None else _Boxes(self._estimator)
        self.pose_model = self

    def __call__(self, image: Image, bboxes: ArrayLike | None = None) -> tuple[Floats32, Floats32]:
        """Find the keypoints of the people in an image.

        Args:
            image: The image, BGR.
            bboxes: (people, 4): left, top, right, bottom in pixels, one person each; None to detect the people.

        Returns:
            Keypoints and scores.
        """
        if bboxes is None:
            return _pair(self._estimator.predict(image, channels="bgr"))
        corners = np.asarray(bboxes, np.float32).reshape(-1, 4)
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        return _pair(self._estimator.predict(image, boxes, channels="bgr"))


@dataclass(frozen=True)
class _Boxes:
    """Detector in rtmlib's shape. Its tracker reads ``det_mode``: boxes are of people."""

    estimator: PoseEstimator
    det_mode: str = "human"

    def __call__(self, image: Image) -> Floats32:
        boxes = self.estimator.predict(image, channels="bgr").boxes
        return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


class PoseTracker:
    """Finds people in the frames of a video, the same person always at the same place among those who are there.

    Args:
        estimator: Networks; None for the bundled ones.
        fps: Frames per second.

    Attributes:
        identities: (people,) of the last frame, in rising order: the same number for the same person, from 1 on.

    Raises:
        UserError: scipy is not installed; or see ``PoseEstimator``.

    Example:
        >>> from litehrnet import read_image
        >>> from litehrnet.cli.demo import PHOTO
        >>> from litehrnet.integrations.rtmlib import PoseTracker
        >>> track, frame_bgr = PoseTracker(fps=25), read_image(PHOTO)[..., ::-1]
        >>> for _ in range(3):
        ...     keypoints, scores = track(frame_bgr)
        >>> track.identities.tolist()
        [1, 2, 3]
        >>> track.reset()  # before another video
    """

    def __init__(self, estimator: PoseEstimator | None = None, *, fps: float = 30.0) -> None:
        self._estimator, self._fps = estimator or PoseEstimator(), fps
        self.reset()

    def reset(self) -> None:
        """Forget all people, before another video."""
        self._tracker, self._frames = Tracker(), 0
        self._group = None if self._estimator.detector is None else GroupFollower(self._estimator, None)
        self._follower = Follower(self._estimator)
        self.identities: Indices = np.empty(0, np.intp)

    def __call__(self, image: Image) -> tuple[Floats32, Floats32]:
        """Find the people of the next frame, who have been seen in three frames.

        Args:
            image: The frame, BGR.

        Returns:
            Keypoints and scores, in the order of ``identities``.
        """
        frame = np.ascontiguousarray(image[..., ::-1])
        time, self._frames = self._frames / self._fps, self._frames + 1
        poses = self._follower.find(frame) if self._group is None else self._group.find(frame, time)
        identities = self._tracker.update(poses, time, frame)
        order = np.argsort(identities, kind="stable")
        order = order[identities[order] > 0]
        self.identities = identities[order]
        return _pair(poses[order])


def _pair(poses: Poses) -> tuple[Floats32, Floats32]:
    return poses.keypoints, poses.likelihoods.astype(np.float32)
