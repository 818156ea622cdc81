from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from litehrnet.data.appearance import (
    BLUR_SIGMA,
    CUTOUT_SIDE,
    Appearance,
    Cutout,
    altered,
    covering_matrix,
    draw_appearance,
    filled,
    hidden,
    outside,
)
from litehrnet.data.color_jitter import Colors
from litehrnet.data.settings import AugmentationConfig
from litehrnet.keypoints.crop import crop_matrices, warp

PUBLISHED = AugmentationConfig()
ALL = AugmentationConfig(
    brightness=0.2,
    contrast=0.4,
    saturation=0.5,
    blur_probability=1.0,
    cutout_probability=1.0,
    background_probability=1.0,
)
PARTS = st.floats(0, 1)
SIDES = st.floats(*CUTOUT_SIDE)


def _noise(height: int = 64, width: int = 48) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _state(rng: np.random.Generator) -> Any:
    return rng.bit_generator.state["state"]


def test_published_settings_draw_nothing() -> None:
    rng = np.random.default_rng(3)
    before = _state(rng)
    assert draw_appearance(rng, PUBLISHED, 0, 10) == Appearance()
    assert _state(rng) == before


@pytest.mark.parametrize(
    ("settings", "drawn"),
    [
        ({"background_probability": 1.0}, "background"),
        ({"blur_probability": 1.0}, "blur_sigma"),
        ({"brightness": 0.1}, "colors"),
        ({"contrast": 0.1}, "colors"),
        ({"saturation": 0.1}, "colors"),
        ({"cutout_probability": 1.0}, "cutout"),
    ],
)
def test_what_is_asked_for_is_drawn_and_nothing_else(settings: dict[str, Any], drawn: str) -> None:
    appearance = draw_appearance(np.random.default_rng(0), replace(PUBLISHED, **settings), 0, 10)
    assert [name for name, value in vars(appearance).items() if value is not None] == [drawn]


def test_draws_keep_to_their_ranges_and_happen_as_often_as_asked() -> None:
    rng = np.random.default_rng(0)
    half = replace(ALL, blur_probability=0.5)
    drawn = [draw_appearance(rng, half, 1, 3) for _ in range(400)]
    assert {each.background.index for each in drawn if each.background} == {0, 2}  # never its own photo
    sigmas = [each.blur_sigma for each in drawn if each.blur_sigma is not None]
    assert 150 < len(sigmas) < 250
    sides = [side for each in drawn if each.cutout for side in each.cutout.size]
    for values, (low, high) in ((sigmas, BLUR_SIGMA), (sides, CUTOUT_SIDE)):
        assert low <= min(values) < low + (high - low) / 10
        assert high - (high - low) / 10 < max(values) <= high
    assert all(each.colors is not None and abs(each.colors.brightness) <= 0.2 for each in drawn)


def test_a_single_record_has_no_other_photo() -> None:
    assert draw_appearance(np.random.default_rng(0), ALL, 0, 1).background is None


@given(size=st.tuples(SIDES, SIDES), place=st.tuples(PARTS, PARTS), color=st.tuples(PARTS, PARTS, PARTS))
def test_a_cutout_is_a_rectangle_of_one_color_and_leaves_the_rest(size: Any, place: Any, color: Any) -> None:
    crop = np.full((64, 48, 3), 7, np.uint8)
    assume(any(round(255 * level) != 7 for level in color))
    seen = altered(crop, Appearance(cutout=Cutout(size, place, color)))
    assert (crop == 7).all()
    rows, columns = np.nonzero((seen != 7).any(axis=2))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert len(rows) == height * width  # all of the rectangle, and nothing beside it
    assert abs(width - size[0] * 48) <= 0.5 + 1e-9
    assert abs(height - size[1] * 64) <= 0.5 + 1e-9
    assert (seen[rows, columns] == [round(255 * level) for level in color]).all()


def test_a_cutout_reaches_every_corner_of_the_crop() -> None:
    crop = np.zeros((64, 48, 3), np.uint8)
    for x in (0, 1):
        for y in (0, 1):
            assert hidden(crop, Cutout((0.1, 0.1), (x, y), (1, 1, 1)))[-y, -x].tolist() == [255] * 3


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.5])
def test_a_blur_spreads_as_wide_as_its_sigma(sigma: float) -> None:
    line = np.zeros((32, 41, 3), np.uint8)
    line[:, 20] = 255
    seen = altered(line, Appearance(blur_sigma=sigma))[16, :, 0].astype(float)
    spread = np.sqrt((seen * (np.arange(41) - 20) ** 2).sum() / seen.sum())
    assert spread == pytest.approx(sigma, rel=0.1)


