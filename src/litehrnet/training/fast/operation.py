"""Operations of the compiled kernels on the parameters of modules, each one node of autograd.

All tensors are float32 on the CPU, images in channels last. Running statistics are updated as in training mode.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Operation(ABC):
    """An operation whose compiled form points to parameters and running statistics of modules.

    The compiled form is made at the first use, and again when a tensor has moved. Copies make their own.

    Args:
        modules: Modules without children, in the order in which the compiled form writes gradients of their parameters.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.modules = list(modules)
        self._compiled: Any = None
        self._addresses: list[int] = []

    @abstractmethod
    def compile(self) -> Any:
        """The compiled form for the tensors as they are now."""

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
    """Split the numbers of all gradients into the gradient of each parameter; dense kernels are in channels last."""
    pieces = gradients.split_with_sizes([p.numel() for p in parameters])
    return [_shaped(piece, parameter.shape) for piece, parameter in zip(pieces, parameters, strict=True)]


def _shaped(values: Tensor, shape: torch.Size) -> Tensor:
    if len(shape) == 1:
        return values
    columns, depth, height, width = shape
    if depth > 1 and height > 1:
        return values.view(columns, height, width, depth).permute(0, 3, 1, 2)
    return values.view(shape)
