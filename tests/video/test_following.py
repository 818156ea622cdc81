"""The network in the box follows a drawn figure; its true box is known."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from litehrnet import PoseEstimator
from litehrnet.inference.figure import draw_figure
from litehrnet.keypoints.boxes import pairwise_iou
from litehrnet.video.following import Follower, around

SIZE_WH = (400, 280)
Scene = tuple[NDArray[np.uint8], NDArray[np.float32]]


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator(threads=1)


def scene(x: float, y: float) -> Scene:
    """The figure in an empty picture, and its keypoints, (17, 2)."""
    figure, joints, _ = draw_figure((180, 240))
    picture = np.full((SIZE_WH[1], SIZE_WH[0], 3), (120, 130, 140), np.uint8)
    move = np.array([[1, 0, x], [0, 1, y]], np.float32)
    cv2.warpAffine(figure, move, SIZE_WH, picture, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
    return picture, joints + (x, y)  # noqa: RUF005 (a sum)


EMPTY = np.full((SIZE_WH[1], SIZE_WH[0], 3), (120, 130, 140), np.uint8)


def test_one_person_is_followed_on_a_path(estimator: PoseEstimator) -> None:
    follower = Follower(estimator)
    for step in range(15):
        picture, joints = scene(20 + 12 * step, 20 + 18 * np.sin(step))
        poses = follower.find(picture)
        assert len(poses) == 1
        errors = np.linalg.norm(poses.keypoints[0] - joints, axis=1)
        assert np.median(errors) < 8, step  # of 240 pixels
        hull = np.concatenate([joints.min(axis=0), np.ptp(joints, axis=0)])
        assert pairwise_iou(poses.boxes, hull[None])[0, 0] > 0.5


def test_who_leaves_is_gone_and_who_comes_back_is_found(estimator: PoseEstimator) -> None:
    follower = Follower(estimator)
    assert len(follower.find(EMPTY)) == 0
    assert len(follower.find(scene(20, 20)[0])) == 1
    for _ in range(3):
        poses = follower.find(EMPTY)
        assert poses.keypoints.shape == (0, 17, 2)
    picture, joints = scene(210, 30)
    assert np.median(np.linalg.norm(follower.find(picture).keypoints[0] - joints, axis=1)) < 8


def test_who_is_suddenly_elsewhere_is_found_in_the_same_frame(estimator: PoseEstimator) -> None:
    follower = Follower(estimator)
    follower.find(scene(0, 20)[0])
    picture, joints = scene(215, 20)
    assert np.median(np.linalg.norm(follower.find(picture).keypoints[0] - joints, axis=1)) < 8


def test_boxes_around_poses_stay_in_the_picture(estimator: PoseEstimator) -> None:
    picture, _ = scene(-40, 150)
    x, y, width, height = around(estimator.predict(picture), picture).tolist()
    assert x >= 0
    assert y >= 0
    assert x + width <= SIZE_WH[0] + 1e-3
    assert y + height <= SIZE_WH[1] + 1e-3
    tiny = np.zeros((1, 1, 3), np.uint8)
    assert around(estimator.predict(tiny), tiny).tolist() == [0, 0, 1, 1]
