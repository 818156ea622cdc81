"""One step of training: forward, loss, backward, optimizer (docs/spec/protocol.md, sections 3.1 to 3.3)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from litehrnet.config.schema import TrainingConfig
from litehrnet.keypoints.crop import IMAGENET_MEAN, IMAGENET_STD
from litehrnet.training.box_loss import box_accuracy, detection_loss
from litehrnet.training.distributed import Processes, average_gradients, copy_from_first
from litehrnet.training.fast import kernels
from litehrnet.training.fast.fused import use_kernels
from litehrnet.training.loader import TensorBatch
from litehrnet.training.losses import (
    keypoint_accuracy,
    keypoint_mse,
    keypoint_ohkm,
    pixel_accuracy,
    pixel_cross_entropy,
    pixel_ohem,
)
from litehrnet.training.state import TrainingState, update_average

ACCURACY_NAMES = {
    "mse": "acc_pose",
    "ohkm": "acc_pose",
    "cross_entropy": "acc_seg",
    "ohem": "acc_seg",
    "boxes": "acc_box",
}
"""Name of the training accuracy in the log, by kind of loss."""


class NonFiniteLossError(Exception):
    """The loss is not a finite number.

    Args:
        value: The loss.
        indices: Indices of the samples in the batch.
    """

    def __init__(self, value: float, indices: list[int]) -> None:
        super().__init__(f"loss {value}")
        self.value, self.indices = value, indices


def prepared(network: nn.Module, settings: TrainingConfig, processes: Processes) -> nn.Module:
    """Prepare the network for training: the same in all processes, with fast kernels or compiled."""
    # Running statistics are not exchanged while training: those of the first process count, as in the reference.
    copy_from_first(network.parameters(), processes)
    if uses_kernels(settings, next(network.parameters()).device):
        use_kernels(network)
    return torch.compile(network) if settings.compile else network  # type: ignore[return-value]


def uses_kernels(settings: TrainingConfig, device: torch.device) -> bool:
    """Whether the compiled training kernels replace PyTorch's operations."""
    plain = settings.compile or settings.sync_batch_norm or settings.precision != "float32"
    return kernels.available and device.type == "cpu" and settings.channels_last and not plain


def optimizer_step(
    network: nn.Module,
    state: TrainingState,
    batches: Sequence[TensorBatch],
    settings: TrainingConfig,
    rate: float,
    processes: Processes,
) -> dict[str, float]:
    """Make one optimizer step along the mean gradient of the ``batches`` of all processes.

    Args:
        network: Network of the state, after ``prepared``.
        state: State whose network, optimizer, scaler and moving average change.
        batches: Batches whose gradients are accumulated.
        settings: Loss, precision and clipping.
        rate: Learning rate of this step.
        processes: The processes, which must all call this together.

    Returns:
        Loss and training accuracy of this process, by their names in the log.

    Raises:
        NonFiniteLossError: The loss of a batch is infinite or not a number; the step is not made.
    """
    state.optimizer.param_groups[0]["lr"] = rate
    state.optimizer.zero_grad(set_to_none=True)
    accuracy_name = ACCURACY_NAMES[settings.loss.kind]
    total = {f"{settings.loss.kind}_loss": 0.0, accuracy_name: 0.0}
    for batch in batches:
        loss, accuracy = loss_and_accuracy(network, batch, settings)
        value = float(loss.item())
        if not math.isfinite(value):
            raise NonFiniteLossError(value, batch.indices)
        state.scaler.scale(loss / len(batches)).backward()  # type: ignore[no-untyped-call]
        total[f"{settings.loss.kind}_loss"] += value / len(batches)
        total[accuracy_name] += accuracy / len(batches)
    average_gradients(state.network.parameters(), processes)
    if settings.optimizer.clip_norm is not None:
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.network.parameters(), settings.optimizer.clip_norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    if settings.ema is not None and state.average is not None:
        # A young average decays faster, so that nothing of the random start stays in it.
        steps = state.progress.iteration
        update_average(state.average, state.network, min(settings.ema, (1 + steps) / (10 + steps)))
    return total


def loss_and_accuracy(network: nn.Module, batch: TensorBatch, settings: TrainingConfig) -> tuple[Tensor, float]:
    """Compute the loss against the targets, a scalar, and the training accuracy."""
    output, target, weight = forward(network, batch, settings)
    accuracy = accuracy_of(output.detach(), target, weight, settings)
    return loss_of(output, target, weight, settings), accuracy


def accuracy_of(output: Tensor, target: Tensor, weight: Tensor, settings: TrainingConfig) -> float:
    """The training accuracy that belongs to the loss, 0..1."""
    match settings.loss.kind:
        case "mse" | "ohkm":
            return keypoint_accuracy(output, target, weight).average
        case "cross_entropy" | "ohem":
            return pixel_accuracy(output, target)
        case "boxes":
            return box_accuracy(output, target)


def forward(network: nn.Module, batch: TensorBatch, settings: TrainingConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Run the network on a batch.

    Returns:
        Heatmaps and targets (n, keypoints, h, w) and weights (n, keypoints, 1), float32, on the network's device. For
        segmentation: scores (n, classes, H, W), classes uint8 (n, H, W) and empty weights. For detection: maps (n, 5,
        h, w), targets (n, 7, h, w) and empty weights.
    """
    device = next(network.parameters()).device
    images, target, weight = (
        each.to(device, non_blocking=True) for each in (batch.images, batch.targets, batch.weights[..., None])
    )
    with autocast(device, settings):
        output = network(normalized(images, settings.channels_last))
    return output.float(), target, weight


def autocast(device: torch.device, settings: TrainingConfig, *, cache: bool = True) -> torch.autocast:
    """Run a block in the precision of the settings; ``cache`` keeps converted weights for the whole block."""
    half = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[settings.precision]
    return torch.autocast(device.type, dtype=half, enabled=half is not None, cache_enabled=cache)


def loss_of(output: Tensor, target: Tensor, weight: Tensor, settings: TrainingConfig) -> Tensor:
    """Compute the loss that the settings choose, a scalar."""
    loss = settings.loss
    match loss.kind:
        case "mse":
            return keypoint_mse(output, target, weight)
        case "ohkm":
            return keypoint_ohkm(output, target, weight, min(loss.hard_keypoints, output.shape[1]))
        case "cross_entropy":
            return pixel_cross_entropy(output, target, loss.class_weights)
        case "ohem":
            hard = {"hard_pixels": loss.hard_pixels, "hard_below": loss.hard_below}
            return pixel_ohem(output, target, loss.class_weights, **hard)
        case "boxes":
            return detection_loss(output, target)


def normalized(images: Tensor, channels_last: bool) -> Tensor:
    """Normalize uint8 (n, H, W, 3) RGB to float32 (n, 3, H, W): minus ImageNet's mean, divided by its deviation."""
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (IMAGENET_MEAN, IMAGENET_STD))
    factor, offset = ((1 / (255 * std)).float().to(images.device), (-mean / std).float().to(images.device))
    planes = torch.addcmul(offset, images.float(), factor).permute(0, 3, 1, 2)
    return planes if channels_last else planes.contiguous()
