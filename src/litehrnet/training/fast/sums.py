"""The sums of a fuse layer, with the ReLU after them, by the kernels of training.

All tensors are float32 on the CPU, images in channels last.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from litehrnet.training.fast.kernels import compiled
from litehrnet.training.fast.layouts import array, dense, empty_images, threads_for


class FuseTerm(NamedTuple):
    """A term (n, c, h / factor, w / factor) of an output of a fuse layer, and its weight."""

    values: Tensor
    factor: int
    weight: float


def fused_sum(x: Tensor, scale: float, terms: Sequence[FuseTerm]) -> tuple[Tensor, Tensor]:
    """``scale * x`` plus all terms times their weights, and ReLU of that sum.

    Args:
        x: (n, c, h, w).
        scale: Factor of ``x``.
        terms: Up to 8. Terms with a factor above 1 are enlarged by nearest neighbors; their weights must be 1.
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
        added = [(array(term), weight) for term, (_, weight) in zip(terms, how, strict=True)]
        compiled.fuse_forward(array(x), scale, added, array(total), array(rectified), threads_for(x))
        ctx.save_for_backward(total)
        ctx.scale, ctx.how, ctx.shapes = scale, how, [term.shape for term in terms]
        return total, rectified

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (total,) = ctx.saved_tensors
        dsum, drectified = (None if gradient is None else array(dense(gradient)) for gradient in gradients)
        dx = torch.empty_like(total)
        enlarged = {k: empty_images(*ctx.shapes[k]) for k, (factor, _) in enumerate(ctx.how) if factor > 1}
        dterms = [(array(gradient), 1.0) for gradient in enlarged.values()]
        compiled.fuse_backward(array(total), dsum, drectified, array(dx), dterms, threads_for(total))
        # The gradient of a term of full size is that of the sum times its weight.
        scaled = {weight: dx if weight == 1 else weight * dx for weight in {ctx.scale, *(w for _, w in ctx.how)}}
        dsizes = [enlarged.get(k, scaled[weight]) for k, (_, weight) in enumerate(ctx.how)]
        return scaled[ctx.scale], None, None, *dsizes
