import numpy as np
import pytest
import torch
from torch import Tensor

from litehrnet.config.schema import ScheduleConfig
from litehrnet.segmentation.classes import IGNORED
from litehrnet.training.losses import pixel_accuracy, pixel_cross_entropy, pixel_ohem
from litehrnet.training.schedule import learning_rate


@pytest.fixture
def case() -> tuple[Tensor, Tensor, np.ndarray]:
    """Scores and classes of two images, some ignored, and the cross entropy of every labeled pixel by NumPy."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (2, 4, 6, 5)).astype(np.float32)
    classes = rng.integers(0, 4, (2, 6, 5)).astype(np.uint8)
    classes[rng.random(classes.shape) < 0.2] = IGNORED
    own = np.take_along_axis(scores, np.where(classes == IGNORED, 0, classes)[:, None].astype(int), 1)[:, 0]
    errors = np.log(np.exp(scores.astype(np.float64)).sum(axis=1)) - own
    return torch.from_numpy(scores), torch.from_numpy(classes), errors[classes != IGNORED]


def test_cross_entropy_is_the_mean_over_labeled_pixels(case: tuple[Tensor, Tensor, np.ndarray]) -> None:
    scores, classes, errors = case
    assert float(pixel_cross_entropy(scores, classes)) == pytest.approx(errors.mean(), rel=1e-5)


def test_classes_count_by_their_weights(case: tuple[Tensor, Tensor, np.ndarray]) -> None:
    scores, classes, errors = case
    weights = np.array([1, 0.5, 0, 2])
    own = weights[classes.numpy()[classes.numpy() != IGNORED]]
    expected = (own * errors).sum() / own.sum()
    assert float(pixel_cross_entropy(scores, classes, tuple(weights))) == pytest.approx(expected, rel=1e-5)
    every = pixel_ohem(scores, classes, tuple(weights), hard_pixels=1.0, hard_below=0.7)
    assert float(every) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("hard_pixels", "hard_below"), [(0.5, 0.01), (0.0, 0.3), (0.1, 0.9)])
def test_hardest_pixels_are_the_part_asked_for_and_all_below_the_probability(
    case: tuple[Tensor, Tensor, np.ndarray], hard_pixels: float, hard_below: float
) -> None:
    scores, classes, errors = case
    count = max(int((np.exp(-errors) < hard_below).sum()), int(np.ceil(hard_pixels * len(errors))))
    expected = np.sort(errors)[::-1][:count].mean()
    found = pixel_ohem(scores, classes, hard_pixels=hard_pixels, hard_below=hard_below)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_without_a_labeled_pixel_losses_are_zero_and_so_are_their_gradients() -> None:
    classes = torch.full((1, 3, 3), IGNORED, dtype=torch.uint8)
    for loss in (pixel_cross_entropy, lambda s, c: pixel_ohem(s, c, hard_pixels=0.1, hard_below=0.7)):
        scores = torch.randn(1, 4, 3, 3, requires_grad=True)
        value = loss(scores, classes)
        torch.autograd.backward(value)
        assert float(value.detach()) == 0
        assert scores.grad is not None
        assert not scores.grad.any()


def test_accuracy_leaves_ignored_pixels_out() -> None:
    scores = torch.tensor([[[[1.0, 0, 0]], [[0, 1.0, 1.0]]]])
    assert pixel_accuracy(scores, torch.tensor([[[0, 0, IGNORED]]], dtype=torch.uint8)) == 0.5


def test_poly_falls_to_zero_by_its_power() -> None:
    schedule = ScheduleConfig("poly", power=0.9, warmup_iterations=0)
    rates = [learning_rate(schedule, 0.01, 7, done, 10) for done in (0, 5, 10)]
    assert rates == pytest.approx([0.01, 0.01 * 0.5**0.9, 0])
