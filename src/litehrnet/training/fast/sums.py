"""The sums of a fuse layer, with the ReLU after them, by the kernels of training.

All tensors are float32 on the CPU, images in channels last.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from litehrnet.training.fast.kernels import compiled
from litehrnet.training.fast.layouts import dense, empty_images, shape_of, threads_for


class FuseTerm(NamedTuple):
    """What is added to an output of a fuse layer: (n, c, h / factor, w / factor), and how much it counts."""

    values: Tensor
    factor: int
    weight: float


def fused_sum(x: Tensor, scale: float, terms: Sequence[FuseTerm]) -> tuple[Tensor, Tensor]:
    """``scale * x`` plus all terms, enlarged by nearest neighbours and by their weights; and ReLU of the same.

    Args:
        x: (n, c, h, w).
        scale: Of x.
        terms: Those to be enlarged count 1.
    """
    how = [(term.factor, term.weight) for term in terms]
    sums: tuple[Tensor, Tensor] = _FusedSum.apply(x, scale, how, *(term.values for term in terms))  # type: ignore[no-untyped-call]
    return sums


class _FusedSum(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: float, how: list[tuple[int, float]], *terms: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        x, terms = dense(x), tuple(map(dense, terms))
        total, rectified = torch.empty_like(x), torch.empty_like(x)
        added = [(term.data_ptr(), factor, weight) for term, (factor, weight) in zip(terms, how, strict=True)]
        compiled.fuse_forward(
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
        compiled.fuse_backward(
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
