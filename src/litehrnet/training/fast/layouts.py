"""Tensors for the kernels: dense images in channels last, views of layers, numbers of threads.

All tensors are float32 on the CPU. They cross to C++ as DLPack capsules, which take a tenth of the time that
``Tensor.__dlpack__`` takes; C++ checks type, device, shape and layout.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.dlpack import to_dlpack  # type: ignore[attr-defined]

from litehrnet.models.blocks import TwiceTrackedBatchNorm
from litehrnet.training.fast.kernels import compiled

if TYPE_CHECKING:
    from litehrnet.training.fast._kernels import Array, Norm


def array(x: Tensor) -> "Array":
    """A view of ``x`` for one call of a kernel."""
    capsule: Array = to_dlpack(x)
    return capsule


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


def firsts(branches: Sequence[Tensor]) -> list[int]:
    """The first channel of each branch's half among the halves of all branches."""
    halves = [x.shape[1] // 2 for x in branches]
    return [sum(halves[:b]) for b in range(len(halves))]


class SharedGradient:
    """The gradient of a tensor that several operations read: each adds to one buffer.

    Without it, PyTorch adds the gradients of every two operations to a new tensor. All operations that read the tensor
    must have this object, and no other operation may read it.
    """

    def __init__(self) -> None:
        self._readers = self._left = 0
        self._buffer: Tensor | None = None
        self._backward = -1

    def read(self) -> None:
        """Count an operation that reads the tensor."""
        self._readers += 1

    def buffer(self, x: Tensor) -> tuple[Tensor, bool]:
        """The gradient of ``x``, and whether to add to it: the first operation of a backward pass writes it."""
        backward = torch._C._current_graph_task_id()
        if backward != self._backward:
            self._backward, self._left, self._buffer = backward, self._readers, None
        buffer, is_first = self._buffer, self._buffer is None
        if buffer is None:
            buffer = empty_images(*x.shape)
        self._left -= 1
        self._buffer = buffer if self._left else None
        return buffer, not is_first


def gradient_buffer(shared: SharedGradient | None, x: Tensor) -> tuple[Tensor, bool, Tensor | None]:
    """The gradient of ``x``, whether to add to it, and what the backward pass of an operation returns for it.

    Only the first operation of a ``SharedGradient`` returns the buffer, so PyTorch does not add it to itself.
    """
    dx, add = shared.buffer(x) if shared else (empty_images(*x.shape), False)
    return dx, add, None if add else dx


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
    return min(torch.get_num_threads(), 1 + x.numel() // 2**17)
