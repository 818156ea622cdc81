from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from litehrnet.data.augmentation import (
    Person,
    Variation,
    crop_to_half_body,
    draw_variation,
    draw_zoom_and_rotation,
    flip,
    jitter,
    put_anywhere,
    vary,
)
from litehrnet.data.settings import AugmentationConfig
from litehrnet.keypoints.skeletons import COCO, lower_body

PUBLISHED = AugmentationConfig()
LOWER = lower_body(COCO)
SIZE = (192, 256)


class Script:
    """Random numbers that a test chooses; running out of them is an error."""

    def __init__(self, *numbers: float) -> None:
        self.left = list(numbers)

    def random(self) -> float:
        return self.left.pop(0)

    def standard_normal(self) -> float:
        return self.left.pop(0)


def _person(seed: int = 0, hidden: tuple[int, ...] = ()) -> Person:
    rng = np.random.default_rng(seed)
    visible = np.ones(17, np.float32)
    visible[list(hidden)] = 0
    joints = rng.integers(10, 90, (17, 2)).astype(np.float32)
    return Person(np.array([40, 60], np.float32), np.array([0.3, 0.4], np.float32), joints, visible)


@given(st.integers(0, 1000), st.integers(100, 2000))
def test_flip_twice_is_identity_for_visible_joints(seed: int, width: int) -> None:
    person = _person(seed)
    twice = flip(flip(person, width, COCO.flip_order), width, COCO.flip_order)
    np.testing.assert_array_equal(twice.joints_xy, person.joints_xy)
    np.testing.assert_array_equal(twice.visible, person.visible)
    np.testing.assert_array_equal(twice.center, person.center)


def test_flip_moves_invisible_joints_to_zero_and_leaves_its_input_alone() -> None:
    person = _person(hidden=(1,))
    before = person.joints_xy.copy()
    flipped = flip(person, 100, COCO.flip_order)
    np.testing.assert_array_equal(flipped.joints_xy[2], 0)  # the left eye has become the right one
    assert flipped.visible[2] == 0
    np.testing.assert_array_equal(person.joints_xy, before)
    np.testing.assert_array_equal(person.center, [40, 60])


@pytest.mark.parametrize(("number", "flipped"), [(0.5, True), (0.5000001, False)])
def test_flip_includes_its_limit_as_published(number: float, flipped: bool) -> None:
    assert draw_variation(Script(number, 0, 0, 1), 0, PUBLISHED, halves=True).flip is flipped


@pytest.mark.parametrize(
    ("numbers", "visible", "half"),
    [
        ((1, 0.29, 0.49, 0, 0, 1), 9, "upper"),
        ((1, 0.29, 0.5, 0, 0, 1), 9, "lower"),
        ((1, 0.3, 0, 0, 1), 9, None),
        ((1, 0, 0, 1), 8, None),
    ],
)
def test_half_body_draws_no_more_than_published(numbers: tuple[float, ...], visible: int, half: str | None) -> None:
    script = Script(*numbers)
    assert draw_variation(script, visible, PUBLISHED, halves=True).half_body == half
    assert not script.left


def test_keypoints_without_halves_and_probability_zero_draw_nothing_for_a_half_body() -> None:
    none = replace(PUBLISHED, half_body_probability=0.0)
    for settings, halves in ((PUBLISHED, False), (none, True)):
        script = Script(1, 0, 0, 1)
        assert draw_variation(script, 17, settings, halves=halves).half_body is None
        assert not script.left


@pytest.mark.parametrize(
    ("numbers", "zoom", "rotation"),
    [
        ((9, 9, 0.6), 1.25, 60),
        ((-9, -9, 0.6), 0.75, -60),
        ((0.4, 0.5, 0.1), 1.1, 15),
        ((0.4, 0.5, 0.61), 1.1, 0),
    ],
)
def test_zoom_is_clipped_at_one_spread_and_rotation_at_two(
    numbers: tuple[float, ...], zoom: float, rotation: float
) -> None:
    assert draw_zoom_and_rotation(Script(*numbers), PUBLISHED) == pytest.approx((zoom, rotation))


def test_half_body_falls_back_to_the_half_that_has_joints() -> None:
    no_legs = _person(hidden=(11, 12, 13, 14))
    no_arms = _person(hidden=tuple(range(9)))
    upper = crop_to_half_body(no_legs, "upper", LOWER, SIZE)
    np.testing.assert_array_equal(upper.center, no_legs.joints_xy[:11].mean(axis=0))
    np.testing.assert_array_equal(crop_to_half_body(no_legs, "lower", LOWER, SIZE).center, upper.center)
    lower = crop_to_half_body(no_arms, "upper", LOWER, SIZE)
    np.testing.assert_array_equal(lower.center, no_arms.joints_xy[11:].mean(axis=0))


def test_half_body_of_joints_in_one_place_changes_nothing() -> None:
    person = replace(_person(), joints_xy=np.full((17, 2), 50, np.float32))
    assert crop_to_half_body(person, "upper", LOWER, SIZE) is person


def test_half_body_is_the_box_of_its_joints_grown_by_a_half_and_all_stay_visible() -> None:
    person = _person()
    cropped = crop_to_half_body(person, "lower", LOWER, SIZE)
    width, height = np.ptp(person.joints_xy[11:], axis=0)
    expected = 1.5 * max(width, height * 0.75) / 200
    np.testing.assert_allclose(cropped.scale, [expected, expected / 0.75], rtol=1e-6)
    np.testing.assert_array_equal(cropped.visible, 1)


def test_a_crop_anywhere_is_drawn_last_and_only_where_asked_for() -> None:
    anywhere = replace(PUBLISHED, anywhere_probability=0.25)
    script = Script(1, 1, 0, 0, 1, 0.24, 0.5, 0.3, 0.9)
    assert draw_variation(script, 17, anywhere, halves=True).anywhere == pytest.approx((0.7, 0.3, 0.9))
    assert not script.left
    script = Script(1, 1, 0, 0, 1, 0.25)
    assert draw_variation(script, 17, anywhere, halves=True).anywhere is None
    assert not script.left


@pytest.mark.parametrize("place", [0.0, 1.0])
def test_the_largest_crop_anywhere_touches_the_photos_edges(place: float) -> None:
    put = put_anywhere(_person(), (1.0, place, place), (640, 480), SIZE)
    np.testing.assert_allclose(put.scale * 200, [360, 480])
    np.testing.assert_allclose(put.center, [179.5 + 280 * place, 239.5])
    assert not put.visible.any()


def test_zoom_scales_both_sides_and_keeps_float32() -> None:
    varied = vary(_person(), Variation(False, None, 1.1, 20.0), 100, COCO.flip_order, LOWER, SIZE)
    assert varied.scale.dtype == np.float32
    np.testing.assert_allclose(varied.scale, [0.33, 0.44], rtol=1e-6)


def test_jitter_moves_a_center_by_a_share_of_the_box() -> None:
    center, box = np.array([100, 200], np.float32), np.array([50.0, 80.0])
    moved = jitter(center, box, Script(0.29, 1.0, 0.25), 0.3)
    np.testing.assert_allclose(moved, [100 + 0.2 * 50, 200 - 0.1 * 80], rtol=1e-6)
    assert moved.dtype == np.float32
    assert jitter(center, box, Script(0.3), 0.3) is center
