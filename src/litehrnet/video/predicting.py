"""Find poses in frames, optionally with identities and smoothing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from litehrnet.arrays import Indices
from litehrnet.inference.estimator import PoseEstimator
from litehrnet.poses import Poses
from litehrnet.video.following import Follower, GroupFollower
from litehrnet.video.reading import Frame
from litehrnet.video.tracking import KeypointSmoother, Tracker


@dataclass(frozen=True)
class FramePoses:
    """Poses in a frame.

    Attributes:
        frame: The frame.
        poses: People in the frame, with unsmoothed keypoints; may be empty.
        identities: (persons,): the same number for the same person, 1 or more; 0 for people who were not seen in three
            frames yet. None without tracking.
        smoothed: ``poses`` with smoothed keypoints; None without smoothing.

    Example:
        >>> from litehrnet import PoseEstimator, predict_frames, read_image
        >>> from litehrnet.cli.demo import PHOTO
        >>> from litehrnet.video.reading import Frame
        >>> frames = [Frame(number, number / 25, read_image(PHOTO)) for number in range(4)]
        >>> *_, last = predict_frames(PoseEstimator(), frames, smooth=True)
        >>> last.identities.tolist(), last.smoothed.keypoints.shape
        ([1, 2, 3], (3, 17, 2))
    """

    frame: Frame
    poses: Poses
    identities: Indices | None = None
    smoothed: Poses | None = None


def predict_frames(
    estimator: PoseEstimator,
    frames: Iterable[Frame],
    *,
    track: bool = False,
    smooth: bool = False,
    detector_interval: float | None = None,
) -> Iterator[FramePoses]:
    """Find the people in each frame.

    Args:
        estimator: Estimator: with a detector it finds all people (``following.GroupFollower``), without one it follows
            one person (``following.Follower``).
        frames: Frames, as from ``read_frames``.
        track: Give people identities (needs scipy).
        smooth: Smooth the keypoints over time; this implies ``track``.
        detector_interval: Seconds between two runs of the detector; in between, people are followed by their poses.
            0 runs it on every frame. None: 0.2 while one person is in the picture, every frame while several are.

    Yields:
        The poses of each frame.

    Raises:
        UserError: scipy is not installed; or ``frames`` raises it.

    Example:
        >>> from litehrnet import PoseEstimator, predict_frames, read_image
        >>> from litehrnet.cli.demo import PHOTO
        >>> from litehrnet.video.reading import Frame
        >>> frames = [Frame(number, number / 25, read_image(PHOTO)) for number in range(2)]
        >>> [len(found.poses) for found in predict_frames(PoseEstimator(), frames)]
        [3, 3]
    """
    tracker = Tracker() if track or smooth else None
    smoother = KeypointSmoother() if smooth else None
    group = None if estimator.detector is None else GroupFollower(estimator, detector_interval)
    follower = Follower(estimator)
    for frame in frames:
        poses = follower.find(frame.image) if group is None else group.find(frame.image, frame.time)
        identities = None if tracker is None else tracker.update(poses, frame.time, frame.image)
        smoothed = None
        if smoother is not None and identities is not None:
            smoothed = smoother.smooth(poses, identities, frame.time)
        yield FramePoses(frame, poses, identities, smoothed)
