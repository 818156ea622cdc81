import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from litehrnet.drawing.skeletons import FAINTEST, SIDE_COLORS, DrawStyle, draw_poses
from litehrnet.poses import KeypointSet, Poses

ARM = KeypointSet(
    "arms", ("left_wrist", "left_elbow", "right_wrist", "right_elbow", "neck"), (), ((0, 1), (2, 3), (1, 3)), (0.1,) * 5
)
POINTS = [[40, 40], [40, 200], [360, 40], [360, 200], [200, 320]]


def poses(
    points: ArrayLike = POINTS, scores: ArrayLike = 1.0, box: ArrayLike = (0, 0, 400, 400), kind: KeypointSet = ARM
) -> Poses:
    """One person."""
    keypoints = np.asarray(points, np.float32)[None]
    return Poses(
        keypoints,
        np.broadcast_to(np.asarray(scores, np.float32), keypoints.shape[:2]),
        np.asarray(box, np.float32)[None],
        np.ones(1, np.float32),
        kind,
    )


def gray(side: int = 400, value: int = 128) -> NDArray[np.uint8]:
    return np.full((side, side, 3), value, np.uint8)


def changed(image: NDArray[np.uint8], value: int = 128) -> NDArray[np.bool_]:
    return np.asarray((image != value).any(axis=2))


def test_the_sides_have_their_colors() -> None:
    image = draw_poses(gray(), poses())
    for (x, y), side in (((40, 40), "left"), ((40, 120), "left"), ((360, 40), "right"), ((360, 120), "right")):
        assert tuple(image[y, x]) == SIDE_COLORS[side]
    for x, y in ((200, 200), (200, 320)):  # the limb from left to right, and the neck
        assert tuple(image[y, x]) == SIDE_COLORS["center"]
    assert len(set(SIDE_COLORS.values())) == 3


def test_a_limb_to_a_joint_of_the_center_has_the_color_of_its_side() -> None:
    neck_to_left = KeypointSet("set", ("left_shoulder", "neck"), (), ((0, 1),), (0.1, 0.1))
    drawn = draw_poses(gray(), poses([[40, 200], [360, 200]], kind=neck_to_left))
    assert tuple(drawn[200, 200]) == SIDE_COLORS["left"]


def test_hands_and_faces_are_drawn_with_thinner_lines() -> None:
    def reach(count: int) -> int:
        kind = KeypointSet("set", tuple(str(i) for i in range(count)), (), (), (0.1,) * count)
        points = np.full((count, 2), [200, 200])
        return int(changed(draw_poses(gray(), poses(points, kind=kind)))[200].sum())

    assert reach(26) == reach(40) > 1.5 * reach(41)
    assert reach(41) == reach(133) >= 3


@pytest.mark.parametrize("background", [0, 90, 255])
def test_a_line_stands_out_from_any_background(background: int) -> None:
    across = draw_poses(gray(value=background), poses())[120, :80].astype(int)
    contrast = np.abs(across - background).max()
    edges = np.abs(np.diff(across.sum(axis=1)))
    assert contrast > 100
    assert np.count_nonzero(edges > 60) >= 2


def test_a_weak_joint_and_its_limbs_are_fainter_but_not_gone() -> None:
    def strength(score: float) -> NDArray[np.float64]:
        image = draw_poses(gray(), poses(scores=[1, score, 1, 1, score])).astype(float)
        return np.asarray([np.abs(image[y, x] - 128).max() for x, y in ((40, 200), (40, 120), (200, 320), (360, 40))])

    full, weak, none = strength(0.2), strength(0.1), strength(0.0)
    np.testing.assert_array_equal(full, strength(1.0))
    assert (weak[:3] < 0.9 * full[:3]).all()
    assert (none[:3] < 0.7 * weak[:3]).all()
    assert (none[:3] > 0.5 * FAINTEST * full[:3]).all()
    assert weak[3] == full[3]


def test_min_score_moves_where_fading_begins() -> None:
    weak = poses(scores=0.3)
    np.testing.assert_array_equal(draw_poses(gray(), weak), draw_poses(gray(), poses()))
    assert (draw_poses(gray(), weak, style=DrawStyle(full_score=0.5)) != draw_poses(gray(), poses())).any()
    np.testing.assert_array_equal(
        draw_poses(gray(), poses(scores=0.0), style=DrawStyle(full_score=0.0)), draw_poses(gray(), poses())
    )


