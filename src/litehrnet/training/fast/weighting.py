"""Conditional channel weighting by the kernels of training: pooling, and one pass over every branch.

All tensors are float32 on the CPU, images in channels last. Running statistics are updated as in training mode.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function

from litehrnet.models.blocks import ConditionalChannelWeighting, SpatialWeighting
from litehrnet.training.fast.kernels import compiled
from litehrnet.training.fast.layouts import (
    array,
    arrays,
    count_batch,
    dense,
    empty_images,
    firsts,
    like,
    norm_of,
    threads_for,
)

if TYPE_CHECKING:
    from litehrnet.training.fast._kernels import Norm, Weighting


def pooled_halves(branches: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The second halves of all branches' channels, pooled to the size of the last branch.

    Args:
        branches: (n, 2 c_b, h_b, w_b) each, twice as large as the next one.

    Returns:
        (n, sum of c_b, h, w), and the branches. Callers must use these branches instead of their own, each exactly
        once: their gradients are added to in place.
    """
    pooled, *same = _PooledHalves.apply(*branches)  # type: ignore[no-untyped-call]
    return pooled, same


def weighted_halves(unit: ConditionalChannelWeighting, cells: Tensor, branches: Sequence[Tensor]) -> list[Tensor]:
    """The rest of conditional channel weighting, after the weights were computed from all branches.

    Args:
        unit: Depthwise convolutions and spatial weightings.
        cells: Weights (n, sum of c_b, h, w), in the order of ``pooled_halves``.
        branches: The branches that ``pooled_halves`` returned.
    """
    parameters = [p for part in _parts(unit) for p in part.parameters]
    outputs: tuple[Tensor, ...] = _WeightedHalves.apply(unit, cells, len(branches), *branches, *parameters)  # type: ignore[no-untyped-call]
    return list(outputs)


class _PooledHalves(Function):
    @staticmethod
    def forward(ctx: Any, *branches: Tensor) -> tuple[Tensor, ...]:
        branches = tuple(map(dense, branches))
        n, _, h, w = branches[-1].shape
        pooled = empty_images(n, sum(x.shape[1] // 2 for x in branches), h, w)
        for x, first in zip(branches, firsts(branches), strict=True):
            compiled.pool_forward(array(x), array(pooled), first, threads_for(x))
        return pooled, *branches

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        # Nothing else holds the branches' gradients: they are new from _WeightedHalves, and are added to in place.
        dpooled, dbranches = dense(gradients[0]), gradients[1:]
        for dx, first in zip(dbranches, firsts(dbranches), strict=True):
            compiled.pool_backward(array(dx), array(dpooled), first, threads_for(dx))
        return dbranches


class _Part(NamedTuple):
    """One branch's layers of conditional channel weighting, and views of them for the kernels."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    layers: tuple[nn.Conv2d, nn.Conv2d]

    @property
    def parameters(self) -> list[Tensor]:
        """Seven: the kernel, two of batch normalization, four of the two layers."""
        modules = (self.conv, self.norm, *self.layers)
        return [parameter for module in modules for parameter in (module.weight, module.bias) if parameter is not None]

    def views(self) -> "tuple[Norm, Weighting]":
        """Batch normalization and the two layers."""
        return norm_of(self.norm), compiled.Weighting(*arrays(*self.parameters[3:]))


def _parts(unit: ConditionalChannelWeighting) -> list[_Part]:
    parts = []
    for block, weighting in zip(unit.depthwise_convs, unit.spatial_weighting, strict=True):
        assert isinstance(weighting, SpatialWeighting)
        parts.append(_Part(block.conv, block.bn, (weighting.conv1.conv, weighting.conv2.conv)))  # type: ignore[arg-type]
    return parts


class _WeightedHalves(Function):
    @staticmethod
    def forward(
        ctx: Any, unit: ConditionalChannelWeighting, cells: Tensor, count: int, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        branches, cells = tensors[:count], dense(cells)
        kept, outputs, views, parts = [], [], [], _parts(unit)
        for x, first, part in zip(branches, firsts(branches), parts, strict=True):
            n, c, h, w = x.shape[0], x.shape[1] // 2, *x.shape[2:]
            y, moments, out = empty_images(n, c, h, w), torch.empty(2, n, c, dtype=torch.float64), torch.empty_like(x)
            count_batch(part.norm, y)
            norm, weighting = part.views()
            kernel = array(part.conv.weight)
            written = arrays(y, moments, out)
            compiled.unit_forward(*arrays(x, cells), first, kernel, norm, weighting, *written, threads_for(x))
            kept += [y, moments]
            outputs.append(out)
            views.append((norm, weighting))
        ctx.save_for_backward(cells, *branches, *kept, *tensors[count:])
        ctx.parts, ctx.count, ctx.views = parts, count, views
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        cells, *saved = ctx.saved_tensors
        branches, kept = saved[: ctx.count], saved[ctx.count : 3 * ctx.count]
        dcells = torch.empty_like(cells)
        dbranches, dparameters = [], []
        for b, (part, first) in enumerate(zip(ctx.parts, firsts(branches), strict=True)):
            x, dout = branches[b], dense(gradients[b])
            dx, (dkernel, dweight, dbias, *dlayers) = torch.empty_like(x), like(*part.parameters)
            given = (*arrays(x, cells), first, array(part.conv.weight), *ctx.views[b])
            y_and_gradients = arrays(*kept[2 * b : 2 * b + 2], dout, dx, dcells, dkernel, dweight, dbias)
            compiled.unit_backward(*given, *y_and_gradients, compiled.Weighting(*arrays(*dlayers)), threads_for(x))
            dbranches.append(dx)
            dparameters += [dkernel, dweight, dbias, *dlayers]
        return None, dcells, None, *dbranches, *dparameters
