import functools
from pathlib import Path

import numpy as np
import pytest
from tests.figure import draw_figure

from litehrnet import PoseEstimator, UserError
from litehrnet.detectors.detections import DetectedBoxes
from litehrnet.integrations.rtmlib import Body, PoseTracker


class Fixed:
    """Finds the same box in every picture."""

    def detect(self, image: np.ndarray) -> DetectedBoxes:
        return DetectedBoxes(np.array([[5, 5, 100, 110]], np.float32), np.array([0.9], np.float32))


@pytest.fixture(scope="module")
def estimator(small_weights: Path) -> PoseEstimator:
    return PoseEstimator(small_weights, threads=1, detector=Fixed())


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """A drawn figure, BGR."""
    return np.ascontiguousarray(draw_figure((120, 120))[0][..., ::-1])


def test_body_gives_what_the_estimator_finds_in_the_rgb_picture(estimator: PoseEstimator, image: np.ndarray) -> None:
    keypoints, scores = Body(estimator)(image)
    poses = estimator.predict(image[..., ::-1])
    np.testing.assert_array_equal(keypoints, poses.keypoints)
    np.testing.assert_allclose(scores, poses.likelihoods, rtol=1e-6)
    assert (keypoints.shape, scores.shape) == ((1, 17, 2), (1, 17))
    assert [str(each.dtype) for each in (keypoints, scores)] == ["float32", "float32"]


def test_body_takes_boxes_as_corners(estimator: PoseEstimator, image: np.ndarray) -> None:
    body = Body(estimator)
    expected = estimator.predict(image[..., ::-1], [[10, 20, 50, 80], [0, 0, 90, 90]]).keypoints
    np.testing.assert_array_equal(body(image, [[10, 20, 60, 100], [0, 0, 90, 90]])[0], expected)
    assert body(image, [])[0].shape == (0, 17, 2)


def test_openposes_order_of_keypoints_is_refused(estimator: PoseEstimator) -> None:
    with pytest.raises(UserError, match="to_openpose: is not supported"):
        Body(estimator, to_openpose=True)


def test_the_tracker_gives_people_who_were_seen_in_three_frames(image: np.ndarray) -> None:
    tracker = PoseTracker(PoseEstimator(threads=1, detector=Fixed()), fps=25)
    seen = [len(tracker(image)[0]) for _ in range(4)]
    assert seen == [0, 0, 1, 1]
    assert tracker.identities.tolist() == [1]
    tracker.reset()
    assert (len(tracker(image)[0]), tracker.identities.tolist()) == (0, [])


def test_rtmlibs_own_tracker_takes_body(estimator: PoseEstimator, image: np.ndarray) -> None:
    from rtmlib import PoseTracker as TheirTracker

    track = TheirTracker(functools.partial(Body, estimator), det_frequency=3, mode="balanced", tracking=False)
    expected, scores = Body(estimator)(image)
    for number in range(4):
        keypoints, found = track(image)
        assert np.shape(keypoints) == (1, 17, 2)
        if number % 3 == 0:  # it detects; between, its boxes are those of the last keypoints
            np.testing.assert_array_equal(keypoints, expected)
            np.testing.assert_array_equal(found, scores)
