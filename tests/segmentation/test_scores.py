import numpy as np
import pytest
import torch
import torch.nn.functional as F

from litehrnet.segmentation.scores import best_classes, enlarged, probabilities


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 3, (7, 16, 24)).astype(np.float32)


def test_enlarging_is_that_of_the_network(scores: np.ndarray) -> None:
    expected = F.interpolate(torch.from_numpy(scores)[None], size=(64, 96), mode="bilinear", align_corners=False)[0]
    np.testing.assert_allclose(enlarged(scores, (96, 64)), expected.numpy(), rtol=0, atol=2e-6)


def test_best_class_is_the_one_of_the_highest_enlarged_score(scores: np.ndarray) -> None:
    np.testing.assert_array_equal(best_classes(scores, (96, 64)), enlarged(scores, (96, 64)).argmax(axis=0))
    np.testing.assert_array_equal(best_classes(scores, (24, 16)), scores.argmax(axis=0))


def test_of_equal_scores_the_first_class_counts() -> None:
    assert best_classes(np.zeros((3, 2, 2), np.float32), (2, 2)).tolist() == [[0, 0], [0, 0]]


def test_probabilities_are_a_softmax(scores: np.ndarray) -> None:
    expected = torch.softmax(torch.from_numpy(scores), 0).numpy()
    np.testing.assert_allclose(probabilities(scores), expected, atol=1e-6)
    assert np.isfinite(probabilities(1000 * scores)).all()
