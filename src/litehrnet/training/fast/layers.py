"""Layers with batch normalization, and paths of several layers, which are one operation.

A node of autograd costs more time than a small kernel, so a step should have few. All tensors are float32 on the CPU,
images in channels last. Every layer has ``modules``, in the order of its gradients, and ``compile()``.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd import Function

from litehrnet.training.fast.kernels import compiled
from litehrnet.training.fast.layouts import array, dense, empty_images, is_half, norm_of
from litehrnet.training.fast.operation import Operation, memory, parts

if TYPE_CHECKING:
    from litehrnet.training.fast import _kernels


class Norm(NamedTuple):
    """Batch normalization of (n, c, h, w), and ReLU if ``relu``."""

    norm: nn.BatchNorm2d
    relu: bool

    @property
    def modules(self) -> list[nn.Module]:
        """See the module."""
        return [self.norm]

    def compile(self) -> "_kernels.Layer":
        """See the module."""
        layer: _kernels.Layer = compiled.norm(norm_of(self.norm), self.relu)
        return layer


class Product(NamedTuple):
    """A 1x1 convolution without bias of (n, c, h, w), then batch normalization, and ReLU if ``relu``.

    The input may hold some of the channels of another tensor.
    """

    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    relu: bool

    @property
    def modules(self) -> list[nn.Module]:
        """See the module."""
        return [self.conv, self.norm]

    def compile(self) -> "_kernels.Product":
        """See the module."""
        layer: _kernels.Product = compiled.Product(array(self.conv.weight), norm_of(self.norm), self.relu)
        return layer


class Separable(NamedTuple):
    """A depthwise 3x3 convolution of (n, c, h, w) with batch normalization, then a ``Product``.

    The input may hold some of the channels of another tensor.
    """

    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    product: Product

    @property
    def modules(self) -> list[nn.Module]:
        """See the module."""
        return [self.conv, self.norm, *self.product.modules]

    def compile(self) -> "_kernels.Layer":
        """See the module."""
        given = array(self.conv.weight), self.conv.stride[0], norm_of(self.norm)
        layer: _kernels.Layer = compiled.separable(*given, self.product.compile())
        return layer


class Convolution(NamedTuple):
    """A 3x3 convolution without bias of few channels (n, c, h, w), then batch normalization, and ReLU if ``relu``.

    The weight is in channels last. The input gets no gradient: this is for the first layer.
    """

    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    relu: bool

    @property
    def modules(self) -> list[nn.Module]:
        """See the module."""
        return [self.conv, self.norm]

    def compile(self) -> "_kernels.Layer":
        """See the module."""
        given = array(self.conv.weight.permute(0, 2, 3, 1)), self.conv.stride[0], norm_of(self.norm)
        layer: _kernels.Layer = compiled.convolution(*given, self.relu)
        return layer


Layer: TypeAlias = Norm | Product | Separable | Convolution


def modules_of(layers: Sequence[Layer]) -> list[nn.Module]:
    """The modules of all layers, in order."""
    return [module for layer in layers for module in layer.modules]


def compiled_path(layers: Sequence[Layer]) -> "_kernels.Path":
    """The compiled form of layers in turn."""
    path: _kernels.Path = compiled.Path([layer.compile() for layer in layers])
    return path


class Path(Operation):
    """Layers in turn. A call computes (n, c, h, w)."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__(modules_of(layers))
        self.layers = layers

    def compile(self) -> "_kernels.Path":
        """See ``Operation``."""
        return compiled_path(self.layers)

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the layers."""
        path, parameters = self.current()
        x = x if isinstance(self.layers[0], Product | Separable) and is_half(x) else dense(x)
        out: Tensor = _Path.apply(path, x, *parameters)  # type: ignore[no-untyped-call]
        return out


class _Path(Function):
    @staticmethod
    def forward(ctx: Any, path: "_kernels.Path", x: Tensor, *parameters: Tensor) -> Tensor:
        kept, out = memory(path.bytes(x.shape)), empty_images(*path.result(x.shape))
        path.forward(array(x), array(kept), array(out), torch.get_num_threads())
        ctx.path = path
        ctx.save_for_backward(x, kept, *parameters)
        return out

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        path, (x, kept, *parameters) = ctx.path, ctx.saved_tensors
        dx, gradients = empty_images(*x.shape), torch.empty(path.gradients)
        written = array(dx), array(gradients)
        path.backward(array(x), array(kept), array(dense(dout)), *written, torch.get_num_threads())
        return None, dx if ctx.needs_input_grad[1] else None, *parts(gradients, parameters)
