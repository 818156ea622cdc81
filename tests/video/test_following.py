"""The bundled network follows a drawn figure, and the woman of the bundled portrait: where they are is known."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.figure import draw_figure

from litehrnet import PoseEstimator, read_image
from litehrnet.detectors.detections import DetectedBoxes
from litehrnet.keypoints.boxes import pairwise_iou
from litehrnet.poses import Poses
from litehrnet.video.following import Follower, GroupFollower, around, windows

PHOTO = Path(__file__).parents[2] / "src" / "litehrnet" / "photos" / "astronaut.jpg"
SIZE_WH = (400, 280)
SHARE = 240 / 512  # of the portrait's size
FACE = np.array([[225, 127], [247, 104], [204, 101]])  # nose, left eye, right eye: read off the enlarged portrait
CELL = SIZE_WH[0] * 1.25 / 48  # pixels that a heatmap's cell covers where the whole picture is looked at
EMPTY = np.full((SIZE_WH[1], SIZE_WH[0], 3), (120, 130, 140), np.uint8)


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator(threads=1, whole_image=True)


def scene(x: float, y: float) -> NDArray[np.uint8]:
    """The portrait in an empty picture."""
    picture = EMPTY.copy()
    move = np.array([[SHARE, 0, x], [0, SHARE, y]], np.float32)
    cv2.warpAffine(read_image(PHOTO), move, SIZE_WH, picture, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
    return picture


def assert_face(poses: Poses, x: float, y: float, within: float = CELL) -> None:
    """That one person was found, whose face is where it is in the scene."""
    assert len(poses) == 1
    face = FACE * SHARE + (x, y)
    assert np.linalg.norm(poses.keypoints[0, :3] - face, axis=1).max() < within
    corner, size = poses.boxes[0, :2], poses.boxes[0, 2:]
    assert ((face > corner) & (face < corner + size)).all()


def test_a_whole_body_is_followed_on_a_path(estimator: PoseEstimator) -> None:
    figure, joints, _ = draw_figure((180, 240))
    follower = Follower(estimator)
    for step in range(15):
        x, y = 20.0 + 12 * step, 20 + 18 * np.sin(step)
        picture, placed = EMPTY.copy(), joints + np.array([x, y])
        move = np.array([[1, 0, x], [0, 1, y]], np.float32)
        cv2.warpAffine(figure, move, SIZE_WH, picture, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
        poses = follower.find(picture)
        assert len(poses) == 1
        assert np.median(np.linalg.norm(poses.keypoints[0] - placed, axis=1)) < 8, step  # of 240 pixels
        if step >= 2:  # found in the whole picture, the legs are not yet sure
            hull = np.concatenate([placed.min(axis=0), np.ptp(placed, axis=0)])
            assert pairwise_iou(poses.boxes, hull[None])[0, 0] > 0.5, step


@pytest.mark.parametrize("x", [0, 110, 220])
def test_a_small_figure_is_found_anywhere_in_a_wide_picture(estimator: PoseEstimator, x: int) -> None:
    figure, joints, _ = draw_figure((180, 240))
    picture = EMPTY.copy()
    picture[20:260, x : x + 180] = figure
    poses = Follower(estimator).find(picture)
    assert len(poses) == 1
    assert np.median(np.linalg.norm(poses.keypoints[0] - (joints + np.array([x, 20])), axis=1)) < 8


@pytest.mark.parametrize("size_wh", [(1, 1), (280, 280), (281, 280), (400, 280), (280, 900), (1920, 1080), (1, 50)])
def test_windows_are_the_picture_and_squares_that_overlap_by_half(size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    side = min(size_wh)
    whole, *squares = windows(np.zeros((height, width, 3), np.uint8)).tolist()
    assert whole == [0, 0, width, height]
    assert bool(squares) == (width != height)
    if squares:
        assert all(square[2:] == [side, side] for square in squares)
        along = np.array(squares)[:, 0 if width > height else 1]
        assert (along[0], along[-1]) == (0, max(size_wh) - side)
        assert (np.diff(along) <= side / 2 + 1e-3).all()


def test_a_portrait_is_followed_on_a_path(estimator: PoseEstimator) -> None:
    follower = Follower(estimator)
    for step in range(14):
        x, y = 12.0 * step, 20 + 18 * np.sin(step)
        assert_face(follower.find(scene(x, y)), x, y, within=CELL if step == 0 else 6)


def test_who_leaves_is_gone_and_who_comes_back_is_found(estimator: PoseEstimator) -> None:
    follower = Follower(estimator)
    assert len(follower.find(EMPTY)) == 0
    assert len(follower.find(scene(20, 20))) == 1
    for _ in range(3):
        poses = follower.find(EMPTY)
        assert poses.keypoints.shape == (0, 17, 2)
    assert_face(follower.find(scene(150, 30)), 150, 30)


def test_who_is_suddenly_elsewhere_is_found_in_the_same_frame(estimator: PoseEstimator) -> None:
    follower = Follower(estimator)
    assert_face(follower.find(scene(0, 20)), 0, 20)
    assert_face(follower.find(scene(160, 20)), 160, 20)


def test_whom_the_detector_misses_stays_for_a_second_and_no_longer_than_in_the_picture() -> None:
    class OnceSeen:
        """Finds the portrait in the first frame only."""

        seen = False

        def detect(self, image: NDArray[np.uint8]) -> DetectedBoxes:
            count = int(not self.seen)
            self.seen = True
            box = np.array([[10, 5, 230, 235]] * count, np.float32).reshape(-1, 4)
            return DetectedBoxes(box, np.full(count, 0.81, np.float32))

    def found(pictures: list[NDArray[np.uint8]]) -> list[Poses]:
        follower = GroupFollower(PoseEstimator(threads=1, detector=OnceSeen()), interval=0)
        return [follower.find(picture, number / 10) for number, picture in enumerate(pictures)]

    path = [(10.0 + 4 * step, 5.0 + 2 * step) for step in range(25)]
    followed = found([scene(x, y) for x, y in path])
    assert [len(poses) for poses in followed] == [1] * 16 + [0] * 9  # 0.81 halves three times in 1.5 seconds
    for poses, (x, y) in zip(followed[:16], path, strict=False):
        assert_face(poses, x, y)
    np.testing.assert_allclose(
        [float(poses.box_scores[0]) for poses in followed[0:16:5]], [0.81, 0.405, 0.2025, 0.10125], rtol=1e-5
    )
    assert [len(poses) for poses in found([scene(*path[0]), scene(*path[1]), EMPTY, scene(*path[3])])] == [1, 1, 0, 0]


def test_boxes_around_poses_stay_in_the_picture(estimator: PoseEstimator) -> None:
    picture = scene(-40, 150)
    x, y, width, height = around(estimator.predict(picture), picture).tolist()
    assert x >= 0
    assert y >= 0
    assert x + width <= SIZE_WH[0] + 1e-3
    assert y + height <= SIZE_WH[1] + 1e-3
    tiny = np.zeros((1, 1, 3), np.uint8)
    assert around(estimator.predict(tiny), tiny).tolist() == [0, 0, 1, 1]
