"""Boxes to maps and back."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from litehrnet.detection.maps import DISTANCE_UNIT, MAX_OBJECTS, STRIDE, BoxTargets, decode, encode, suppress

SIZE_WH = (40, 24)  # cells
NO_BOX = np.zeros((0, 4), np.float32)


def _maps(targets: BoxTargets) -> np.ndarray:
    """Return the output of a network that has learned its targets perfectly."""
    scores = targets.scores.clip(1e-6, 1 - 1e-6)
    return np.concatenate([np.log(scores / (1 - scores))[None], np.log(targets.distances / DISTANCE_UNIT)])


@st.composite
def boxes_apart(draw: st.DrawFn) -> np.ndarray:
    """Boxes in a grid of squares of 32 pixels, one in each at most, of any place and size in it."""
    boxes = []
    for column in range(SIZE_WH[0] * STRIDE // 32):
        for row in range(SIZE_WH[1] * STRIDE // 32):
            if draw(st.booleans()):
                x1, y1 = (draw(st.floats(0, 16, width=32)) for _ in range(2))
                width, height = (draw(st.floats(4, 16, width=32)) for _ in range(2))
                boxes.append((32 * column + x1, 32 * row + y1, 32 * column + x1 + width, 32 * row + y1 + height))
    return np.array(boxes, np.float32).reshape(-1, 4)


@given(boxes_apart())
def test_boxes_come_back_from_their_targets(corners: np.ndarray) -> None:
    targets = encode(corners, NO_BOX, SIZE_WH)
    found, scores = decode(_maps(targets), 0.5)
    kept = suppress(found, scores)
    order = np.lexsort(corners.T)
    assert len(kept) == len(corners)
    np.testing.assert_allclose(found[kept][np.lexsort(found[kept].round(2).T)], corners[order], atol=0.02)


@given(boxes_apart())
def test_the_weights_of_one_box_add_up_to_one(corners: np.ndarray) -> None:
    targets = encode(corners, NO_BOX, SIZE_WH)
    np.testing.assert_allclose(targets.box_weights.sum(), len(corners), atol=1e-3)
    assert (targets.scores == 1).sum() == len(corners)
    assert (targets.distances > 0).all()


def test_a_box_of_one_cell_is_learned_though_the_cells_center_is_on_its_edge() -> None:
    targets = encode(np.array([[0, 2, 4, 6]], np.float32), NO_BOX, SIZE_WH)
    np.testing.assert_allclose(targets.box_weights.sum(), 1, atol=1e-3)
    np.testing.assert_allclose(targets.distances[:, 1, 0], (2, 4, 2, 0.01))


def test_the_smaller_of_two_boxes_gets_the_cells_that_both_claim() -> None:
    large, small = (8, 8, 136, 88), (56, 32, 88, 64)
    targets = encode(np.array([small, large], np.float32), NO_BOX, SIZE_WH)
    row, column = 48 // STRIDE, 72 // STRIDE
    x, y = STRIDE * (column + 0.5), STRIDE * (row + 0.5)
    np.testing.assert_allclose(targets.distances[:, row, column], (x - 56, y - 32, 88 - x, 64 - y))


def test_nothing_is_learned_from_an_ignored_region_but_a_center_in_it() -> None:
    box, crowd = np.array([[40, 40, 60, 80]], np.float32), np.array([[32, 32, 96, 90]], np.float32)
    targets = encode(box, crowd, SIZE_WH)
    assert targets.score_weights[15, 12] == 1
    assert targets.score_weights[8:22, 8:24].sum() == 1
    assert targets.score_weights.sum() == SIZE_WH[0] * SIZE_WH[1] - 15 * 16 + 1


def test_where_only_some_regions_are_known_empty_cells_count_there_alone() -> None:
    box = np.array([[40, 40, 60, 80]], np.float32)
    targets = encode(box, NO_BOX, SIZE_WH, known=box)
    assert targets.score_weights.sum() == 5 * 10
    assert encode(box, NO_BOX, SIZE_WH, known=NO_BOX).score_weights.sum() == 1


def test_an_empty_image_has_no_boxes() -> None:
    targets = encode(NO_BOX, NO_BOX, SIZE_WH)
    assert targets.stacked().shape == (7, 24, 40)
    corners, scores = decode(_maps(targets), 0.1)
    assert corners.shape == (0, 4)
    assert scores.shape == (0,)
    assert suppress(corners, scores).shape == (0,)


def test_the_highest_peaks_are_decoded_where_there_are_too_many() -> None:
    maps = np.zeros((5, 64, 64), np.float32)
    maps[0] = -9
    maps[0, ::2, ::2] = np.linspace(-3, 3, 1024).reshape(32, 32)
    corners, scores = decode(maps, 0.01)
    assert len(scores) == MAX_OBJECTS
    np.testing.assert_allclose(scores[0], 1 / (1 + np.exp(-3)), rtol=1e-5)
    assert (np.diff(scores) <= 0).all()
    np.testing.assert_allclose(corners[:, 2] - corners[:, 0], 2 * DISTANCE_UNIT)


def test_huge_outputs_stay_finite() -> None:
    maps = np.full((5, 8, 8), 1000, np.float32)
    corners, _ = decode(maps, 0.5)
    assert np.isfinite(corners).all()


def test_of_two_boxes_in_one_place_the_likelier_is_kept() -> None:
    corners = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [30, 0, 40, 10]], np.float32)
    assert suppress(corners, np.array([0.5, 0.9, 0.2], np.float32)).tolist() == [1, 2]


def test_a_box_is_the_mean_around_its_peak_weighted_by_scores() -> None:
    maps = np.full((5, 8, 8), -20, np.float32)
    maps[0, 3, 4], maps[0, 3, 5] = 0, -np.log(2)  # scores of 1/2 and 1/3
    maps[1:, 3, 4] = 0  # distances of 16 pixels
    maps[1:, 3, 5] = np.log([24 / 16, 1, 1, 1])
    (corners,), (score,) = decode(maps, 0.4)
    own, other = np.array([2, -2, 34, 30]), np.array([-2, -2, 38, 30])
    share = 1 / (1 + 1.5**4)
    np.testing.assert_allclose(corners, (1 - share) * own + share * other, atol=1e-4)
    assert score == 0.5
