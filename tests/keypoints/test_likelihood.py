import numpy as np
import pytest
from benchmarks.likelihood import calibration_error, fit

from litehrnet.keypoints.likelihood import CURVE, Curve


def test_the_likelihood_rises_with_the_score_from_0_to_below_1() -> None:
    scores = np.linspace(0, 2, 400)
    likelihood = CURVE(scores)
    assert likelihood[0] == 0
    assert (np.diff(likelihood) > 0).all()
    assert likelihood[-1] < 1
    assert CURVE(np.array([-0.1, 1e9])) == pytest.approx([0, 1])


def test_fitting_finds_the_curve_that_scores_were_drawn_from() -> None:
    rng = np.random.default_rng(0)
    scores, true = rng.uniform(0.01, 1.1, 200_000), Curve(offset=0.5, power=1.2, slope=1.5)
    right = rng.random(len(scores)) < true(scores)
    found = fit(scores, right)
    np.testing.assert_allclose(found(scores), true(scores), atol=0.01)
    assert calibration_error(found(scores), right) < 0.005
    assert calibration_error(np.ones(4), np.array([True, True, True, False])) == pytest.approx(0.25)
