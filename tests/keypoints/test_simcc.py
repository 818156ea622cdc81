import numpy as np
import pytest
from numpy.typing import NDArray

from litehrnet.keypoints.simcc import decode_simcc, merge_flipped_simcc


def _published(x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[tuple[float, float], float]:
    """The rule of MMPose and MMDeploy for one keypoint, in bins: docs/models.md says it in words."""
    score = min(max(x), max(y))
    return ((x.tolist().index(max(x)), y.tolist().index(max(y))) if score > 0 else (-1, -1)), score


def test_positions_and_scores_follow_the_published_rule() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(-0.5, 0.5, (5, 17, 20 + 26)).astype(np.float32)
    rows[1] = rows[1].round(1)  # equal bins: the first counts
    rows[2, :9, :20] = -1  # nothing above 0 along x
    rows[2, 9:, 20:] = 0
    positions, scores = decode_simcc(rows, 20)
    assert positions.dtype == scores.dtype == np.float32
    for person in range(5):
        for keypoint in range(17):
            row = rows[person, keypoint]
            expected, score = _published(row[:20], row[20:])
            assert tuple(positions[person, keypoint]) == expected
            assert scores[person, keypoint] == np.float32(score)
    assert (positions[2] == -1).all()
    assert (positions[0] >= 0).any()


def test_a_score_is_the_smaller_of_the_two_maxima() -> None:
    rows = np.array([[[0, 0.75, 0, 0.25, 0.5]], [[0, 0.25, 0, 0.5, 0.75]]], np.float32)
    positions, scores = decode_simcc(rows, 3)
    np.testing.assert_array_equal(scores, [[0.5], [0.25]])
    np.testing.assert_array_equal(positions, [[[1, 1]], [[1, 1]]])


def test_values_that_are_not_finite_count_as_0() -> None:
    rows = np.array([[[np.nan, 0.5, np.inf, 0.25, -np.inf]]], np.float32)
    positions, scores = decode_simcc(rows, 3)
    assert (positions.tolist(), scores.tolist()) == ([[[1, 0]]], [[0.25]])


@pytest.mark.parametrize("columns", [3, 5])
def test_mirrored_rows_are_turned_along_x_only(columns: int) -> None:
    rows = np.arange(2 * 8, dtype=np.float32).reshape(1, 2, 8)
    flipped = 10 * rows
    before = flipped.copy()
    merged = merge_flipped_simcc(rows, flipped, np.array([1, 0]), columns)
    for keypoint, other in ((0, 1), (1, 0)):
        x = (rows[0, keypoint, :columns] + flipped[0, other, :columns][::-1]) / 2
        y = (rows[0, keypoint, columns:] + flipped[0, other, columns:]) / 2
        np.testing.assert_array_equal(merged[0, keypoint], [*x, *y])
    np.testing.assert_array_equal(flipped, before)
