"""Distillation: a trained network, the teacher, provides part of the target heatmaps.

Hinton et al., "Distilling the Knowledge in a Neural Network", 2015. For heatmaps: Zhang et al., "Fast Human Pose
Estimation", CVPR 2019.

The loss is (1 - a) |p - g|^2 + a |p - t|^2 with the label's heatmap g and the teacher's t. It differs from the loss on
(1 - a) g + a t by a constant, so one mixed target is enough, for every loss.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from litehrnet.arrays import Floats32
from litehrnet.config.schema import DistillConfig, RunConfig
from litehrnet.detection.maps import DISTANCE_UNIT, MAX_LOG_DISTANCE
from litehrnet.errors import UserError
from litehrnet.runtimes import Runtime, open_runtime
from litehrnet.runtimes.torch import TorchRuntime
from litehrnet.training.loader import TensorBatch
from litehrnet.variants import heatmap_size


@dataclass(frozen=True)
class Teacher:
    """A trained network to learn from.

    Attributes:
        runtime: Runtime of the teacher, at the input size of the network in training.
        share: Share of its heatmaps in the target of a labeled keypoint, 0..1.
        description: Description for the log.
        widening: (along y, along x) float32 square matrices that widen its peaks to the run's spread; None for a
            detector.
    """

    runtime: Runtime
    share: float
    description: str
    widening: tuple[Tensor, Tensor] | None


def open_teacher(config: RunConfig, distill: DistillConfig, device: torch.device) -> Teacher:
    """Open the teacher of a configuration.

    Args:
        config: Configuration of the run.
        distill: Settings of the distillation.
        device: Device of the network in training.

    Raises:
        UserError: The file cannot be used, the teacher finds other keypoints, or a setting is out of range.
    """
    if not 0 <= distill.share <= 1:
        raise UserError(f"{config.name}: distill.share is {distill.share:g} (expected a part, 0 to 1)")
    path, size = Path(distill.teacher), config.input_size_wh
    if device.type == "cpu":
        runtime = open_runtime(path, input_size_wh=size, threads=torch.get_num_threads())
    else:
        runtime = open_runtime(path, "torch", input_size_wh=size, device=str(device))
    if config.task == "detection":
        return _box_teacher(config, distill, runtime)
    names, own = runtime.info.keypoint_set.keypoint_names, config.keypoint_set.keypoint_names
    if names != own:
        raise UserError(
            f"{distill.teacher}: finds {len(names)} keypoints, {', '.join(names[:3])} ... (expected the "
            f"{len(own)} that are trained, {', '.join(own[:3])} ...)"
        )
    if runtime.info.simcc_bins_wh is not None:
        raise UserError(f"{distill.teacher}: has a SimCC head (expected a network with heatmaps)")
    spread, wanted = distill.teacher_sigma or runtime.info.codec.sigma, config.codec.sigma
    if not 0 < spread <= wanted:
        raise UserError(f"{config.name}: the teacher's sigma is {spread:g} (expected 0 to codec.sigma, {wanted:g})")
    width, height = heatmap_size(*config.input_size_wh)
    along_y, along_x = (torch.from_numpy(widening_matrix(cells, spread, wanted)) for cells in (height, width))
    counts = f"{distill.share:g} of the targets of labeled keypoints"
    description = f"{distill.teacher} on {runtime.description}, {counts}"
    return Teacher(runtime, distill.share, description, (along_y, along_x))


def _box_teacher(config: RunConfig, distill: DistillConfig, runtime: Runtime) -> Teacher:
    """Make the teacher of a detector: another detector of this package."""
    if not runtime.info.detects:
        raise UserError(f"{distill.teacher}: finds {runtime.info.outputs_text} (expected a detector of this package)")
    if distill.teacher_sigma is not None:
        raise UserError(f"{config.name}: distill.teacher_sigma only works with keypoints (expected to be left out)")
    description = f"{distill.teacher} on {runtime.description}, {distill.share:g} of the targets of boxes"
    return Teacher(runtime, distill.share, description, None)


def widening_matrix(cells: int, sigma: float, wanted_sigma: float) -> Floats32:
    """Matrix (cells, cells) that widens a Gaussian of ``sigma`` to ``wanted_sigma``; center and height stay."""
    blur = np.sqrt(wanted_sigma**2 - sigma**2)
    if blur == 0:
        return np.eye(cells, dtype=np.float32)
    distances = np.subtract.outer(np.arange(cells), np.arange(cells))
    gaussian = np.exp(-(distances**2) / (2 * blur**2))
    # Normalized by the sum over infinitely many cells: at the border, the outer part is lost.
    gaussian /= np.exp(-(np.arange(-cells, cells + 1) ** 2) / (2 * blur**2)).sum()
    return np.asarray(gaussian * wanted_sigma / sigma, dtype=np.float32)


def distilled(batch: TensorBatch, teacher: Teacher) -> TensorBatch:
    """Mix the teacher's heatmaps into the targets; keypoints without a label get only the teacher's."""
    if isinstance(teacher.runtime, TorchRuntime):
        heatmaps = teacher.runtime.maps(batch.images.to(teacher.runtime.device))
    else:
        heatmaps = torch.from_numpy(teacher.runtime.forward(batch.images.numpy()))
    heatmaps = heatmaps.to(batch.targets.device)
    if teacher.widening is None:
        return replace(batch, targets=distilled_boxes(batch.targets, heatmaps, teacher.share))
    along_y, along_x = (matrix.to(heatmaps.device) for matrix in teacher.widening)
    heatmaps = along_y @ heatmaps @ along_x.T
    labels = (1 - teacher.share) * batch.weights[..., None, None]
    targets = labels * batch.targets + (1 - labels) * heatmaps
    return replace(batch, targets=targets, weights=torch.ones_like(batch.weights))


def distilled_boxes(targets: Tensor, maps: Tensor, share: float) -> Tensor:
    """Mix a teacher's boxes into the targets of a detector.

    In the cells of an object, ``share`` of the box's sides comes from the teacher. Elsewhere, a cell where the teacher
    sees a center costs less, like a cell near a labeled center.

    Args:
        targets: (n, 7, h, w), ``BoxTargets.stacked``.
        maps: (n, 5, h, w) maps of the teacher.
        share: Share of the teacher, 0..1.

    Returns:
        Like ``targets``.
    """
    scores, distances = targets[:, :1], targets[:, 1:5]
    seen = torch.maximum(scores, share * maps[:, :1].sigmoid())
    own = DISTANCE_UNIT * maps[:, 1:].clamp(max=MAX_LOG_DISTANCE).exp()
    mixed = torch.where(targets[:, 5:6] > 0, (1 - share) * distances + share * own, distances)
    return torch.cat([torch.where(scores == 1, scores, seen.clamp(max=1 - 1e-3)), mixed, targets[:, 5:]], dim=1)
