"""Operations of the compiled kernels on the parameters of modules, each one node of autograd.

All tensors are float32 on the CPU, images in channels last. Running statistics are updated as in training mode.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._utils import _unflatten_dense_tensors


class Operation:
    """An operation whose compiled form points to parameters and running statistics of modules.

    The compiled form is made at the first use, and again when a tensor has moved. Copies make their own.

    Args:
        modules: Modules without children, in the order in which the compiled form writes gradients of their parameters.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.modules = list(modules)
        self._compiled: Any = None
        self._addresses: list[int] = []

    def compile(self) -> Any:
        """The compiled form for the tensors as they are now."""
        raise NotImplementedError

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters of all modules."""
        return [p for module in self.modules for p in module._parameters.values() if p is not None]

    def current(self) -> tuple[Any, list[Tensor]]:
        """The compiled form, and the parameters."""
        parameters = self.parameters
        addresses = [tensor.data_ptr() for tensor in (*parameters, *self._buffers())]
        if addresses != self._addresses:
            self._compiled, self._addresses = self.compile(), addresses
        return self._compiled, parameters

    def _buffers(self) -> Iterator[Tensor]:
        for module in self.modules:
            for buffer in module._buffers.values():
                if buffer is not None:
                    yield buffer

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_compiled": None, "_addresses": []}


def memory(count: int) -> Tensor:
    """Bytes that last from the forward to the backward pass, not yet filled."""
    return torch.empty(count, dtype=torch.uint8)


def parts(gradients: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of parameters from all their numbers, one after another; those of dense kernels are in channels last."""
    in_memory = [p.permute(0, 2, 3, 1) if _is_dense_kernel(p) else p for p in parameters]
    views = _unflatten_dense_tensors(gradients, in_memory)
    return [
        view.permute(0, 3, 1, 2) if _is_dense_kernel(p) else view for view, p in zip(views, parameters, strict=True)
    ]


def _is_dense_kernel(parameter: Tensor) -> bool:
    return parameter.dim() == 4 and parameter.shape[1] > 1 and parameter.shape[2] > 1