@pytest.mark.parametrize("times", [2, 4, 5])
def test_enlarging_blurs_by_half_of_how_much_it_enlarges(times: int) -> None:
    """What the range of the blur is taken from: bilinear weights about the pixel, and the square that it was."""
    line = np.zeros((9, 41, 3), np.uint8)
    line[:, 20] = 255
    matrix = np.array([[times, 0, 0.5 * times - 0.5], [0, 1.0, 0]])
    seen = warp(line, matrix, (41 * times, 9))[4, :, 0].astype(float)
    middle = 20 * times + 0.5 * times - 0.5
    triangle = (seen * (np.arange(len(seen)) - middle) ** 2).sum() / seen.sum()
    assert np.sqrt(triangle + times**2 / 12) == pytest.approx(times / 2, rel=0.05)


def test_colors_change_all_of_the_crop_but_not_what_hides_it() -> None:
    cutout = Cutout((0.4, 0.4), (0, 0), (0.2, 0.4, 0.6))
    seen = altered(_noise(), Appearance(colors=Colors(0, 1, 0), cutout=cutout))
    assert seen[0, 0].tolist() == [51, 102, 153]
    assert (np.ptp(seen[40:].astype(int), axis=2) == 0).all()


@given(
    turn=st.floats(-60, 60),
    scale=st.floats(0.05, 2),
    center=st.tuples(st.floats(-30, 110), st.floats(-30, 90)),
    size_wh=st.tuples(st.integers(2, 90), st.integers(2, 70)),
)
def test_inside_is_where_the_photo_alone_is_seen(turn: float, scale: float, center: Any, size_wh: Any) -> None:
    matrix = crop_matrices(np.array([center]), np.array([[scale, scale * 4 / 3]]), (48, 64), np.array([turn]))[0]
    white = np.full((size_wh[1], size_wh[0], 3), 255, np.uint8)
    middle = white.copy()
    middle[[0, -1]] = middle[:, [0, -1]] = 0
    mask = outside(matrix, size_wh, (48, 64))
    inside = np.ones((64, 48), bool) if mask is None else mask == 0
    assert (warp(white, matrix, (48, 64))[inside] >= 240).all()  # OpenCV 4 knows places to 1/32 of a pixel
    assert inside[warp(middle, matrix, (48, 64))[..., 0] > 15].all()


def test_nothing_is_outside_a_photo_that_covers_the_crop() -> None:
    assert outside(np.array([[1.0, 0, -5], [0, 1, -5]]), (60, 80), (48, 64)) is None


@given(
    size_wh=st.tuples(st.integers(2, 300), st.integers(2, 300)),
    place=PARTS,
    crop_wh=st.sampled_from([(48, 64), (64, 32)]),
)
def test_another_photo_covers_the_crop(size_wh: tuple[int, int], place: float, crop_wh: tuple[int, int]) -> None:
    matrix = covering_matrix(size_wh, crop_wh, place)
    assert outside(matrix, size_wh, crop_wh) is None
    seen = (crop_wh[0] / matrix[0, 0] / size_wh[0], crop_wh[1] / matrix[1, 1] / size_wh[1])
    assert max(seen) > 0.4  # no more is cut than must be


def test_both_ends_of_another_photo_can_be_seen() -> None:
    image = np.zeros((40, 200, 3), np.uint8)
    image[:, :100], image[:, 100:] = 50, 200
    left, right = (warp(image, covering_matrix((200, 40), (48, 64), place), (48, 64)) for place in (0, 1))
    assert (left == 50).all()
    assert (right == 200).all()


def test_filling_touches_masked_pixels_alone() -> None:
    crop, other = _noise(), 255 - _noise()
    mask = np.zeros((64, 48), np.uint8)
    mask[:, :10] = 255
    seen = filled(crop, mask, other)
    np.testing.assert_array_equal(seen[:, :10], other[:, :10])
    np.testing.assert_array_equal(seen[:, 10:], crop[:, 10:])
