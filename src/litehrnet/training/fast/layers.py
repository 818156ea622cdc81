"""Layers with batch normalization, computed forward and backward by the kernels of training.

A layer is not a node of autograd. ``path`` makes one node of several layers, and larger operations compute layers
inside their own node. A node costs more time than a small kernel, so a step should have few. All tensors are float32 on
the CPU, images in channels last. Running statistics are updated as in training mode.

Every layer has ``parameters``, and

- ``forward(x)``: its result, and ``kept`` tensors that its backward pass needs; the first one is ``x``.
- ``backward(kept, dout, dx, add)``: writes the gradient of ``x`` to ``dx``, or adds it with ``add``; returns the
  gradients of the parameters.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd import Function

from litehrnet.training.fast.kernels import compiled
from litehrnet.training.fast.layouts import (
    array,
    arrays,
    count_batch,
    dense,
    empty_images,
    is_half,
    like,
    norm_of,
    threads_for,
)


class Norm:
    """Batch normalization of (n, c, h, w), and ReLU if ``relu``."""

    kept = 2

    def __init__(self, norm: nn.BatchNorm2d, relu: bool) -> None:
        self.norm, self.relu, self.view = norm, relu, norm_of(norm)

    @property
    def parameters(self) -> list[Tensor]:
        """Two."""
        return [self.norm.weight, self.norm.bias]

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Keeps ``x`` and the statistics."""
        x = dense(x)
        out, statistics = torch.empty_like(x), torch.empty(2, x.shape[1], dtype=torch.float64)
        count_batch(self.norm, x)
        compiled.norm_forward(array(x), self.view, array(statistics), self.relu, array(out), threads_for(x))
        return out, [x, statistics]

    def backward(self, kept: Sequence[Tensor], dout: Tensor, dx: Tensor, add: bool) -> list[Tensor]:
        """See the module; it cannot add."""
        assert not add
        x, statistics = kept
        dnorm = like(*self.parameters)
        given = (array(x), self.view, array(statistics), self.relu)
        compiled.norm_backward(*given, *arrays(dout, dx, *dnorm), threads_for(x))
        return dnorm


class Product:
    """A 1x1 convolution without bias of (n, c, h, w), then batch normalization, and ReLU if ``relu``.

    ``x`` may hold some of the channels of another tensor.
    """

    kept = 4

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, relu: bool) -> None:
        assert conv.bias is None
        self.conv, self.norm, self.relu, self.view = conv, norm, relu, norm_of(norm)

    @property
    def parameters(self) -> list[Tensor]:
        """Three."""
        return [self.conv.weight, self.norm.weight, self.norm.bias]

    def forward(
        self, x: Tensor, affine: tuple[Tensor, Tensor] | None = None, normalized: bool = True
    ) -> tuple[Tensor, list[Tensor]]:
        """Apply a factor and an offset (c,) to ``x`` first, if they are given; see ``Separable.forward``."""
        x = x if is_half(x) else dense(x)
        # A 1x1 convolution after a factor and an offset per channel is another 1x1 convolution, with a bias.
        matrix = self.conv.weight.flatten(1)
        bias = None if affine is None else array(matrix @ affine[1])
        if affine is not None:
            matrix = matrix * affine[0]
        n, _, h, w = x.shape
        y, statistics = empty_images(n, len(matrix), h, w), torch.empty(2, len(matrix), dtype=torch.float64)
        out = torch.empty_like(y) if normalized else y
        count_batch(self.norm, y)
        given, of_norm = (array(x), array(matrix), bias), (self.view, array(statistics), self.relu)
        written = array(out) if normalized else None
        compiled.product_norm_forward(*given, array(y), *of_norm, written, threads_for(x))
        return out, [x, matrix, y, statistics]

    def backward(self, kept: Sequence[Tensor], dout: Tensor, dx: Tensor, add: bool) -> list[Tensor]:
        """See the module; the first gradient is that of the matrix with the factor in it."""
        x, matrix, y, statistics = kept
        dweight, *dnorm = like(*self.parameters)
        given = (*arrays(x, matrix, y), self.view, array(statistics), self.relu, array(dout))
        compiled.product_norm_backward(*given, array(dx), add, *arrays(dweight, *dnorm), threads_for(x))
        return [dweight, *dnorm]


