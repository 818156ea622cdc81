"""The operations of training in C++ (csrc/python/training.cpp); absent where they were not built.

Arrays are float32 on the CPU, ``kept`` uint8. Images are (n, c, h, w) in channels last; the input of a path may hold
some of the channels of another tensor. Sizes are those of images. Shapes are checked; csrc/training/layers.h and
operations.h say what each operation computes. ``kept`` has as many bytes as ``bytes`` returns, and the array of
gradients as many numbers as ``gradients`` says.

Raises:
    TypeError: An array is of another type or on another device.
    ValueError: An array has another shape or layout; or LITEHRNET_KERNELS names an instruction set that this machine
        does not have.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

Array: TypeAlias = Any
"""A DLPack capsule, from ``torch.utils.dlpack.to_dlpack``; a call uses it up."""

Sizes: TypeAlias = Sequence[int]

def name() -> str:
    """Name of the instruction set that they run on."""

def instruction_sets() -> list[str]:
    """Names of this machine's instruction sets that there are kernels for, the best first."""

def use(name: str, /) -> None:
    """Run on another instruction set from now on, in this process."""

class Norm:
    """Batch normalization (c,), which counts its batches by ``step``."""

    def __init__(
        self,
        weight: Array,
        bias: Array,
        mean: Array,
        variance: Array,
        batches: Array,
        step: int,
        momentum: float,
        epsilon: float,
        /,
    ) -> None: ...

class Layer:
    """A layer that ends with batch normalization and maybe ReLU."""

class Product(Layer):
    """A 1x1 convolution by a matrix (columns, c, 1, 1)."""

    def __init__(self, matrix: Array, norm: Norm, relu: bool, /) -> None: ...

def norm(norm: Norm, relu: bool, /) -> Layer:
    """Batch normalization alone."""

def separable(kernel: Array, stride: int, norm: Norm, product: Product, /) -> Layer:
    """A depthwise convolution (c, 1, 3, 3) with batch normalization, then a product."""

def convolution(matrix: Array, stride: int, norm: Norm, relu: bool, /) -> Layer:
    """A 3x3 convolution by a matrix (columns, 3, 3, c)."""

class Path:
    """Layers in turn."""

    def __init__(self, layers: Sequence[Layer], /) -> None: ...
    @property
    def gradients(self) -> int: ...
    def result(self, x: Sizes, /) -> list[int]: ...
    def bytes(self, x: Sizes, /) -> int: ...
    def forward(self, x: Array, kept: Array, out: Array, threads: int, /) -> None: ...
    def backward(self, x: Array, kept: Array, dout: Array, dx: Array, gradients: Array, threads: int, /) -> None: ...

class UnitBranch:
    """A branch's kernel, batch normalization, and two layers: (reduced, c), (reduced,), (c, reduced), (c,)."""

    def __init__(
        self, kernel: Array, norm: Norm, weight1: Array, bias1: Array, weight2: Array, bias2: Array, /
    ) -> None: ...

class Unit:
    """Conditional channel weighting. Its caller computes the sigmoid between ``forward_cross`` and ``forward``."""

    def __init__(self, cross: Path, branches: Sequence[UnitBranch], /) -> None: ...
    @property
    def gradients(self) -> int: ...
    def cells(self, branches: Sequence[Sizes], /) -> list[int]: ...
    def bytes(self, branches: Sequence[Sizes], /) -> int: ...
    def forward_cross(self, branches: list[Array], kept: Array, logits: Array, threads: int, /) -> None: ...
    def forward(
        self, branches: list[Array], cells: Array, kept: Array, outputs: list[Array], threads: int, /
    ) -> None: ...
    def backward(
        self,
        branches: list[Array],
        cells: Array,
        kept: Array,
        doutputs: list[Array],
        dbranches: list[Array],
        dcells: Array,
        gradients: Array,
        threads: int,
        /,
    ) -> None: ...
    def backward_cross(
        self,
        branches: list[Array],
        dlogits: Array,
        kept: Array,
        dbranches: list[Array],
        gradients: Array,
        threads: int,
        /,
    ) -> None: ...

class Term:
    """A term of a sum: the path of a source, enlarged by a factor and multiplied by a weight."""

    def __init__(self, source: int, path: Path, factor: int, weight: float, /) -> None: ...

class Exchange:
    """Sums of branches and terms, with ReLU."""

    def __init__(self, terms: Sequence[Sequence[Term]], rectified: bool, /) -> None: ...
    @property
    def gradients(self) -> int: ...
    def bytes(self, branches: Sequence[Sizes], /) -> int: ...
    def forward(self, branches: list[Array], kept: Array, outputs: list[Array], threads: int, /) -> None: ...
    def backward(
        self,
        branches: list[Array],
        kept: Array,
        outputs: list[Array],
        doutputs: list[Array],
        dbranches: list[Array],
        gradients: Array,
        threads: int,
        /,
    ) -> None: ...
