"""The exchange between branches at the end of a module, with the ReLU after it, as one operation.

All tensors are float32 on the CPU, images in channels last. Running statistics are updated as in training mode.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from litehrnet.training.fast.kernels import compiled
from litehrnet.training.fast.layers import Product, Separable, compiled_path, modules_of
from litehrnet.training.fast.layouts import array, arrays, dense, like
from litehrnet.training.fast.operation import Operation, memory, parts

if TYPE_CHECKING:
    from litehrnet.training.fast import _kernels


class Term(NamedTuple):
    """A term of an output: ``path`` of a source, enlarged by ``factor`` and multiplied by ``weight``.

    No ReLU is after the last layer of the path.
    """

    source: int
    path: list[Product | Separable]
    factor: int
    weight: float

    def compile(self) -> "_kernels.Term":
        """The compiled form."""
        term: _kernels.Term = compiled.Term(self.source, compiled_path(self.path), self.factor, self.weight)
        return term


class Exchange(Operation):
    """``models.blocks.Fuse`` and the ReLU after it. A call computes branches of (n, c_b, h_b, w_b).

    Output 0 is ReLU(twice branch 0 plus its terms), and output i is ReLU(branch i plus its terms). Source 0 of the
    terms of lower outputs is output 0, with or without its ReLU.

    Args:
        terms: Up to 8 for each output.
        rectified: Whether the lower branches get ReLU of output 0 in place of the sum.
    """

    def __init__(self, terms: list[list[Term]], rectified: bool) -> None:
        super().__init__([module for of_output in terms for term in of_output for module in modules_of(term.path)])
        self.terms, self.rectified = terms, rectified

    def compile(self) -> "_kernels.Exchange":
        """See ``Operation``."""
        terms = [[term.compile() for term in of_output] for of_output in self.terms]
        exchange: _kernels.Exchange = compiled.Exchange(terms, self.rectified)
        return exchange

    def __call__(self, branches: Sequence[Tensor]) -> list[Tensor]:
        """Compute the exchange."""
        exchange, parameters = self.current()
        outputs: tuple[Tensor, ...] = _Exchange.apply(exchange, len(branches), *map(dense, branches), *parameters)  # type: ignore[no-untyped-call]
        return list(outputs)


class _Exchange(Function):
    @staticmethod
    def forward(ctx: Any, exchange: "_kernels.Exchange", count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        branches = tensors[:count]
        kept, outputs = memory(exchange.bytes([x.shape for x in branches])), like(branches)
        exchange.forward(arrays(branches), array(kept), arrays(outputs), torch.get_num_threads())
        ctx.exchange, ctx.count = exchange, count
        ctx.save_for_backward(kept, *outputs, *tensors)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        exchange, count, (kept, *tensors) = ctx.exchange, ctx.count, ctx.saved_tensors
        outputs, branches, parameters = tensors[:count], tensors[count : 2 * count], tensors[2 * count :]
        dbranches, of_parameters = like(branches), torch.empty(exchange.gradients)
        given = arrays(branches), array(kept), arrays(outputs), arrays([dense(gradient) for gradient in gradients])
        exchange.backward(*given, arrays(dbranches), array(of_parameters), torch.get_num_threads())
        return None, None, *dbranches, *parts(of_parameters, parameters)
