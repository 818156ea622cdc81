"""Fitting photos into a detector's input, and mapping boxes back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from litehrnet.detection.letterbox import letterbox


@given(st.integers(1, 900), st.integers(1, 900))
def test_a_photo_of_any_size_fits_and_its_corners_come_back(width: int, height: int) -> None:
    fitted = letterbox(np.zeros((height, width, 3), np.uint8), (96, 64))
    whole = np.array([[0, 0, width, height]], np.float32)
    inside = (whole.reshape(-1, 2, 2) * fitted.scale_xy + fitted.shift_xy).reshape(-1, 4)
    assert (inside >= 0).all()
    assert (inside <= [96.001, 64.001, 96.001, 64.001]).all()
    np.testing.assert_allclose(fitted.to_photo(inside.astype(np.float32)), whole, atol=1e-2)
    # The photo touches two opposite sides of the input.
    assert min(inside[0, 0] + 96 - inside[0, 2], inside[0, 1] + 64 - inside[0, 3]) < 1


@pytest.mark.parametrize(("width", "height"), [(1, 1), (10_000, 3), (3, 10_000)])
def test_extreme_photos_fit(width: int, height: int) -> None:
    fitted = letterbox(np.full((height, width, 3), 7, np.uint8), (64, 64))
    assert fitted.pixels.shape == (64, 64, 3)
    assert (fitted.pixels == 7).all(axis=2).any()


def test_around_the_photo_is_the_color_that_the_network_sees_as_zero() -> None:
    fitted = letterbox(np.zeros((10, 40, 3), np.uint8), (64, 64))
    assert fitted.pixels[0, 0].tolist() == [124, 116, 104]
    assert fitted.pixels[32, 32].tolist() == [0, 0, 0]
