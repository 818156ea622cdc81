"""Batch normalization, and convolutions with the batch normalization after them, by the kernels of training.

All tensors are float32 on the CPU, images in channels last. Running statistics are updated as in training mode.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from litehrnet.training.fast.kernels import compiled
from litehrnet.training.fast.layouts import (
    SharedGradient,
    array,
    arrays,
    count_batch,
    dense,
    empty_images,
    gradient_buffer,
    is_half,
    like,
    norm_of,
    threads_for,
)


def norm(x: Tensor, layer: nn.BatchNorm2d, *, relu: bool) -> Tensor:
    """Batch normalization of (n, c, h, w), and ReLU if ``relu``."""
    normalized: Tensor = _Norm.apply(x, layer.weight, layer.bias, layer, relu)  # type: ignore[no-untyped-call]
    return normalized


def depthwise_norm(
    x: Tensor, conv: nn.Conv2d, layer: nn.BatchNorm2d, shared: SharedGradient | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """A depthwise 3x3 convolution of (n, c, h, w), and the batch normalization after it as a factor and an offset.

    Args:
        x: Images.
        conv: The convolution.
        layer: The batch normalization.
        shared: The gradient of ``x``, if other operations read it too.

    Returns:
        The convolution (n, c, h', w'), factor (c,) and offset (c,): the normalized result is
        ``convolution * factor + offset``.
    """
    parts: tuple[Tensor, Tensor, Tensor] = _DepthwiseNorm.apply(  # type: ignore[no-untyped-call]
        x, conv.weight, layer.weight, layer.bias, layer, conv.stride[0], shared
    )
    return parts


def product_norm(
    x: Tensor,
    conv: nn.Conv2d,
    layer: nn.BatchNorm2d,
    *,
    relu: bool,
    affine: tuple[Tensor, Tensor] | None = None,
    shared: SharedGradient | None = None,
) -> Tensor:
    """A 1x1 convolution without bias of (n, c, h, w), then batch normalization, and ReLU if ``relu``.

    Args:
        x: Images.
        conv: The convolution.
        layer: The batch normalization.
        relu: Whether ReLU follows.
        affine: Factor and offset (c,) that are applied to ``x`` before the convolution; see ``depthwise_norm``.
        shared: The gradient of ``x``, if other operations read it too.
    """
    gain, offset = affine or (None, None)
    out: Tensor = _ProductNorm.apply(  # type: ignore[no-untyped-call]
        x, conv.weight, gain, offset, layer.weight, layer.bias, layer, relu, shared
    )
    return out


def convolution_norm(x: Tensor, conv: nn.Conv2d, layer: nn.BatchNorm2d, *, relu: bool) -> Tensor:
    """A 3x3 convolution without bias of few channels (n, c, h, w), then batch normalization, and ReLU if ``relu``.

    ``x`` gets no gradient: this is for the first layer.
    """
    out: Tensor = _ConvolutionNorm.apply(  # type: ignore[no-untyped-call]
        x, conv.weight, layer.weight, layer.bias, layer, conv.stride[0], relu
    )
    return out


class _Norm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, layer: nn.BatchNorm2d, relu: bool) -> Tensor:
        x = dense(x)
        out, statistics = torch.empty_like(x), torch.empty(2, x.shape[1], dtype=torch.float64)
        count_batch(layer, x)
        norm = norm_of(layer)
        compiled.norm_forward(array(x), norm, array(statistics), relu, array(out), threads_for(x))
        ctx.save_for_backward(x, weight, bias, statistics)
        ctx.norm, ctx.relu = norm, relu
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, statistics = ctx.saved_tensors
        dout, dx, dnorm = dense(gradients[0]), torch.empty_like(x), like(weight, bias)
        compiled.norm_backward(
            array(x), ctx.norm, array(statistics), ctx.relu, *arrays(dout, dx, *dnorm), threads_for(x)
        )
        return dx, *dnorm, None, None


class _DepthwiseNorm(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        kernel: Tensor,
        weight: Tensor,
        bias: Tensor,
        layer: nn.BatchNorm2d,
        stride: int,
        shared: SharedGradient | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        x = x if is_half(x) else dense(x)
        n, c, h, w = x.shape
        y = empty_images(n, c, -(-h // stride), -(-w // stride))
        statistics, affine = torch.empty(2, c, dtype=torch.float64), (torch.empty(c), torch.empty(c))
        count_batch(layer, y)
        norm = norm_of(layer)
        compiled.depthwise_forward(*arrays(x, kernel), stride, norm, *arrays(statistics, y, *affine), threads_for(x))
        ctx.save_for_backward(x, kernel, weight, bias, y, statistics)
        ctx.norm, ctx.stride, ctx.shared = norm, stride, shared
        if shared:
            shared.read()
        return y, *affine

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, kernel, weight, bias, y, statistics = ctx.saved_tensors
        dy, dgain, doffset = dense(gradients[0]), gradients[1].contiguous(), gradients[2].contiguous()
        dx, add, found = gradient_buffer(ctx.shared, x)
        dkernel, dnorm = torch.empty_like(kernel), like(weight, bias)
        given = arrays(statistics, y, dy, dgain, doffset)
        written = (array(dx), add, *arrays(dkernel, *dnorm))
        compiled.depthwise_backward(*arrays(x, kernel), ctx.stride, ctx.norm, *given, *written, threads_for(x))
        return found, dkernel, *dnorm, None, None, None


class _ProductNorm(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        gain: Tensor | None,
        offset: Tensor | None,
        norm_weight: Tensor,
        norm_bias: Tensor,
        layer: nn.BatchNorm2d,
        relu: bool,
        shared: SharedGradient | None,
    ) -> Tensor:
        x = x if is_half(x) else dense(x)
        # A 1x1 convolution after a factor and an offset per channel is another 1x1 convolution, with a bias.
        plain = weight.flatten(1)
        matrix = plain if gain is None else plain * gain
        bias = None if offset is None else plain @ offset
        n, _, h, w = x.shape
        y, out = empty_images(n, len(matrix), h, w), empty_images(n, len(matrix), h, w)
        statistics = torch.empty(2, len(matrix), dtype=torch.float64)
        count_batch(layer, y)
        norm = norm_of(layer)
        some_bias = None if bias is None else array(bias)
        compiled.product_norm_forward(
            *arrays(x, matrix), some_bias, array(y), norm, array(statistics), relu, array(out), threads_for(x)
        )
        ctx.save_for_backward(x, weight, matrix, gain, norm_weight, norm_bias, y, statistics)
        ctx.norm, ctx.relu, ctx.shared = norm, relu, shared
        if shared:
            shared.read()
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, matrix, gain, norm_weight, norm_bias, y, statistics = ctx.saved_tensors
        dx, add, found = gradient_buffer(ctx.shared, x)
        dout, dweight = dense(gradients[0]), torch.empty_like(weight)
        dnorm = like(norm_weight, norm_bias)
        written = (array(dx), add, *arrays(dweight, *dnorm))
        compiled.product_norm_backward(
            *arrays(x, matrix, y), ctx.norm, array(statistics), ctx.relu, array(dout), *written, threads_for(x)
        )
        if gain is None:
            return found, dweight, None, None, *dnorm, None, None, None
        dmatrix = dweight.flatten(1)
        dgain = (dmatrix * weight.flatten(1)).sum(0)
        dmatrix *= gain
        # Normalization takes away what the offset adds: its gradient is 0.
        return found, dweight, dgain, torch.zeros_like(gain), *dnorm, None, None, None


class _ConvolutionNorm(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        layer: nn.BatchNorm2d,
        stride: int,
        relu: bool,
    ) -> Tensor:
        x, matrix = dense(x), dense(weight)
        n, _, h, w = x.shape
        y = empty_images(n, len(matrix), -(-h // stride), -(-w // stride))
        out, statistics = torch.empty_like(y), torch.empty(2, len(matrix), dtype=torch.float64)
        count_batch(layer, y)
        norm = norm_of(layer)
        given = (array(x), array(matrix.permute(0, 2, 3, 1)), stride)
        compiled.convolution_norm_forward(*given, array(y), norm, array(statistics), relu, array(out), threads_for(y))
        ctx.save_for_backward(x, weight, norm_weight, norm_bias, y, statistics)
        ctx.norm, ctx.stride, ctx.relu = norm, stride, relu
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, norm_weight, norm_bias, y, statistics = ctx.saved_tensors
        dout, dmatrix, dnorm = dense(gradients[0]), torch.empty_like(dense(weight)), like(norm_weight, norm_bias)
        given = (array(x), ctx.stride, array(y), ctx.norm, array(statistics), ctx.relu, array(dout))
        written = arrays(dmatrix.permute(0, 2, 3, 1), *dnorm)
        compiled.convolution_norm_backward(*given, *written, threads_for(y))
        return None, dmatrix, *dnorm, None, None, None
