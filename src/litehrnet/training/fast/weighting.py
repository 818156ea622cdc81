"""Conditional channel weighting by the kernels of training: one operation for all branches of a unit.

All tensors are float32 on the CPU, images in channels last. Running statistics are updated as in training mode.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from litehrnet.models.blocks import ConditionalChannelWeighting, ConvBlock, SpatialWeighting
from litehrnet.training.fast import layers
from litehrnet.training.fast.kernels import compiled
from litehrnet.training.fast.layers import Layer, Product
from litehrnet.training.fast.layouts import array, arrays, count_batch, dense, empty_images, like, norm_of, threads_for

if TYPE_CHECKING:
    from litehrnet.training.fast._kernels import Weighting


def weighted(unit: ConditionalChannelWeighting, branches: Sequence[Tensor]) -> list[Tensor]:
    """``ConditionalChannelWeighting`` of branches.

    Args:
        unit: The layers.
        branches: (n, 2 c_b, h_b, w_b) each, twice as large as the next one.
    """
    cross, parts = _cross_layers(unit), _parts(unit)
    parameters = [*layers.parameters_of(cross), *(parameter for part in parts for parameter in part.parameters)]
    outputs: tuple[Tensor, ...] = _Weighted.apply(cross, parts, *branches, *parameters)  # type: ignore[no-untyped-call]
    return list(outputs)


class _Part:
    """One branch's layers of conditional channel weighting."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, layers: tuple[nn.Conv2d, nn.Conv2d]) -> None:
        self.conv, self.norm, self.view = conv, norm, norm_of(norm)
        modules = (conv, norm, *layers)
        self.parameters = [p for module in modules for p in (module.weight, module.bias) if p is not None]
        """Seven: the kernel, two of batch normalization, four of the two layers."""

    def layers(self) -> "Weighting":
        """A view of the two layers."""
        weighting: Weighting = compiled.Weighting(*arrays(*self.parameters[3:]))
        return weighting


def _cross_layers(unit: ConditionalChannelWeighting) -> list[Layer]:
    weighting = unit.cross_resolution_weighting
    return [_product(weighting.conv1, relu=True), _product(weighting.conv2, relu=False)]


def _product(block: ConvBlock, *, relu: bool) -> Product:
    assert block.bn is not None
    return Product(block.conv, block.bn, relu)


def _parts(unit: ConditionalChannelWeighting) -> list[_Part]:
    parts = []
    for block, weighting in zip(unit.depthwise_convs, unit.spatial_weighting, strict=True):
        assert isinstance(weighting, SpatialWeighting)
        parts.append(_Part(block.conv, block.bn, (weighting.conv1.conv, weighting.conv2.conv)))  # type: ignore[arg-type]
    return parts


def _firsts(branches: Sequence[Tensor]) -> list[int]:
    """The first channel of each branch's half among the halves of all branches."""
    halves = [x.shape[1] // 2 for x in branches]
    return [sum(halves[:b]) for b in range(len(halves))]


class _Weighted(Function):
    @staticmethod
    def forward(ctx: Any, cross: Sequence[Layer], parts: Sequence[_Part], *tensors: Tensor) -> tuple[Tensor, ...]:
        branches = [dense(x) for x in tensors[: len(parts)]]
        n, _, h, w = branches[-1].shape
        pooled = empty_images(n, sum(x.shape[1] // 2 for x in branches), h, w)
        for x, first in zip(branches, _firsts(branches), strict=True):
            compiled.pool_forward(array(x), array(pooled), first, threads_for(x))
        of_cross: list[Tensor] = []
        cells = layers.forward(cross, pooled, of_cross).sigmoid_()
        kept, outputs = [], []
        for x, first, part in zip(branches, _firsts(branches), parts, strict=True):
            n, c, h, w = x.shape[0], x.shape[1] // 2, *x.shape[2:]
            y, moments, out = empty_images(n, c, h, w), torch.empty(3, n, c, dtype=torch.float64), torch.empty_like(x)
            count_batch(part.norm, y)
            given = (*arrays(x, cells), first, array(part.conv.weight), part.view, part.layers())
            compiled.unit_forward(*given, *arrays(y, moments, out), threads_for(x))
            kept += [y, moments]
            outputs.append(out)
        ctx.cross, ctx.parts, ctx.count = cross, parts, len(of_cross)
        ctx.save_for_backward(cells, *branches, *kept, *of_cross, *tensors[len(parts) :])
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        cells, *saved = ctx.saved_tensors
        branches, saved = saved[: len(ctx.parts)], saved[len(ctx.parts) :]
        dcells, dbranches, dparameters = torch.empty_like(cells), [], []
        for b, (part, first) in enumerate(zip(ctx.parts, _firsts(branches), strict=True)):
            x, dout, (y, moments) = branches[b], dense(gradients[b]), saved[2 * b : 2 * b + 2]
            dx, (dkernel, dweight, dbias, *dlayers) = torch.empty_like(x), like(*part.parameters)
            given = (*arrays(x, cells), first, array(part.conv.weight), part.view, part.layers())
            y_and_gradients = arrays(y, moments, dout, dx, dcells, dkernel, dweight, dbias)
            compiled.unit_backward(*given, *y_and_gradients, compiled.Weighting(*arrays(*dlayers)), threads_for(x))
            dbranches.append(dx)
            dparameters += [dkernel, dweight, dbias, *dlayers]
        dpooled, dlogits = torch.empty_like(cells), torch.ops.aten.sigmoid_backward(dcells, cells)
        of_cross = layers.backward(ctx.cross, saved[2 * len(ctx.parts) :][: ctx.count], dlogits, dpooled, add=False)
        for dx, first in zip(dbranches, _firsts(dbranches), strict=True):
            compiled.pool_backward(array(dx), array(dpooled), first, threads_for(dx))
        return None, None, *dbranches, *of_cross, *dparameters