class Separable:
    """A depthwise 3x3 convolution of (n, c, h, w) with batch normalization, then a ``Product``.

    ``x`` may hold some of the channels of another tensor.
    """

    kept = 7

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, product: Product) -> None:
        self.conv, self.norm, self.product, self.view = conv, norm, product, norm_of(norm)

    @property
    def parameters(self) -> list[Tensor]:
        """Six."""
        return [self.conv.weight, self.norm.weight, self.norm.bias, *self.product.parameters]

    def forward(self, x: Tensor, normalized: bool = True) -> tuple[Tensor, list[Tensor]]:
        """Without ``normalized``, the last batch normalization takes its statistics, but is not applied."""
        x, stride = x if is_half(x) else dense(x), self.conv.stride[0]
        n, c, h, w = x.shape
        y = empty_images(n, c, -(-h // stride), -(-w // stride))
        statistics, gain, offset = torch.empty(2, c, dtype=torch.float64), torch.empty(c), torch.empty(c)
        count_batch(self.norm, y)
        written = arrays(statistics, y, gain, offset)
        compiled.depthwise_forward(array(x), array(self.conv.weight), stride, self.view, *written, threads_for(x))
        out, kept = self.product.forward(y, (gain, offset), normalized)
        return out, [x, statistics, gain, *kept]

    def backward(self, kept: Sequence[Tensor], dout: Tensor, dx: Tensor, add: bool) -> list[Tensor]:
        """See the module."""
        x, statistics, gain, *of_product = kept
        y = of_product[0]
        dy = torch.empty_like(y)
        dweight, *of_norm = self.product.backward(of_product, dout, dy, add=False)
        dmatrix = dweight.flatten(1)
        dgain = (dmatrix * self.product.conv.weight.flatten(1)).sum(0)
        dmatrix *= gain
        dkernel, *dnorm = like(self.conv.weight, self.norm.weight, self.norm.bias)
        # Normalization takes away what the offset adds: its gradient is 0.
        given = arrays(statistics, y, dy, dgain, torch.zeros_like(gain))
        written = (array(dx), add, *arrays(dkernel, *dnorm))
        layer = (array(self.conv.weight), self.conv.stride[0], self.view)
        compiled.depthwise_backward(array(x), *layer, *given, *written, threads_for(x))
        return [dkernel, *dnorm, dweight, *of_norm]


class Convolution:
    """A 3x3 convolution without bias of few channels (n, c, h, w), then batch normalization, and ReLU if ``relu``.

    ``x`` gets no gradient: this is for the first layer.
    """

    kept = 3

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, relu: bool) -> None:
        self.conv, self.norm, self.relu, self.view = conv, norm, relu, norm_of(norm)

    @property
    def parameters(self) -> list[Tensor]:
        """Three."""
        return [self.conv.weight, self.norm.weight, self.norm.bias]

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """See the module."""
        x, matrix, stride = dense(x), dense(self.conv.weight), self.conv.stride[0]
        n, _, h, w = x.shape
        y = empty_images(n, len(matrix), -(-h // stride), -(-w // stride))
        out, statistics = torch.empty_like(y), torch.empty(2, len(matrix), dtype=torch.float64)
        count_batch(self.norm, y)
        given, of_norm = (array(x), array(matrix.permute(0, 2, 3, 1)), stride), (self.view, array(statistics))
        compiled.convolution_norm_forward(*given, array(y), *of_norm, self.relu, array(out), threads_for(y))
        return out, [x, y, statistics]

    def backward(self, kept: Sequence[Tensor], dout: Tensor, dx: Tensor, add: bool) -> list[Tensor]:
        """The gradients of the parameters alone."""
        x, y, statistics = kept
        dmatrix, dnorm = torch.empty_like(dense(self.conv.weight)), like(self.norm.weight, self.norm.bias)
        given = (array(x), self.conv.stride[0], array(y), self.view, array(statistics), self.relu, array(dout))
        written = arrays(dmatrix.permute(0, 2, 3, 1), *dnorm)
        compiled.convolution_norm_backward(*given, *written, threads_for(y))
        return [dmatrix, *dnorm]


Layer: TypeAlias = Norm | Product | Separable | Convolution


def parameters_of(layers: Sequence[Layer]) -> list[Tensor]:
    """The parameters of all layers, in order."""
    return [parameter for layer in layers for parameter in layer.parameters]


def forward(layers: Sequence[Layer], x: Tensor, kept: list[Tensor]) -> Tensor:
    """Compute layers in turn, and append what their backward passes need to ``kept``."""
    for layer in layers:
        x, more = layer.forward(x)
        kept += more
    return x


def backward(layers: Sequence[Layer], kept: list[Tensor], dout: Tensor, dx: Tensor, add: bool) -> list[Tensor]:
    """The way back through ``forward``.

    Args:
        layers: The layers.
        kept: What ``forward`` appended is taken from its end.
        dout: Gradient of the result, dense.
        dx: Receives the gradient of ``x``.
        add: Whether to add to ``dx``.

    Returns:
        Gradients of ``parameters_of(layers)``.
    """
    gradients: list[Tensor] = []
    for layer in reversed(layers):
        mine = kept[-layer.kept :]
        del kept[-layer.kept :]
        is_first = layer is layers[0]
        into = dx if is_first else torch.empty_like(mine[0])
        gradients[:0] = layer.backward(mine, dout, into, add and is_first)
        dout = into
    return gradients


def path(layers: Sequence[Layer], x: Tensor) -> Tensor:
    """Compute layers of (n, c, h, w) in turn, with their gradients."""
    out: Tensor = _Path.apply(x, layers, *parameters_of(layers))  # type: ignore[no-untyped-call]
    return out


class _Path(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layers: Sequence[Layer], *parameters: Tensor) -> Tensor:
        kept: list[Tensor] = []
        out = forward(layers, x, kept)
        ctx.layers, ctx.count = layers, len(kept)
        ctx.save_for_backward(*kept, *parameters)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        kept = list(ctx.saved_tensors[: ctx.count])
        dx = empty_images(*kept[0].shape)
        of_parameters = backward(ctx.layers, kept, dense(gradients[0]), dx, add=False)
        return dx if ctx.needs_input_grad[0] else None, None, *of_parameters
