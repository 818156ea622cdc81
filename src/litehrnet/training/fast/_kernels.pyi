"""The kernels of training in C++ (csrc/python/training.cpp); absent where they were not built.

Arrays are float32 on the CPU, ``statistics`` and ``moments`` float64. Images are (n, c, h, w) in channels last; those
of convolutions may hold some of the channels of another tensor. Shapes are checked; csrc/training/kernels.h says what
each kernel computes.

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

# fmt: off
def norm_forward(
    x: Array, norm: Norm, statistics: Array, relu: bool, out: Array, threads: int, /) -> None: ...
def norm_backward(
    x: Array, norm: Norm, statistics: Array, relu: bool,
    dout: Array, dx: Array, dweight: Array, dbias: Array, threads: int, /) -> None: ...
def depthwise_forward(
    x: Array, kernel: Array, stride: int, norm: Norm, statistics: Array, y: Array,
    gain: Array, offset: Array, threads: int, /) -> None: ...
def depthwise_backward(
    x: Array, kernel: Array, stride: int, norm: Norm, statistics: Array, y: Array,
    dy: Array, dgain: Array, doffset: Array,
    dx: Array, add: bool, dkernel: Array, dweight: Array, dbias: Array, threads: int, /) -> None: ...
def product_norm_forward(
    x: Array, matrix: Array, bias: Array | None, y: Array, norm: Norm, statistics: Array, relu: bool,
    out: Array | None, threads: int, /) -> None: ...
def product_norm_backward(
    x: Array, matrix: Array, y: Array, norm: Norm, statistics: Array, relu: bool,
    dout: Array, dx: Array, add: bool, dmatrix: Array, dweight: Array, dbias: Array, threads: int, /) -> None: ...
def convolution_norm_forward(
    x: Array, matrix: Array, stride: int, y: Array, norm: Norm, statistics: Array, relu: bool,
    out: Array, threads: int, /) -> None: ...
def convolution_norm_backward(
    x: Array, stride: int, y: Array, norm: Norm, statistics: Array, relu: bool,
    dout: Array, dmatrix: Array, dweight: Array, dbias: Array, threads: int, /) -> None: ...
def unit_forward(
    x: Array, cells: Array, first: int, kernel: Array, norm: Norm, weighting: Weighting,
    y: Array, moments: Array, out: Array, threads: int, /) -> None: ...
def unit_backward(
    x: Array, cells: Array, first: int, kernel: Array, norm: Norm, weighting: Weighting,
    y: Array, moments: Array, dout: Array, dx: Array, dcells: Array,
    dkernel: Array, dweight: Array, dbias: Array, dweighting: Weighting, threads: int, /) -> None: ...
def pool_forward(x: Array, cells: Array, first: int, threads: int, /) -> None: ...
def pool_backward(dx: Array, dcells: Array, first: int, threads: int, /) -> None: ...
def fuse_forward(
    x: Array, scale: float, terms: list[tuple[Array, float, Norm, Array]],
    sum: Array | None, rectified: Array, threads: int, /) -> None: ...
def fuse_backward(
    rectified: Array, dsum: Array | None, drectified: Array, scale: float,
    dx: Array, add: bool, terms: list[tuple[Array, float]], threads: int, /) -> None: ...
