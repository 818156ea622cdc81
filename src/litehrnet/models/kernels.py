"""Operations of training on a CPU that go through memory once: PyTorch's functions around the kernels in ``csrc``.

All tensors are float32 on the CPU, images in channels last; nothing is checked. Where batch normalization is a part,
its running statistics are moved as in training mode. Gradients are those of the plain layers; there are no second ones.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function

from litehrnet.models.blocks import ConditionalChannelWeighting, SpatialWeighting
from litehrnet.models.kernel_arguments import (
    NormValues,
    Shape,
    channel_address,
    count_batch,
    dense,
    empty_images,
    firsts,
    four,
    half_shape,
    is_half,
    like,
    norm_values,
    pair,
    pixel_stride,
    shape_of,
    threads_for,
)

try:
    from litehrnet.models import _kernels
except ImportError:  # the install could not build them
    available = False
else:
    available = True


def instruction_set() -> str:
    """What the kernels run on, such as ``avx512``: the best there is, or what LITEHRNET_KERNELS names of theirs."""
    return _kernels.name()


def instruction_sets() -> list[str]:
    """Instruction sets that the kernels have on this machine, the best first."""
    return _kernels.instruction_sets()


def use(instruction_set: str) -> None:
    """Compute all further operations of this process on another instruction set, to compare or to measure.

    Raises:
        ValueError: This machine has no such instruction set.
    """
    _kernels.use(instruction_set)


_Branch = tuple[Shape, int, tuple[int, int, int], int, NormValues, tuple[int, int, int, int], int]


def norm(x: Tensor, layer: nn.BatchNorm2d, *, relu: bool) -> Tensor:
    """Batch normalization, and ReLU where asked for, of (n, c, h, w)."""
    normalized: Tensor = _Norm.apply(x, layer.weight, layer.bias, layer, relu)  # type: ignore[no-untyped-call]
    return normalized


def depthwise_norm(x: Tensor, conv: nn.Conv2d, layer: nn.BatchNorm2d) -> tuple[Tensor, Tensor, Tensor]:
    """A depthwise 3x3 convolution of (n, c, h, w), and the batch normalization after it as a factor and an offset.

    Returns:
        The convolution (n, c, h', w'), and two (c,): it times the first plus the second is the normalized one.
    """
    parts: tuple[Tensor, Tensor, Tensor] = _DepthwiseNorm.apply(  # type: ignore[no-untyped-call]
        x, conv.weight, layer.weight, layer.bias, layer, conv.stride[0]
    )
    return parts


def product_norm(
    x: Tensor, conv: nn.Conv2d, layer: nn.BatchNorm2d, *, relu: bool, affine: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """A 1x1 convolution without bias of (n, c, h, w), then batch normalization, and ReLU where asked for.

    Args:
        x: What is convolved.
        conv: The convolution.
        layer: The batch normalization.
        relu: Whether ReLU follows.
        affine: A factor and an offset (c,) for x before the convolution, see ``depthwise_norm``.
    """
    gain, offset = affine or (None, None)
    out: Tensor = _ProductNorm.apply(x, conv.weight, gain, offset, layer.weight, layer.bias, layer, relu)  # type: ignore[no-untyped-call]
    return out


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


class FuseTerm(NamedTuple):
    """What is added to an output of a fuse layer: (n, c, h / factor, w / factor), and how much it counts."""

    values: Tensor
    factor: int
    weight: float


def fused_sum(x: Tensor, scale: float, terms: Sequence[FuseTerm]) -> tuple[Tensor, Tensor]:
    """``scale * x`` plus all terms, enlarged by nearest neighbors and by their weights; and ReLU of the same.

    Args:
        x: (n, c, h, w).
        scale: Of x.
        terms: Those to be enlarged count 1.
    """
    how = [(term.factor, term.weight) for term in terms]
    sums: tuple[Tensor, Tensor] = _FusedSum.apply(x, scale, how, *(term.values for term in terms))  # type: ignore[no-untyped-call]
    return sums


class _Norm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, layer: nn.BatchNorm2d, relu: bool) -> Tensor:
        x = dense(x)
        out, statistics = torch.empty_like(x), torch.empty(2, x.shape[1], dtype=torch.float64)
        count_batch(layer, x)
        _kernels.norm_forward(
            shape_of(x), x.data_ptr(), norm_values(layer), statistics.data_ptr(), relu, out.data_ptr(), threads_for(x)
        )
        ctx.save_for_backward(x, weight, bias, statistics)
        ctx.layer, ctx.relu = layer, relu
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, statistics = ctx.saved_tensors
        dout, dx, dnorm = dense(gradients[0]), torch.empty_like(x), like(weight, bias)
        _kernels.norm_backward(
            shape_of(x),
            x.data_ptr(),
            norm_values(ctx.layer),
            statistics.data_ptr(),
            ctx.relu,
            dout.data_ptr(),
            dx.data_ptr(),
            pair(*dnorm),
            threads_for(x),
        )
        return dx, *dnorm, None, None


class _DepthwiseNorm(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kernel: Tensor, weight: Tensor, bias: Tensor, layer: nn.BatchNorm2d, stride: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        x = x if is_half(x) else dense(x)
        n, c, h, w = x.shape
        y = empty_images(n, c, -(-h // stride), -(-w // stride))
        statistics, affine = torch.empty(2, c, dtype=torch.float64), (torch.empty(c), torch.empty(c))
        count_batch(layer, y)
        _kernels.depthwise_forward(
            shape_of(x),
            x.data_ptr(),
            pixel_stride(x),
            kernel.data_ptr(),
            stride,
            norm_values(layer),
            statistics.data_ptr(),
            y.data_ptr(),
            pair(*affine),
            threads_for(x),
        )
        ctx.save_for_backward(x, kernel, weight, bias, y, statistics)
        ctx.layer, ctx.stride = layer, stride
        return y, *affine

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, kernel, weight, bias, y, statistics = ctx.saved_tensors
        dy, dgain, doffset = dense(gradients[0]), gradients[1].contiguous(), gradients[2].contiguous()
        dx, dkernel, dnorm = empty_images(*x.shape), torch.empty_like(kernel), like(weight, bias)
        _kernels.depthwise_backward(
            shape_of(x),
            x.data_ptr(),
            pixel_stride(x),
            kernel.data_ptr(),
            ctx.stride,
            y.data_ptr(),
            norm_values(ctx.layer),
            statistics.data_ptr(),
            dy.data_ptr(),
            pair(dgain, doffset),
            dx.data_ptr(),
            dkernel.data_ptr(),
            pair(*dnorm),
            threads_for(x),
        )
        return dx, dkernel, *dnorm, None, None


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
    ) -> Tensor:
        x = x if is_half(x) else dense(x)
        # A 1x1 convolution of what is multiplied and shifted is another one of what is not.
        plain = weight.flatten(1)
        matrix = plain if gain is None else plain * gain
        bias = None if offset is None else plain @ offset
        n, _, h, w = x.shape
        y, out = empty_images(n, len(matrix), h, w), empty_images(n, len(matrix), h, w)
        statistics = torch.empty(2, len(matrix), dtype=torch.float64)
        count_batch(layer, y)
        _kernels.product_norm_forward(
            shape_of(x),
            x.data_ptr(),
            pixel_stride(x),
            matrix.data_ptr(),
            0 if bias is None else bias.data_ptr(),
            len(matrix),
            y.data_ptr(),
            norm_values(layer),
            statistics.data_ptr(),
            relu,
            out.data_ptr(),
            threads_for(x),
        )
        ctx.save_for_backward(x, weight, matrix, gain, norm_weight, norm_bias, y, statistics)
        ctx.layer, ctx.relu = layer, relu
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, matrix, gain, norm_weight, norm_bias, y, statistics = ctx.saved_tensors
        dout, dx, dweight, dnorm = (
            dense(gradients[0]),
            empty_images(*x.shape),
            *like(weight),
            like(norm_weight, norm_bias),
        )
        _kernels.product_norm_backward(
            shape_of(x),
            x.data_ptr(),
            pixel_stride(x),
            matrix.data_ptr(),
            len(matrix),
            y.data_ptr(),
            norm_values(ctx.layer),
            statistics.data_ptr(),
            ctx.relu,
            dout.data_ptr(),
            dx.data_ptr(),
            dweight.data_ptr(),
            pair(*dnorm),
            threads_for(x),
        )
        if gain is None:
            return dx, dweight, None, None, *dnorm, None, None
        dmatrix = dweight.flatten(1)
        dgain = (dmatrix * weight.flatten(1)).sum(0)
        dmatrix *= gain
        # Normalization takes away what the offset adds: its gradient is 0.
        return dx, dweight, dgain, torch.zeros_like(gain), *dnorm, None, None


class _PooledHalves(Function):
    @staticmethod
    def forward(ctx: Any, *branches: Tensor) -> tuple[Tensor, ...]:
        branches = tuple(map(dense, branches))
        n, _, h, w = branches[-1].shape
        pooled = empty_images(n, sum(x.shape[1] // 2 for x in branches), h, w)
        for x, first in zip(branches, firsts(branches), strict=True):
            shape, factor = half_shape(x), x.shape[2] // h
            _kernels.pool_forward(
                shape, x.data_ptr(), channel_address(pooled, first), pooled.shape[1], factor, threads_for(x)
            )
        return pooled, *branches

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        # Nobody else holds the branches' gradients: they are new from _WeightedHalves, and are added to.
        dpooled, dbranches = dense(gradients[0]), gradients[1:]
        for dx, first in zip(dbranches, firsts(dbranches), strict=True):
            shape, factor = half_shape(dx), dx.shape[2] // dpooled.shape[2]
            _kernels.pool_backward(
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
            _kernels.unit_forward(
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
            _kernels.unit_backward(
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


class _FusedSum(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: float, how: list[tuple[int, float]], *terms: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        x, terms = dense(x), tuple(map(dense, terms))
        total, rectified = torch.empty_like(x), torch.empty_like(x)
        added = [(term.data_ptr(), factor, weight) for term, (factor, weight) in zip(terms, how, strict=True)]
        _kernels.fuse_forward(
            shape_of(x), x.data_ptr(), scale, added, total.data_ptr(), rectified.data_ptr(), threads_for(x)
        )
        ctx.save_for_backward(total)
        ctx.scale, ctx.how, ctx.shapes = scale, how, [term.shape for term in terms]
        return total, rectified

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (total,) = ctx.saved_tensors
        dsum, drectified = (None if gradient is None else dense(gradient) for gradient in gradients)
        dx = torch.empty_like(total)
        enlarged = {k: empty_images(*ctx.shapes[k]) for k, (factor, _) in enumerate(ctx.how) if factor > 1}
        _kernels.fuse_backward(
            shape_of(total),
            total.data_ptr(),
            0 if dsum is None else dsum.data_ptr(),
            0 if drectified is None else drectified.data_ptr(),
            dx.data_ptr(),
            [(enlarged[k].data_ptr(), ctx.how[k][0], 1.0) for k in enlarged],
            threads_for(total),
        )
        scaled = {weight: dx if weight == 1 else weight * dx for weight in {ctx.scale, *(w for _, w in ctx.how)}}
        return scaled[ctx.scale], None, None, *(enlarged.get(k, scaled[w]) for k, (_, w) in enumerate(ctx.how))
