"""The published losses and training accuracy on heatmaps (protocol specification, section 3).

Shapes throughout: ``output`` and ``target`` float (images, keypoints, height, width), ``weight`` float
(images, keypoints, 1): 0 for a keypoint that does not count.
"""

from typing import NamedTuple

import torch
from torch import Tensor


def keypoint_mse(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """The published loss: the mean of (w p - w g)^2 over everything; keypoints of weight 0 stay in the mean.

    Returns:
        A scalar tensor. The weight enters squared, there is no factor 1/2.
    """
    return ((output - target) * weight[..., None]).square().mean()


def keypoint_ohkm(output: Tensor, target: Tensor, weight: Tensor, hard_keypoints: int = 8) -> Tensor:
    """Online hard keypoint mining: ``keypoint_mse`` of the keypoints that are worst in each image.

    Args:
        output: Heatmaps of the network.
        target: Heatmaps to reach.
        weight: Of each keypoint.
        hard_keypoints: How many of the worst keypoints of an image count; no more than there are.

    Returns:
        A scalar tensor.
    """
    errors = ((output - target) * weight[..., None]).square().mean(dim=(2, 3))
    return errors.topk(hard_keypoints, dim=1).values.mean()


class Accuracy(NamedTuple):
    """Shares of keypoints found.

    Attributes:
        average: The mean over keypoints that are counted in an image at least; 0 if there is none.
        per_keypoint: float64 (keypoints,): share of images; -1 where none counts.
        counted: Keypoints that the average is over.
    """

    average: float
    per_keypoint: Tensor
    counted: int


@torch.no_grad()
def keypoint_accuracy(output: Tensor, target: Tensor, weight: Tensor, threshold: float = 0.05) -> Accuracy:
    """The published training accuracy: how often the peaks of output and target lie near each other.

    As published, the distance along x is divided by the height of the heatmap and the one along y by its width; and a
    map that is nowhere positive has its peak at (-1, -1).

    Args:
        output: Heatmaps of the network.
        target: Heatmaps to reach.
        weight: Keypoints of weight 0 do not count.
        threshold: Distances below it count as found.
    """
    height, width = output.shape[2:]
    offset = (_peaks_xy(output) - _peaks_xy(target)) / output.new_tensor([height, width], dtype=torch.float64)
    counts = weight[..., 0] > 0
    # Distances are rounded to float32 before they are compared, as published.
    found = (offset.norm(dim=2).float() < threshold) & counts
    images = counts.sum(dim=0)
    per_keypoint = torch.where(images > 0, found.sum(dim=0).double() / images, -1.0)
    counted = int((images > 0).sum())
    average = float(per_keypoint[images > 0].sum()) / max(counted, 1)
    return Accuracy(average, per_keypoint, counted)


def _peaks_xy(heatmaps: Tensor) -> Tensor:
    """float64 (images, keypoints, 2): the first of the highest cells."""
    highest, place = heatmaps.flatten(2).max(dim=2)
    width = heatmaps.shape[3]
    peaks = torch.stack((place % width, place // width), dim=2).double()
    return torch.where(highest[..., None] > 0, peaks, -1.0)
