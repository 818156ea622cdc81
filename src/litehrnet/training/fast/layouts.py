"""Tensors for the kernels: dense images in channels last, views of layers, numbers of threads.

All tensors are float32 on the CPU. They cross to C++ as DLPack capsules, which take a tenth of the time that
``Tensor.__dlpack__`` takes; C++ checks type, device, shape and layout.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.dlpack import to_dlpack  # type: ignore[attr-defined]

from litehrnet.models.blocks import TwiceTrackedBatchNorm
from litehrnet.training.fast.kernels import compiled

if TYPE_CHECKING:
    from litehrnet.training.fast._kernels import Array, Norm


array: "Callable[[Tensor], Array]" = to_dlpack
"""A view of a tensor for one call of a kernel."""


def arrays(*tensors: Tensor) -> "Iterator[Array]":
    """Views of several tensors, for one call of a kernel."""
    return map(array, tensors)


def norm_of(layer: nn.BatchNorm2d) -> "Norm":
    """A view of a layer's parameters and running statistics, for the forward and the backward pass."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.momentum is not None
    values = arrays(layer.weight, layer.bias, layer.running_mean, layer.running_var)
    norm: Norm = compiled.Norm(*values, layer.momentum, layer.eps)
    return norm


def dense(x: Tensor) -> Tensor:
    """(n, c, h, w) in channels last without gaps; ``x`` itself if it is so already."""
    return x.contiguous(memory_format=torch.channels_last)


def is_half(x: Tensor) -> bool:
    """Whether ``x`` holds some of the channels of a dense tensor with both sides larger than one pixel."""
    _, _, h, w = x.shape
    pixel = x.stride(3)
    return min(h, w) > 1 and x.stride() == (h * w * pixel, 1, w * pixel, pixel)


def empty_images(n: int, c: int, h: int, w: int) -> Tensor:
    """(n, c, h, w) in channels last, not yet filled."""
    return torch.empty((n, c, h, w), memory_format=torch.channels_last)


def like(*tensors: Tensor) -> list[Tensor]:
    """As many tensors of the same shapes and strides, not yet filled."""
    return [torch.empty_like(t) for t in tensors]


def count_batch(layer: nn.BatchNorm2d, y: Tensor) -> None:
    """Count a batch (n, c, h, w), before its statistics are taken.

    Raises:
        ValueError: There is one value per channel, as in PyTorch's.
    """
    if y.numel() <= y.shape[1]:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(y.shape)}")
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked.add_(2 if isinstance(layer, TwiceTrackedBatchNorm) else 1)


def threads_for(x: Tensor) -> int:
    """Number of threads that share the images of ``x``: starting a thread takes as long as some 100,000 numbers."""
    shares = 1 + x.numel() // 2**17
    return shares if shares == 1 else min(torch.get_num_threads(), shares)
