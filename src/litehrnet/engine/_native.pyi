"""The engine in C++ (csrc/python/engine.cpp); absent where it was not built."""

import numpy as np
from numpy.typing import NDArray

class ProgramError(ValueError):
    """What is wrong with a program, as the end of a sentence."""

KINDS: list[str]
"""Names of the kinds of steps, in the order of their numbers."""

ACTIVATIONS: list[str]
"""Names of the activations, in the order of their numbers."""

def check(numbers: NDArray[np.int32], constants: NDArray[np.float32]) -> None:
    """Check a program; the arguments are those of ``Runner``.

    Raises:
        ProgramError: The program is invalid.
    """

def kernels() -> str:
    """Name of the instruction set that runs here: the best one, or the one that LITEHRNET_KERNELS names.

    Raises:
        ValueError: LITEHRNET_KERNELS names an instruction set that this machine does not have.
    """

def has_bfloat16() -> bool:
    """Whether that instruction set multiplies bfloat16.

    Raises:
        ValueError: See ``kernels``.
    """

def peak_macs() -> float:
    """Measure the peak number of float multiply-adds per second of one thread, on the instruction set that runs.

    Raises:
        ValueError: See ``kernels``.
    """

def peak_reading(bytes: int) -> float:
    """Measure the peak number of bytes per second that one thread reads from a block of this size, over and over.

    Raises:
        ValueError: See ``kernels``; or the block is smaller than 256 bytes or larger than 2^32.
    """

class Runner:
    """A loaded program, and threads with an arena each; safe to call from many threads and after a fork.

    Args:
        numbers: int32, as in ``programfile.FlatProgram``; checked, so that no step leaves its memory.
        constants: float32, as in ``programfile.FlatProgram``.
        threads: Number of threads that share the images of a batch, 1 or more.
        bfloat16: Compute the products of 1x1 convolutions in bfloat16 and sum them in float32.

    Raises:
        ProgramError: The program is damaged, or the instruction set has no bfloat16.
        RuntimeError, MemoryError: The system does not give that many threads, or that much memory.

    Attributes:
        kernels: Name of the instruction set that runs.
        arena_bytes: Memory of each thread in bytes.
        kinds: Kinds of the steps, as ``program.Kind``.
        heatmap_shape: (keypoints, height, width).
    """

    kernels: str
    arena_bytes: int
    kinds: list[int]
    heatmap_shape: list[int]

    def __init__(
        self, numbers: NDArray[np.int32], constants: NDArray[np.float32], threads: int, bfloat16: bool = False
    ) -> None: ...
    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute heatmaps (n, keypoints, h, w) of C-contiguous images (n, height, width, 3), without Python's lock."""

    def profile(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Measure the seconds that each step takes for one image (1, height, width, 3), on one thread."""
