"""The exchange between branches at the end of a module, with the ReLU after it, as one operation.

All tensors are float32 on the CPU, images in channels last. Running statistics are updated as in training mode.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from litehrnet.training.fast import layers
from litehrnet.training.fast.kernels import compiled
from litehrnet.training.fast.layers import Product, Separable
from litehrnet.training.fast.layouts import array, dense, empty_images, threads_for

if TYPE_CHECKING:
    from litehrnet.training.fast._kernels import Array, Norm


class Term(NamedTuple):
    """A term of an output: ``path`` of a source, enlarged by ``factor`` and multiplied by ``weight``.

    No ReLU is after the last layer of the path.
    """

    source: int
    path: list[Product | Separable]
    factor: int
    weight: float

    def forward(self, x: Tensor, kept: list[Tensor]) -> "tuple[Array, float, Norm, Array]":
        """The term for the kernel, which normalizes it; see ``layers.forward`` for ``kept``."""
        *first, last = self.path
        y, more = last.forward(layers.forward(first, x, kept), normalized=False)
        kept += more
        product = last if isinstance(last, Product) else last.product
        return array(y), self.weight, product.view, array(more[-1])


class Exchange(NamedTuple):
    """Terms of every output; see ``exchanged``.

    Attributes:
        terms: Up to 8 for each output.
        rectified: Whether the lower branches get ReLU of output 0 in place of the sum.
    """

    terms: list[list[Term]]
    rectified: bool


def exchanged(exchange: Exchange, branches: Sequence[Tensor]) -> list[Tensor]:
    """``models.blocks.Fuse`` and the ReLU after it.

    Output 0 is ReLU(twice branch 0 plus its terms), and output i is ReLU(branch i plus its terms). Source 0 of the
    terms of lower outputs is output 0, with or without its ReLU.

    Args:
        exchange: The terms.
        branches: (n, c_b, h_b, w_b) each.
    """
    paths = [term.path for terms in exchange.terms for term in terms]
    parameters = [parameter for path in paths for parameter in layers.parameters_of(path)]
    outputs: tuple[Tensor, ...] = _Exchange.apply(exchange, len(branches), *branches, *parameters)  # type: ignore[no-untyped-call]
    return list(outputs)


def _scale(output: int) -> float:
    """The factor of a branch in its own output."""
    return 2.0 if output == 0 else 1.0


class _Exchange(Function):
    @staticmethod
    def forward(ctx: Any, exchange: Exchange, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        sources = [dense(x) for x in tensors[:count]]
        kept: list[Tensor] = []
        outputs: list[Tensor] = []
        for i, terms in enumerate(exchange.terms):
            x = sources[i]
            added = [term.forward(sources[term.source], kept) for term in terms]
            rectified = torch.empty_like(x)
            total = torch.empty_like(x) if i == 0 and not exchange.rectified else None
            of_sum = None if total is None else array(total)
            compiled.fuse_forward(array(x), _scale(i), added, of_sum, array(rectified), threads_for(x))
            if i == 0:
                sources[0] = rectified if total is None else total
            outputs.append(rectified)
        ctx.exchange, ctx.count = exchange, count
        ctx.save_for_backward(*kept, *outputs, *tensors[count:])
        ctx.kept = len(kept)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        kept, outputs = list(ctx.saved_tensors[: ctx.kept]), ctx.saved_tensors[ctx.kept : ctx.kept + ctx.count]
        sources = _Gradients(outputs)
        of_parameters: list[Tensor] = []
        dbranch = torch.empty_like(outputs[0])
        for i, terms in reversed(list(enumerate(ctx.exchange.terms))):
            dout, dsum = dense(gradients[i]), sources.found[0] if i == 0 else None
            if dsum is not None and ctx.exchange.rectified:
                dout, dsum = dout + dsum, None
            dx, add = sources.buffer(i) if i > 0 else (dbranch, False)
            dterms = [_empty_term(outputs[i], term.factor) for term in terms]
            written = [(array(dterm), term.weight) for dterm, term in zip(dterms, terms, strict=True)]
            of_sum = None if dsum is None else array(dsum)
            given = (array(outputs[i]), of_sum, array(dout), _scale(i))
            compiled.fuse_backward(*given, array(dx), add, written, threads_for(dx))
            for term, dterm in reversed(list(zip(terms, dterms, strict=True))):
                of_parameters[:0] = layers.backward(term.path, kept, dterm, *sources.buffer(term.source))
        return None, None, dbranch, *sources.found[1:], *of_parameters


class _Gradients:
    """Gradients of tensors that several operations read: the first one writes it, and the others add to it."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tensors
        self.found: list[Tensor | None] = [None] * len(tensors)

    def buffer(self, index: int) -> tuple[Tensor, bool]:
        """The gradient of a tensor, and whether to add to it."""
        found = self.found[index]
        gradient = torch.empty_like(self.tensors[index]) if found is None else found
        self.found[index] = gradient
        return gradient, found is not None


def _empty_term(output: Tensor, factor: int) -> Tensor:
    n, c, h, w = output.shape
    return empty_images(n, c, h // factor, w // factor)
