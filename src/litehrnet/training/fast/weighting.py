"""Conditional channel weighting by the kernels of training: pooling, and one pass over every branch.

All tensors are float32 on the CPU, images in channels last. Running statistics are updated as in training mode.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function

from litehrnet.models.blocks import ConditionalChannelWeighting, SpatialWeighting
from litehrnet.training.fast.kernels import compiled
from litehrnet.training.fast.layouts import (
    NormValues,
    Shape,
    channel_address,
    count_batch,
    dense,
    empty_images,
    firsts,
    four,
    half_shape,
    like,
    norm_values,
    pair,
    threads_for,
)

_Branch = tuple[Shape, int, tuple[int, int, int], int, NormValues, tuple[int, int, int, int], int]


def pooled_halves(branches: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The second halves of all branches' channels, pooled to the size of the last branch.

    Args:
        branches: (n, 2 c_b, h_b, w_b) each, twice as large as the next one.

    Returns:
        (n, sum of c_b, h, w), and the branches: whoever uses them has to take these, nothing else, and but once.
    """
    pooled, *same = _PooledHalves.apply(*branches)  # type: ignore[no-untyped-call]
    return pooled, same


def weighted_halves(unit: ConditionalChannelWeighting, cells: Tensor, branches: Sequence[Tensor]) -> list[Tensor]:
    """What conditional channel weighting makes of its branches and of the weights from all of them.

    Args:
        unit: Its depthwise convolutions and spatial weightings.
        cells: (n, sum of c_b, h, w), see ``pooled_halves``.
        branches: As they come from ``pooled_halves``.
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
            shape, factor = half_shape(x), x.shape[2] // h
            compiled.pool_forward(
                shape, x.data_ptr(), channel_address(pooled, first), pooled.shape[1], factor, threads_for(x)
            )
        return pooled, *branches

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        # Nobody else holds the branches' gradients: they are new from _WeightedHalves, and are added to.
        dpooled, dbranches = dense(gradients[0]), gradients[1:]
        for dx, first in zip(dbranches, firsts(dbranches), strict=True):
            shape, factor = half_shape(dx), dx.shape[2] // dpooled.shape[2]
            compiled.pool_backward(
                shape, dx.data_ptr(), channel_address(dpooled, first), dpooled.shape[1], factor, threads_for(dx)
            )
        return dbranches


class _Part(NamedTuple):
    """One branch's layers of conditional channel weighting."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    layers: tuple[nn.Conv2d, nn.Conv2d]

    @property
    def parameters(self) -> list[Tensor]:
        """Seven: the kernel, batch normalization's, those of the two layers."""
        modules = (self.conv, self.norm, *self.layers)
        return [parameter for module in modules for parameter in (module.weight, module.bias) if parameter is not None]


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
        kept, outputs = [], []
        for x, first, part in zip(branches, firsts(branches), _parts(unit), strict=True):
            n, c, h, w = half_shape(x)[0], x.shape[1] // 2, *x.shape[2:]
            y, moments, out = empty_images(n, c, h, w), torch.empty(2, n, c, dtype=torch.float64), torch.empty_like(x)
            count_batch(part.norm, y)
            compiled.unit_forward(
                *_branch(x, cells, first, part), y.data_ptr(), moments.data_ptr(), out.data_ptr(), threads_for(x)
            )
            kept += [y, moments]
            outputs.append(out)
        ctx.save_for_backward(cells, *branches, *kept, *tensors[count:])
        ctx.unit, ctx.count = unit, count
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        cells, *saved = ctx.saved_tensors
        branches, kept = saved[: ctx.count], saved[ctx.count : 3 * ctx.count]
        dcells = torch.empty_like(cells)
        dbranches, dparameters = [], []
        for b, part in enumerate(_parts(ctx.unit)):
            x, y, moments, dout = branches[b], kept[2 * b], kept[2 * b + 1], dense(gradients[b])
            first = firsts(branches)[b]
            dx, (dkernel, *dnorm_and_layers) = torch.empty_like(x), like(*part.parameters)
            compiled.unit_backward(
                *_branch(x, cells, first, part),
                y.data_ptr(),
                moments.data_ptr(),
                dout.data_ptr(),
                dx.data_ptr(),
                channel_address(dcells, first),
                dkernel.data_ptr(),
                pair(*dnorm_and_layers[:2]),
                four(*dnorm_and_layers[2:]),
                threads_for(x),
            )
            dbranches.append(dx)
            dparameters += [dkernel, *dnorm_and_layers]
        return None, dcells, None, *dbranches, *dparameters


def _branch(x: Tensor, cells: Tensor, first: int, part: _Part) -> _Branch:
    """What the kernels forward and backward begin with."""
    shape, layers = half_shape(x), part.parameters[3:]
    weights = (channel_address(cells, first), cells.shape[1], x.shape[2] // cells.shape[2])
    reduced = part.layers[0].out_channels
    return shape, x.data_ptr(), weights, part.conv.weight.data_ptr(), norm_values(part.norm), four(*layers), reduced
