"""From frames to poses, with identities and smoothing where asked for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from litehrnet.inference.estimator import PoseEstimator
from litehrnet.poses import Poses
from litehrnet.video.following import Follower, GroupFollower
from litehrnet.video.reading import Frame
from litehrnet.video.tracking import KeypointSmoother, Tracker


@dataclass(frozen=True)
class FramePoses:
    """What was found in a frame.

    Attributes:
        frame: The frame.
        poses: Its persons, with the keypoints as they were found; nobody is fine.
        identities: (persons,): the same number for the same person, from 1 on; 0 for who was not seen in three frames
            yet. None without tracking.
        smoothed: ``poses`` with smoothed keypoints; None without smoothing.
    """

    frame: Frame
    poses: Poses
    identities: NDArray[np.intp] | None = None
    smoothed: Poses | None = None


DETECTOR_INTERVAL = 0.0
"""Seconds between two looks of the detector: it looks at every frame, as keypoints are a little better so."""


def predict_frames(
    estimator: PoseEstimator,
    frames: Iterable[Frame],
    *,
    track: bool = False,
    smooth: bool = False,
    detector_interval: float = DETECTOR_INTERVAL,
) -> Iterator[FramePoses]:
    """Find the people in frame after frame.

    Args:
        estimator: With a detector it finds everybody (``following.GroupFollower``); without one, one person is followed
            (``following.Follower``).
        frames: Such as ``read_frames`` gives.
        track: Give people identities (needs scipy).
        smooth: Smooth the keypoints over time, which needs identities, so it tracks too.
        detector_interval: Seconds after which the detector looks again; in between, people are followed by their
            poses. 0 for a look at every frame.

    Yields:
        What was found, one for each frame.

    Raises:
        UserError: scipy is not installed; what ``frames`` raises.
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
