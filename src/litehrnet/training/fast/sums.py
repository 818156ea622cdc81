"""The sums of a fuse layer, with the ReLU after them, by the kernels of training.

All tensors are float32 on the CPU, images in channels last.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from litehrnet.training.fast.kernels import compiled
from litehrnet.training.fast.layouts import SharedGradient, array, dense, empty_images, gradient_buffer, threads_for


class FuseTerm(NamedTuple):
    """A term (n, c, h / factor, w / factor) of an output of a fuse layer, and its weight."""

    values: Tensor
    factor: int
    weight: float


def fused_sum(
    x: Tensor, scale: float, terms: Sequence[FuseTerm], shared: SharedGradient | None = None
) -> tuple[Tensor, Tensor]:
    """``scale * x`` plus all terms times their weights, and ReLU of that sum.

    Args:
        x: (n, c, h, w).
        scale: Factor of ``x``.
        terms: Up to 8. Terms with a factor above 1 are enlarged by nearest neighbors.
        shared: The gradient of ``x``, if other operations read it too.
    """
    how = [(term.factor, term.weight) for term in terms]
    sums: tuple[Tensor, Tensor] = _FusedSum.apply(x, scale, how, shared, *(term.values for term in terms))  # type: ignore[no-untyped-call]
    return sums


class _FusedSum(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        scale: float,
        how: list[tuple[int, float]],
        shared: SharedGradient | None,
        *terms: Tensor,
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        x, terms = dense(x), tuple(map(dense, terms))
        total, rectified = torch.empty_like(x), torch.empty_like(x)
        added = [(array(term), weight) for term, (_, weight) in zip(terms, how, strict=True)]
        compiled.fuse_forward(array(x), scale, added, array(total), array(rectified), threads_for(x))
        ctx.save_for_backward(total)
        ctx.scale, ctx.shared = scale, shared
        ctx.weights, ctx.shapes = [weight for _, weight in how], [term.shape for term in terms]
        if shared:
            shared.read()
        return total, rectified

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (total,) = ctx.saved_tensors
        dsum, drectified = (None if gradient is None else array(dense(gradient)) for gradient in gradients)
        dx, add, found = gradient_buffer(ctx.shared, total)
        dterms = [empty_images(*shape) for shape in ctx.shapes]
        written = [(array(gradient), weight) for gradient, weight in zip(dterms, ctx.weights, strict=True)]
        compiled.fuse_backward(array(total), dsum, drectified, ctx.scale, array(dx), add, written, threads_for(total))
        return found, None, None, None, *dterms
