"""Conditional channel weighting by the kernels of training: one operation for all branches of a unit.

All tensors are float32 on the CPU, images in channels last. Running statistics are updated as in training mode.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from litehrnet.models.blocks import ConditionalChannelWeighting, ConvBlock, SpatialWeighting
from litehrnet.training.fast.kernels import compiled
from litehrnet.training.fast.layers import Product, compiled_path, modules_of
from litehrnet.training.fast.layouts import array, arrays, dense, empty_images, like, norm_of
from litehrnet.training.fast.operation import Operation, memory, parts

if TYPE_CHECKING:
    from litehrnet.training.fast import _kernels


class Weighting(Operation):
    """``ConditionalChannelWeighting``. A call computes branches (n, 2 c_b, h_b, w_b) that halve their sizes in turn."""

    def __init__(self, unit: ConditionalChannelWeighting) -> None:
        weighting = unit.cross_resolution_weighting
        self.cross = [_product(weighting.conv1, relu=True), _product(weighting.conv2, relu=False)]
        pairs = zip(unit.depthwise_convs, unit.spatial_weighting, strict=True)
        self.branches = [_modules(block, layers) for block, layers in pairs]
        super().__init__([*modules_of(self.cross), *(module for branch in self.branches for module in branch)])

    def compile(self) -> "_kernels.Unit":
        """See ``Operation``."""
        unit: _kernels.Unit = compiled.Unit(compiled_path(self.cross), [_branch(*modules) for modules in self.branches])
        return unit

    def __call__(self, branches: Sequence[Tensor]) -> list[Tensor]:
        """Compute the unit."""
        unit, parameters = self.current()
        outputs: tuple[Tensor, ...] = _Weighting.apply(unit, len(branches), *map(dense, branches), *parameters)  # type: ignore[no-untyped-call]
        return list(outputs)


def _product(block: ConvBlock, *, relu: bool) -> Product:
    assert block.bn is not None
    return Product(block.conv, block.bn, relu)


def _modules(block: nn.Module, weighting: nn.Module) -> tuple[nn.Conv2d, nn.BatchNorm2d, nn.Conv2d, nn.Conv2d]:
    """The modules of a branch in the order of their gradients."""
    assert isinstance(block, ConvBlock)
    assert isinstance(block.bn, nn.BatchNorm2d)
    assert isinstance(weighting, SpatialWeighting)
    return block.conv, block.bn, weighting.conv1.conv, weighting.conv2.conv


def _branch(conv: nn.Conv2d, norm: nn.BatchNorm2d, first: nn.Conv2d, second: nn.Conv2d) -> "_kernels.UnitBranch":
    assert first.bias is not None
    assert second.bias is not None
    layers = arrays([first.weight, first.bias, second.weight, second.bias])
    branch: _kernels.UnitBranch = compiled.UnitBranch(array(conv.weight), norm_of(norm), *layers)
    return branch


class _Weighting(Function):
    @staticmethod
    def forward(ctx: Any, unit: "_kernels.Unit", count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        branches, threads = tensors[:count], torch.get_num_threads()
        shapes = [x.shape for x in branches]
        kept, cells, outputs = memory(unit.bytes(shapes)), empty_images(*unit.cells(shapes)), like(branches)
        unit.forward_cross(arrays(branches), array(kept), array(cells), threads)
        cells.sigmoid_()
        unit.forward(arrays(branches), array(cells), array(kept), arrays(outputs), threads)
        ctx.unit, ctx.count = unit, count
        ctx.save_for_backward(kept, cells, *tensors)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        unit, (kept, cells, *tensors), threads = ctx.unit, ctx.saved_tensors, torch.get_num_threads()
        branches, parameters = tensors[: ctx.count], tensors[ctx.count :]
        dcells, dbranches, of_parameters = torch.empty_like(cells), like(branches), torch.empty(unit.gradients)
        given = arrays(branches), array(cells), array(kept), arrays([dense(gradient) for gradient in gradients])
        unit.backward(*given, arrays(dbranches), array(dcells), array(of_parameters), threads)
        dlogits = torch.ops.aten.sigmoid_backward(dcells, cells)
        written = arrays(dbranches), array(of_parameters)
        unit.backward_cross(arrays(branches), array(dlogits), array(kept), *written, threads)
        return None, None, *dbranches, *parts(of_parameters, parameters)
