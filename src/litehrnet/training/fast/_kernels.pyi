"""The kernels of training in C++ (csrc/python/training.cpp); absent where they were not built.

Nothing is checked: only this package calls it. Tensors are addresses, of float32 in channels last but for
``statistics`` and ``moments``, which are float64. What each does stands in csrc/training/kernels.h.
"""

_Shape = tuple[int, int, int, int]  # images, height, width, channels
_Norm = tuple[int, int, int, int, float, float]  # weight, bias, running mean and variance; momentum, epsilon
_Layers = tuple[int, int, int, int]  # weight1, bias1, weight2, bias2
_Cells = tuple[int, int, int]  # values, stride, factor
_Term = tuple[int, int, float]  # values, factor, weight

def name() -> str:
    """The instruction set that they run on."""

def instruction_sets() -> list[str]:
    """Instruction sets that the kernels have on this machine, the best first."""

def use(name: str, /) -> None:
    """Run on another instruction set from now on, in this process.

    Raises:
        ValueError: This machine has no such instruction set.
    """

def norm_forward(
    shape: _Shape, x: int, norm: _Norm, statistics: int, relu: bool, out: int, threads: int, /
) -> None: ...
def norm_backward(
    shape: _Shape,
    x: int,
    norm: _Norm,
    statistics: int,
    relu: bool,
    dout: int,
    dx: int,
    dnorm: tuple[int, int],
    threads: int,
    /,
) -> None: ...
def depthwise_forward(
    shape: _Shape,
    x: int,
    x_stride: int,
    kernel: int,
    stride: int,
    norm: _Norm,
    statistics: int,
    y: int,
    affine: tuple[int, int],
    threads: int,
    /,
) -> None: ...
def depthwise_backward(
    shape: _Shape,
    x: int,
    x_stride: int,
    kernel: int,
    stride: int,
    y: int,
    norm: _Norm,
    statistics: int,
    dy: int,
    daffine: tuple[int, int],
    dx: int,
    dkernel: int,
    dnorm: tuple[int, int],
    threads: int,
    /,
) -> None: ...
def product_norm_forward(
    shape: _Shape,
    x: int,
    x_stride: int,
    matrix: int,
    bias: int,
    columns: int,
    y: int,
    norm: _Norm,
    statistics: int,
    relu: bool,
    out: int,
    threads: int,
    /,
) -> None: ...
def product_norm_backward(
    shape: _Shape,
    x: int,
    x_stride: int,
    matrix: int,
    columns: int,
    y: int,
    norm: _Norm,
    statistics: int,
    relu: bool,
    dout: int,
    dx: int,
    dmatrix: int,
    dnorm: tuple[int, int],
    threads: int,
    /,
) -> None: ...
def unit_forward(
    shape: _Shape,
    x: int,
    cells: _Cells,
    kernel: int,
    norm: _Norm,
    layers: _Layers,
    reduced: int,
    y: int,
    moments: int,
    out: int,
    threads: int,
    /,
) -> None: ...
def unit_backward(
    shape: _Shape,
    x: int,
    cells: _Cells,
    kernel: int,
    norm: _Norm,
    layers: _Layers,
    reduced: int,
    y: int,
    moments: int,
    dout: int,
    dx: int,
    dcells: int,
    dkernel: int,
    dnorm: tuple[int, int],
    dlayers: _Layers,
    threads: int,
    /,
) -> None: ...
def pool_forward(shape: _Shape, x: int, cells: int, cell_stride: int, factor: int, threads: int, /) -> None: ...
def pool_backward(shape: _Shape, dx: int, dcells: int, cell_stride: int, factor: int, threads: int, /) -> None: ...
def fuse_forward(
    shape: _Shape, x: int, scale: float, terms: list[_Term], sum: int, rectified: int, threads: int, /
) -> None: ...
def fuse_backward(
    shape: _Shape, sum: int, dsum: int, drectified: int, dx: int, terms: list[_Term], threads: int, /
) -> None: ...
