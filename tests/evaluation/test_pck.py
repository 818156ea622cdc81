import numpy as np
import pytest

from litehrnet.evaluation.pck import KeypointRow, KeypointScore, auc, epe, keypoint_errors, nme, pck

TRUTH = np.zeros((2, 3, 2))
PREDICTED = np.array([[[3.0, 4], [0, 1], [0, 0]], [[6, 8], [0, 0], [0, 0]]])
COUNTED = np.array([[True, True, False], [True, True, False]])
ONES = np.ones((2, 2))


def test_a_keypoint_at_exactly_the_threshold_is_not_found() -> None:
    assert pck(PREDICTED, TRUTH, COUNTED, ONES, 5.0).per_keypoint.tolist() == [0, 1, -1]
    assert pck(PREDICTED, TRUTH, COUNTED, ONES, 5.001).per_keypoint.tolist() == [0.5, 1, -1]


def test_the_average_is_of_keypoints_that_somebody_counts() -> None:
    assert pck(PREDICTED, TRUTH, COUNTED, ONES, 5.001).average == 0.75


def test_distances_along_x_and_y_have_their_own_normalizers() -> None:
    normalizers = np.array([[3.0, 2], [6, 4]])
    assert nme(PREDICTED, TRUTH, COUNTED, normalizers) == pytest.approx((5**0.5 + 0.5 + 5**0.5 + 0) / 4, rel=1e-6)


def test_end_point_errors_are_mean_distances() -> None:
    assert epe(PREDICTED, TRUTH, COUNTED) == 4
    assert keypoint_errors(PREDICTED, TRUTH, COUNTED).tolist() == [7.5, 0.5, -1]


def test_a_person_at_infinity_is_not_found_at_any_threshold() -> None:
    missed = PREDICTED.copy()
    missed[1] = np.inf
    assert pck(missed, TRUTH, COUNTED, ONES, 1e30).per_keypoint.tolist() == [0.5, 0.5, -1]
    assert auc(missed, TRUTH, COUNTED, 1e6) == pytest.approx(0.5 * 19 / 20)


def test_the_area_under_the_curve_never_counts_threshold_0() -> None:
    assert auc(TRUTH, TRUTH, COUNTED) == pytest.approx(0.95)
    assert auc(TRUTH, TRUTH, COUNTED, steps=10) == pytest.approx(0.9)


def test_nothing_counted_is_minus_1() -> None:
    nothing = np.zeros_like(COUNTED)
    assert pck(PREDICTED, TRUTH, nothing, ONES, 0.5).average == -1
    assert auc(PREDICTED, TRUTH, nothing) == epe(PREDICTED, TRUTH, nothing) == -1


def test_pixels_too_far_for_float32_are_not_found_and_no_warning() -> None:
    far = np.full_like(TRUTH, 1e300)
    assert pck(far, TRUTH, COUNTED, ONES, 1e30).average == 0


def test_a_score_as_plain_values_holds_metrics_counts_and_rows() -> None:
    score = KeypointScore({"PCK@0.2": 0.5}, "PCK@0.2", (KeypointRow("nose", 3, 0.5, 2.0),), 4, 3)
    assert score.to_dict() == {
        "PCK@0.2": 0.5,
        "persons": 4,
        "matched": 3,
        "per_keypoint": [{"name": "nose", "annotated": 3, "pck": 0.5, "mean_error": 2.0}],
    }
