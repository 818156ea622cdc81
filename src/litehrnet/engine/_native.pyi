"""The engine in C++ (csrc/python/engine.cpp); absent where it was not built."""

import numpy as np
from numpy.typing import NDArray

class ProgramError(ValueError):
    """What is wrong with a program, as the end of a sentence."""

def kernels() -> str:
    """Name of the instruction set that runs here: the best one, or the one that LITEHRNET_KERNELS names.

    Raises:
        ValueError: LITEHRNET_KERNELS names an instruction set that this machine does not have.
    """

def has_bfloat16() -> bool:
    """Whether that instruction set has products of bfloat16.

    Raises:
        ValueError: See ``kernels``.
    """

def peak_macs() -> float:
    """Multiply-adds of floats that one thread does per second at most, measured with the instruction set that runs.

    Raises:
        ValueError: See ``kernels``.
    """

def peak_reading(bytes: int) -> float:
    """Bytes that one thread reads per second at most from a block of so many, over and over; measured.

    Raises:
        ValueError: See ``kernels``; or the block is smaller than 256 bytes or larger than 2^32.
    """

class Runner:
    """A program in memory, and threads with an arena each; safe to call from many threads and after a fork.

    Args:
        numbers: int32, see ``programfile.FlatProgram``; checked, so that no step leaves its memory.
        constants: float32, see there.
        threads: 1 or more, which share the images of a batch.
        bfloat16: Products of 1x1 convolutions in bfloat16, summed in float32.

    Raises:
        ProgramError: The program is damaged, or the instruction set has no bfloat16.
        RuntimeError, MemoryError: There are not so many threads, or not so much memory, to be had.

    Attributes:
        kernels: The instruction set that it runs on.
        arena_bytes: Memory of each thread.
        kinds: Of the steps, as ``program.Kind``.
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
        """Heatmaps (n, keypoints, h, w) of images (n, height, width, 3), C-contiguous; Python's lock is released."""

    def profile(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Seconds that each step took for one image (1, height, width, 3), on one thread."""
