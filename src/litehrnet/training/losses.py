"""Losses and training accuracies of heatmaps (docs/spec/protocol.md, sections 3.1 and 3.2) and of classes.

Heatmaps ``output`` and ``target`` are float (images, keypoints, height, width). ``weight`` is float (images, keypoints,
1), and 0 for keypoints that do not count. ``scores`` of classes are float (images, classes, height, width), ``classes``
uint8 (images, height, width); ``IGNORED`` pixels do not count. ``class_weights`` has one weight per class, or none for
1. Losses are scalar tensors.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from litehrnet.segmentation.classes import IGNORED


def keypoint_mse(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean of (w p - w g)^2 over all elements; keypoints of weight 0 stay in the mean. There is no factor 1/2."""
    return ((output - target) * weight[..., None]).square().mean()


def keypoint_ohkm(output: Tensor, target: Tensor, weight: Tensor, hard_keypoints: int = 8) -> Tensor:
    """Online hard keypoint mining: ``keypoint_mse`` of the worst ``hard_keypoints`` keypoints in each image."""
    errors = ((output - target) * weight[..., None]).square().mean(dim=(2, 3))
    return errors.topk(hard_keypoints, dim=1).values.mean()


class Accuracy(NamedTuple):
    """Shares of keypoints found.

    Attributes:
        average: Mean over the keypoints that count in at least one image; 0 without any.
        per_keypoint: float64 (keypoints,): share of images; -1 where no image counts.
    """

    average: float
    per_keypoint: Tensor


@torch.no_grad()
def keypoint_accuracy(output: Tensor, target: Tensor, weight: Tensor, threshold: float = 0.05) -> Accuracy:
    """Training accuracy: how often the peaks of output and target are close to each other.

    As in the reference implementation, the distance along x is divided by the height of the heatmap and the distance
    along y by its width. A map without positive values has its peak at (-1, -1). Keypoints with a distance below
    ``threshold`` count as found.
    """
    height, width = output.shape[2:]
    offset = (_peaks_xy(output) - _peaks_xy(target)) / output.new_tensor([height, width], dtype=torch.float64)
    counts = weight[..., 0] > 0
    # As in the reference implementation, distances are rounded to float32 before they are compared.
    found = (offset.norm(dim=2).float() < threshold) & counts
    images = counts.sum(dim=0)
    per_keypoint = torch.where(images > 0, found.sum(dim=0).double() / images, -1.0)
    average = float(per_keypoint[images > 0].sum()) / max(int((images > 0).sum()), 1)
    return Accuracy(average, per_keypoint)


def _peaks_xy(heatmaps: Tensor) -> Tensor:
    """Find the first of the highest cells: float64 (images, keypoints, 2)."""
    highest, place = heatmaps.flatten(2).max(dim=2)
    width = heatmaps.shape[3]
    peaks = torch.stack((place % width, place // width), dim=2).double()
    return torch.where(highest[..., None] > 0, peaks, -1.0)


def pixel_cross_entropy(scores: Tensor, classes: Tensor, class_weights: Sequence[float] = ()) -> Tensor:
    """Mean cross entropy of the labeled pixels, weighted by class; 0 without any."""
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
    """Online hard example mining: mean cross entropy of the hardest pixels of the batch.

    At least the share ``hard_pixels`` of the labeled pixels counts, 0..1. Pixels whose own class has a probability
    below ``hard_below`` always count.
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
    """Share of the labeled pixels whose class has the highest score; 0 without any."""
    labeled = classes != IGNORED
    right = (scores.argmax(dim=1) == classes) & labeled
    return float(right.sum()) / max(int(labeled.sum()), 1)
