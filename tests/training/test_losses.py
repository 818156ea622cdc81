"""Losses and accuracy apart from their equality with the published ones (tests/reference/test_losses.py)."""

import torch
from torch import Tensor

from litehrnet.training.losses import keypoint_accuracy, keypoint_mse, keypoint_ohkm


def _batch(images: int = 3, keypoints: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    output, target = torch.randn(2, images, keypoints, 8, 6, dtype=torch.float64, generator=generator)
    weight = torch.randint(0, 2, (images, keypoints, 1), generator=generator).double()
    return output, target, weight


def _maps(*peaks_xy: tuple[int, int]) -> Tensor:
    """One image with a keypoint per peak, in heatmaps 40 wide and 80 high."""
    maps = torch.zeros(1, len(peaks_xy), 80, 40)
    for k, (x, y) in enumerate(peaks_xy):
        maps[0, k, y, x] = 1
    return maps


def test_loss_is_the_mean_over_keypoints_of_their_plain_losses() -> None:
    output, target, weight = _batch()
    weight *= 0.5
    losses = [
        torch.nn.functional.mse_loss(output[:, k] * weight[:, k, :, None], target[:, k] * weight[:, k, :, None])
        for k in range(output.shape[1])
    ]
    torch.testing.assert_close(keypoint_mse(output, target, weight), torch.stack(losses).mean())


def test_all_keypoints_being_hard_is_the_plain_loss() -> None:
    batch = _batch()
    torch.testing.assert_close(keypoint_ohkm(*batch, hard_keypoints=9), keypoint_mse(*batch))


def test_gradient_reaches_the_hard_keypoints_only() -> None:
    output, target, weight = _batch()
    output.requires_grad_(True)
    (gradient,) = torch.autograd.grad(keypoint_ohkm(output, target, torch.ones_like(weight), 2), output)
    assert gradient.any(dim=3).any(dim=2).sum(dim=1).tolist() == [2, 2, 2]


def test_distances_along_x_are_divided_by_the_height() -> None:
    target = _maps((10, 10), (10, 10), (10, 10), (10, 10))
    output = _maps((13, 10), (14, 10), (10, 11), (10, 12))  # 3/80, 4/80, 1/40, 2/40: below 0.05 or just not
    accuracy = keypoint_accuracy(output, target, torch.ones(1, 4, 1))
    assert accuracy.per_keypoint.tolist() == [1, 0, 1, 0]
    assert accuracy.average == 0.5


def test_maps_without_a_positive_value_have_their_peak_outside() -> None:
    nowhere = -_maps((20, 20), (0, 0))
    accuracy = keypoint_accuracy(nowhere, _maps((20, 20), (0, 0)), torch.ones(1, 2, 1))
    assert accuracy.per_keypoint.tolist() == [0, 1]  # (-1, -1) lies near (0, 0)


def test_without_a_counted_keypoint_the_accuracy_is_zero() -> None:
    maps = _maps((3, 3), (4, 4))
    average, per_keypoint = keypoint_accuracy(maps, maps, torch.zeros(1, 2, 1))
    assert (average, per_keypoint.tolist()) == (0, [-1, -1])
