"""The kernels of training in C++ (csrc/python/training.cpp); absent where they were not built.

Arrays are float32 on the CPU, ``statistics`` and ``moments`` float64. Images are (n, c, h, w) in channels last; those
of convolutions may hold some of the channels of another tensor. Shapes are checked.

Raises:
    TypeError: An array is of another type or on another device.
    ValueError: An array has another shape or layout; or LITEHRNET_KERNELS names an instruction set that this machine
        does not have.
"""

from typing import Any, TypeAlias

Array: TypeAlias = Any
"""A DLPack capsule, from ``torch.utils.dlpack.to_dlpack``; a call uses it up."""

class Norm:
    """Batch normalization (c,)."""

    def __init__(
        self, weight: Array, bias: Array, mean: Array, variance: Array, momentum: float, epsilon: float, /
    ) -> None: ...

class Weighting:
    """The two layers of spatial weighting, (reduced, c), (reduced,), (c, reduced), (c,), or their gradients."""

    def __init__(self, weight1: Array, bias1: Array, weight2: Array, bias2: Array, /) -> None: ...

def name() -> str:
    """Name of the instruction set that they run on."""

def instruction_sets() -> list[str]:
    """Names of this machine's instruction sets that there are kernels for, the best first."""

def use(name: str, /) -> None:
    """Run on another instruction set from now on, in this process."""

def __getattr__(kernel: str) -> Any:
    """Kernels: csrc/python/training.cpp has their arguments, csrc/training/kernels.h says what they compute."""
