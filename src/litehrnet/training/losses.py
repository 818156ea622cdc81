"""Losses and training accuracy: of heatmaps (docs/spec/protocol.md, sections 3.1 and 3.2), and of classes.

Shapes of heatmaps throughout: ``output`` and ``target`` float (images, keypoints, height, width), ``weight`` float
(images, keypoints, 1): 0 for a keypoint that does not count. Of classes: ``scores`` float (images, classes, height,
width), ``classes`` uint8 (images, height, width), of which ``IGNORED`` ones do not count.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from litehrnet.segmentation.classes import IGNORED


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


def pixel_cross_entropy(scores: Tensor, classes: Tensor, class_weights: Sequence[float] = ()) -> Tensor:
    """Mean cross entropy of the pixels that have a class, each weighted by its class's weight; 0 where none has one.

    Args:
        scores: Of the network.
        classes: Of the pixels.
        class_weights: One per class; none for 1.

    Returns:
        A scalar tensor.
    """
    weights = scores.new_tensor(class_weights) if class_weights else None
    target = classes.long()
    total = F.cross_entropy(scores, target, weights, ignore_index=IGNORED, reduction="sum")
    labeled = target[target != IGNORED]
    counted = scores.new_tensor(labeled.numel()) if weights is None else weights[labeled].sum()
    return total / counted.clamp(min=torch.finfo(scores.dtype).tiny)


def pixel_ohem(
    scores: Tensor,
    classes: Tensor,
    class_weights: Sequence[float] = (),
    *,
    hard_pixels: float,
    hard_below: float,
) -> Tensor:
    """Online hard example mining: the mean over the pixels of the batch that are hardest.

    Args:
        scores: Of the network.
        classes: Of the pixels.
        class_weights: One per class; none for 1.
        hard_pixels: Part of the labeled pixels that counts at least, 0..1.
        hard_below: Pixels whose own class has a lower probability all count.

    Returns:
        A scalar tensor.
    """
    target = classes.long()
    labeled = target != IGNORED
    errors = F.cross_entropy(scores, target, ignore_index=IGNORED, reduction="none")[labeled]
    hard = max(int((errors > -math.log(hard_below)).sum()), math.ceil(hard_pixels * len(errors)))
    errors, places = errors.topk(hard)
    if class_weights:
        weights = scores.new_tensor(class_weights)[target[labeled][places]]
        return (weights * errors).sum() / weights.sum().clamp(min=torch.finfo(scores.dtype).tiny)
    return errors.sum() / max(hard, 1)


@torch.no_grad()
def pixel_accuracy(scores: Tensor, classes: Tensor) -> float:
    """Share of the pixels with a class whose highest score is that class's; 0 where none has one."""
    labeled = classes != IGNORED
    right = (scores.argmax(dim=1) == classes) & labeled
    return float(right.sum()) / max(int(labeled.sum()), 1)
