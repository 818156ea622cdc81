"""What the kernels of training are told of tensors and layers: shapes, addresses, strides, threads.

All tensors are float32 on the CPU, images in channels last.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from litehrnet.models.blocks import TwiceTrackedBatchNorm

Shape = tuple[int, int, int, int]
NormValues = tuple[int, int, int, int, float, float]


def dense(x: Tensor) -> Tensor:
    """(n, c, h, w) with nothing between its values, in channels last: x itself where it is so."""
    return x.contiguous(memory_format=torch.channels_last)


def is_half(x: Tensor) -> bool:
    """Whether these are some of the channels of a dense tensor, larger than one pixel either way."""
    _, _, h, w = x.shape
    pixel = x.stride(3)
    return min(h, w) > 1 and x.stride() == (h * w * pixel, 1, w * pixel, pixel)


def pixel_stride(x: Tensor) -> int:
    """Numbers from one pixel of (n, c, h, w) to the next: its channels, or those of the tensor it is a half of."""
    return x.stride(3) if is_half(x) else x.shape[1]


def empty_images(n: int, c: int, h: int, w: int) -> Tensor:
    """(n, c, h, w) in channels last, not yet filled."""
    return torch.empty((n, c, h, w), memory_format=torch.channels_last)


def like(*tensors: Tensor) -> list[Tensor]:
    """As many tensors of the same shapes, not yet filled."""
    return [torch.empty_like(t) for t in tensors]


def shape_of(x: Tensor) -> Shape:
    """(n, h, w, c) of (n, c, h, w)."""
    n, c, h, w = x.shape
    return n, h, w, c


def half_shape(x: Tensor) -> Shape:
    """(n, h, w, c / 2) of (n, c, h, w)."""
    n, c, h, w = x.shape
    return n, h, w, c // 2


def firsts(branches: Sequence[Tensor]) -> list[int]:
    """Where each branch's half begins among those of all branches."""
    halves = [x.shape[1] // 2 for x in branches]
    return [sum(halves[:b]) for b in range(len(halves))]


def channel_address(x: Tensor, channel: int) -> int:
    """Where one channel of the first pixel of (n, c, h, w) lies."""
    return x.data_ptr() + channel * x.element_size()


def pair(first: Tensor, second: Tensor) -> tuple[int, int]:
    """Where two tensors lie."""
    return first.data_ptr(), second.data_ptr()


def four(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[int, int, int, int]:
    """Where four tensors lie."""
    return a.data_ptr(), b.data_ptr(), c.data_ptr(), d.data_ptr()


def norm_values(layer: nn.BatchNorm2d) -> NormValues:
    """Where weight, bias, running mean and variance lie; momentum; epsilon."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.momentum is not None
    values = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
    return *four(*values), layer.momentum, layer.eps


def count_batch(layer: nn.BatchNorm2d, y: Tensor) -> None:
    """Count a batch, of whose (n, c, h, w) the statistics are taken.

    Raises:
        ValueError: There is one value per channel, as in PyTorch's.
    """
    if y.numel() <= y.shape[1]:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(y.shape)}")
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked.add_(2 if isinstance(layer, TwiceTrackedBatchNorm) else 1)


def threads_for(x: Tensor) -> int:
    """How many share the images of x: a thread costs as much as some 100,000 numbers take."""
    return min(torch.get_num_threads(), 1 + x.numel() // 2**17)
