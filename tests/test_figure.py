import numpy as np
import pytest
from tests.figure import COLORS, JOINTS, draw_figure

from litehrnet.keypoints.skeletons import COCO


def test_the_joints_are_those_of_coco_in_their_order() -> None:
    assert tuple(JOINTS) == COCO.keypoint_names


def test_a_figure_is_a_pure_function_of_its_arguments() -> None:
    first, again, other = (draw_figure((96, 128), seed) for seed in (0, 0, 1))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert (first[0] != other[0]).any()
    np.testing.assert_array_equal(first[1], other[1])
    np.testing.assert_array_equal(first[2], other[2])


@pytest.mark.parametrize("size_wh", [(480, 640), (640, 300), (90, 120), (48, 64)])
def test_the_joints_lie_in_the_box_and_the_box_in_the_picture(size_wh: tuple[int, int]) -> None:
    image, keypoints, box = draw_figure(size_wh)
    assert image.shape == (size_wh[1], size_wh[0], 3)
    assert [each.dtype for each in (image, keypoints, box)] == [np.uint8, np.float32, np.float32]
    assert keypoints.shape == (17, 2)
    assert (box[:2] >= 0).all()
    assert (box[:2] + box[2:] <= size_wh).all()
    assert (keypoints >= box[:2]).all()
    assert (keypoints <= box[:2] + box[2:] - 1).all()


def test_the_figure_fills_most_of_the_height() -> None:
    _, _, box = draw_figure()
    assert 0.8 * 640 < box[3] < 640


def test_the_joints_scale_with_the_picture() -> None:
    _, small, small_box = draw_figure((240, 320))
    _, large, large_box = draw_figure((480, 640))
    np.testing.assert_allclose((small + 0.5) * 2, large + 0.5, atol=1e-4)
    np.testing.assert_allclose(small_box * 2, large_box, atol=3)  # the box is of whole pixels


def test_the_joints_lie_on_the_figure() -> None:
    image, keypoints, _ = draw_figure()
    color_of = {"left_knee": "trousers", "right_hip": "shirt", "left_wrist": "skin", "left_shoulder": "shirt"}
    for name, (x, y) in zip(COCO.keypoint_names, np.rint(keypoints).astype(int), strict=True):
        if name in color_of:
            seen = image[y, x] / np.linalg.norm(image[y, x])
            painted = np.array(COLORS[color_of[name]]) / np.linalg.norm(COLORS[color_of[name]])
            np.testing.assert_allclose(seen, painted, atol=0.05)  # shading changes brightness, not hue


def test_left_is_on_the_right_of_the_picture_as_the_figure_faces_us() -> None:
    _, keypoints, _ = draw_figure((96, 128))
    for left, right in COCO.flip_pairs:
        assert keypoints[left, 0] > keypoints[right, 0]
