"""The loss of a detector, on the targets of ``litehrnet.detection.maps``.

Shapes throughout: ``output`` float (images, 5, height, width), the network's maps; ``target`` float (images, 7, height,
width), ``BoxTargets.stacked``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from litehrnet.detection.maps import DISTANCE_UNIT, MAX_LOG_DISTANCE

BOX_WEIGHT = 5.0
"""Weight of the boxes against the center scores, as in TTFNet."""

CENTER_WEIGHT = 4.0
"""Weight of centers against empty cells: the square of a difference from an IoU is smaller than that from 1."""


def detection_loss(output: Tensor, target: Tensor) -> Tensor:
    """Compute the loss of center scores and boxes, per object.

    Returns:
        A scalar tensor: ``center_loss`` plus ``BOX_WEIGHT`` times the mean of 1 - GIoU.
    """
    objects = (target[:, 0] == 1).sum().clamp(min=1)
    giou, overlap = box_overlaps(output, target)
    boxes = (target[:, 5] * (1 - giou)).sum() / target[:, 5].sum().clamp(min=1)
    centers = center_loss(output[:, 0], target[:, 0], target[:, 6], overlap.detach())
    return centers / objects + BOX_WEIGHT * boxes


def center_loss(logits: Tensor, scores: Tensor, known: Tensor, overlap: Tensor) -> Tensor:
    """Focal loss of the center scores, summed.

    At a center, the network learns how well its own box fits: the quality focal loss (Li et al., "Generalized Focal
    Loss", NeurIPS 2020, equation 2). So well placed boxes get the higher scores. Everywhere else it learns 0, less
    near a center (Zhou et al., "Objects as Points", 2019, equation 1).

    Args:
        logits: (images, height, width), of the network.
        scores: (images, height, width), 0..1: 1 at centers.
        known: (images, height, width), 0 or 1: empty cells count where it is 1.
        overlap: (images, height, width), 0..1: IoU of the predicted box, without gradient.
    """
    probability = logits.sigmoid()
    quality = F.binary_cross_entropy_with_logits(logits, overlap, reduction="none")
    found = CENTER_WEIGHT * (overlap - probability).square() * quality
    empty = -(1 - scores).pow(4) * known * probability.square() * F.logsigmoid(-logits)
    return torch.where(scores == 1, found, empty).sum()


def box_overlaps(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Overlap of predicted and target boxes in every cell.

    Both boxes contain the cell's center, so they overlap along both axes.

    Returns:
        Generalized intersection over union (Rezatofighi et al., CVPR 2019) and intersection over union, both
        (images, height, width).
    """
    own, labels = DISTANCE_UNIT * output[:, 1:5].clamp(max=MAX_LOG_DISTANCE).exp(), target[:, 1:5]
    smaller, larger = torch.minimum(own, labels), torch.maximum(own, labels)
    shared, hull = _areas(smaller), _areas(larger)
    union = _areas(own) + _areas(labels) - shared
    overlap = shared / union
    return overlap - (hull - union) / hull, overlap


def _areas(distances: Tensor) -> Tensor:
    left, top, right, bottom = distances.unbind(dim=1)
    return (left + right) * (top + bottom)


@torch.no_grad()
def box_accuracy(output: Tensor, target: Tensor) -> float:
    """Mean intersection over union of the boxes predicted in the cells of objects, 0..1; 0 where there is no object."""
    _, overlap = box_overlaps(output, target)
    weights = target[:, 5]
    return float((weights * overlap).sum() / weights.sum().clamp(min=1e-6))
