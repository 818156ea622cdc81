"""Batch normalization with the statistics of all processes, on CPU and GPU.

PyTorch's ``SyncBatchNorm`` does not support tensors on the CPU. Here, processes that share a batch compute the same
as one process with the whole batch.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from litehrnet.models.blocks import TwiceTrackedBatchNorm

_IMAGES_AND_PLACES = (0, 2, 3)


class SynchronizedBatchNorm(nn.BatchNorm2d):
    """Batch normalization that shares the parameters and buffers of an existing one.

    In evaluation mode, or without other processes, it is plain batch normalization. In training mode, all processes
    of the default group must run it equally often, forward and backward. The gradients of weight and bias come from
    the process's own images, so they are averaged over the processes like all others.

    Args:
        norm: Batch normalization to replace; its tensors are shared, not copied.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, device="meta")
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.count_per_batch = 2 if isinstance(norm, TwiceTrackedBatchNorm) else 1
        self.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        mean, square, count = _statistics_of_all(x.detach().to(self.weight.dtype))
        self._track(mean, square / (count - 1))  # running statistics use the unbiased variance
        inverse_std = torch.rsqrt(square / count + self.eps)
        normalized: Tensor = _Normalize.apply(x, self.weight, self.bias, mean, inverse_std, count)  # type: ignore[no-untyped-call]
        return normalized

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked.add_(self.count_per_batch)


class _Normalize(torch.autograd.Function):
    """Function (x - mean) * inverse_std * weight + bias, whose gradient includes the statistics' dependence on x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, inverse_std: Tensor, count: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, inverse_std, count)
        scale = weight * inverse_std
        return torch.addcmul(_wide(bias - mean * scale), x.to(weight.dtype), _wide(scale)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse_std, count = ctx.saved_tensors
        gradient = gradients[0].to(weight.dtype)
        standard = (x.to(weight.dtype) - _wide(mean)) * _wide(inverse_std)
        for_bias = gradient.sum(_IMAGES_AND_PLACES)
        for_weight = (gradient * standard).sum(_IMAGES_AND_PLACES)
        of_all = torch.stack((for_bias, for_weight))
        if dist.is_initialized():
            dist.all_reduce(of_all)
        for_bias_mean, for_weight_mean = of_all / count
        centered = gradient - _wide(for_bias_mean) - standard * _wide(for_weight_mean)
        return (centered * _wide(weight * inverse_std)).to(x.dtype), for_weight, for_bias, None, None, None


def _statistics_of_all(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute mean, sum of squared deviations, and number of values per channel, over all processes.

    Each process sums the squares around its own mean, and the sums are then moved to the common mean. A difference
    of large squares would lose the digits of a small variance.
    """
    mean = x.mean(_IMAGES_AND_PLACES)
    square = (x - _wide(mean)).square().sum(_IMAGES_AND_PLACES)
    count = torch.full_like(mean, x.numel() // x.shape[1])
    own = torch.stack((mean, square, count))
    parts = [own]
    if dist.is_initialized():
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own)
    means, squares, counts = torch.stack(parts, dim=1)
    count = counts.sum(0)
    if count[0] < 2:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(x.shape)}")
    mean = (means * counts).sum(0) / count
    return mean, (squares + counts * (means - mean).square()).sum(0), count


def _wide(per_channel: Tensor) -> Tensor:
    return per_channel[:, None, None]


def convert(network: nn.Module) -> None:
    """Synchronize every batch normalization of a network, in place.

    Names and tensors of parameters and buffers do not change, so existing state dicts and optimizers remain valid.
    """
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, SynchronizedBatchNorm(child))