def test_hidden_joints_and_their_limbs_are_not_drawn() -> None:
    style = DrawStyle(hidden_score=0.5)
    nothing = draw_poses(gray(), poses(scores=0.49), style=style)
    np.testing.assert_array_equal(nothing, gray())
    np.testing.assert_array_equal(draw_poses(gray(), poses(scores=0.5), style=style), draw_poses(gray(), poses()))


def test_line_width_and_colors_are_those_of_the_style() -> None:
    style = DrawStyle(left=(0, 255, 0), right=(0, 0, 255), center=(255, 0, 0))
    drawn, usual = draw_poses(gray(), poses(), style=style), draw_poses(gray(), poses())
    for side, color in (("left", style.left), ("right", style.right), ("center", style.center)):
        assert ((drawn == color).all(axis=2) == (usual == SIDE_COLORS[side]).all(axis=2)).all()
    widths = [(draw_poses(gray(), poses(), style=DrawStyle(line_width=w)) != gray()).sum() for w in (1, 5, 15)]
    assert widths == sorted(set(widths))


def test_the_photo_is_not_changed() -> None:
    image = gray()
    drawn = draw_poses(image, poses(scores=[0, 0.1, 1, 1, 1]))
    assert (image == 128).all()
    assert changed(drawn).any()
    assert drawn.dtype == np.uint8


def test_without_persons_the_picture_is_an_equal_copy() -> None:
    image = gray()
    drawn = draw_poses(image, poses()[:0])
    np.testing.assert_array_equal(drawn, image)
    assert not np.shares_memory(drawn, image)


def test_every_person_is_drawn() -> None:
    one, other = (poses(np.array(POINTS) / 4 + shift) for shift in (0, 250))
    both = Poses(
        np.concatenate([one.keypoints, other.keypoints]),
        np.ones((2, 5), np.float32),
        np.concatenate([one.boxes, other.boxes]),
        np.ones(2, np.float32),
        ARM,
    )
    masks = [changed(draw_poses(gray(), each)) for each in (one, other, both)]
    np.testing.assert_array_equal(masks[0] | masks[1], masks[2])


@pytest.mark.parametrize("side", [1, 2, 8])
def test_tiny_pictures_are_drawn_on(side: int) -> None:
    drawn = draw_poses(gray(side), poses(np.array(POINTS) * side / 400, box=(0, 0, side, side)))
    assert drawn.shape == (side, side, 3)
    assert changed(drawn).any()


@pytest.mark.parametrize("far", [-30, 750, 1e5, -1e9, 3e38, np.inf, -np.inf, np.nan])
def test_joints_far_outside_or_not_finite_are_no_trouble(far: float) -> None:
    for point in ([far, 40], [40, far], [far, far]):
        drawn = draw_poses(gray(), poses(np.array([point, *POINTS[1:]])))
        assert tuple(drawn[40, 360]) == SIDE_COLORS["right"]


def test_a_joint_that_is_not_finite_takes_its_limbs_away() -> None:
    drawn = draw_poses(gray(), poses(np.array([[np.nan, np.nan], *POINTS[1:]])))
    assert tuple(drawn[200, 40]) == SIDE_COLORS["left"]
    assert not changed(drawn)[:180, :180].any()


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf, -1.0, 5.0])
def test_scores_out_of_range_are_no_trouble(score: float) -> None:
    assert changed(draw_poses(gray(), poses(scores=score))).any()


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (0, 0, -5, 9), (0, 0, 1e30, 1e30), (np.nan,) * 4])
def test_odd_boxes_are_no_trouble(box: tuple[float, ...]) -> None:
    assert tuple(draw_poses(gray(), poses(box=box))[40, 40]) == SIDE_COLORS["left"]


def test_lines_widen_with_the_person_and_the_picture() -> None:
    def width(size: int, box_size: int) -> int:
        drawn = draw_poses(gray(size), poses(box=(0, 0, box_size, box_size)))
        return int(np.count_nonzero(changed(drawn)[120, :200]))

    assert width(400, 100) < width(400, 400) < width(4000, 4000)
    assert width(400, 100) < width(4000, 100)


def test_joints_are_placed_between_pixels() -> None:
    def center(shift: float) -> float:
        alone = KeypointSet("one", ("nose",), (), (), (0.1,))
        drawn = draw_poses(gray(value=0), poses([[200 + shift, 200]], kind=alone)).astype(float)
        weights = drawn[150:250, 150:250, 0].sum(axis=0)
        return float(weights @ np.arange(100) / weights.sum())

    for shift in (0.25, 0.5, 1.0):
        assert center(shift) - center(0) == pytest.approx(shift, abs=0.1)
