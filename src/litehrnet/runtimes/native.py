"""The native engine: weights of ours and of others, compiled when they are opened, and programs compiled before."""

import os
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet import __version__
from litehrnet.engine.compiler import compile_network
from litehrnet.engine.program import Program
from litehrnet.engine.programfile import SUFFIX, FlatProgram, check_outputs, flatten, read_flat
from litehrnet.errors import UserError
from litehrnet.optional import require
from litehrnet.variants import DEFAULT_INPUT_SIZE_WH, find_variant, heatmap_size
from litehrnet.weights.weights_file import WeightsInfo, read_weights

ABSENT = "the native engine is not part of this installation (installing where there is a C++ compiler builds it)"

_MOST_THREADS = 1024


@cache
def native_module() -> ModuleType | None:
    """The engine's module; None where it was not built, or does not load."""
    try:
        from litehrnet.engine import _native
    except ImportError:
        return None
    return _native


def instruction_set() -> str | None:
    """What the engine runs on here: the best there is, or what LITEHRNET_KERNELS names; None where it is absent.

    Raises:
        UserError: LITEHRNET_KERNELS names none of this machine's.
    """
    native = native_module()
    if native is None:
        return None
    try:
        return str(native.kernels())
    except native.ProgramError as error:
        raise UserError(str(error)) from error


class NativeRuntime:
    """A ``Runtime`` for a program.

    Threads take different crops of a batch, and shares of every step of a crop that comes alone. One runtime may be
    used by many threads, which wait for one another, and in processes forked from the one that opened it.

    Args:
        flat: The program.
        info: What its weights are.
        source: Name of the file, for messages.
        threads: CPU threads; None for all.
        precision: ``float32``, or ``bf16`` for the products of 1x1 convolutions where the CPU has AVX512-BF16.

    Raises:
        UserError: The engine is absent or has no such instruction set as LITEHRNET_KERNELS names; the program is
            damaged; there are not so many threads to be had.
    """

    def __init__(
        self,
        flat: FlatProgram,
        info: WeightsInfo,
        source: str,
        threads: int | None = None,
        precision: str = "float32",
    ) -> None:
        native = native_module()
        if native is None:
            raise UserError(ABSENT)
        threads = threads or os.cpu_count() or 1
        if threads > _MOST_THREADS:
            raise UserError(f"{threads} threads: too many (expected up to {_MOST_THREADS})")
        kernels = instruction_set()
        if precision == "bf16" and not native.has_bfloat16():
            raise UserError(f"precision bf16: {kernels} has no bfloat16 (expected float32, or a CPU with AVX512-BF16)")
        try:
            self.runner = native.Runner(flat.numbers, flat.constants, threads, precision == "bf16")
            check_outputs(self.runner.heatmap_shape[0], info)
        except ValueError as error:
            raise UserError(f"{source}: damaged: {error}") from error
        except (RuntimeError, MemoryError) as error:
            raise UserError(f"{threads} threads: more than this system gives one process") from error
        self.info, self.input_size_wh, self._bgr = info, flat.input_size_wh, flat.bgr
        width, height = heatmap_size(*self.input_size_wh)
        if self.runner.heatmap_shape[1:] != [height, width]:
            raise UserError(f"{source}: damaged: its heatmaps are of another size than its images'")
        self.description = f"native {__version__}, {precision}, {kernels}, {threads} threads"

    def heatmaps(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``Runtime``."""
        images = np.ascontiguousarray(crops[..., ::-1] if self._bgr else crops)
        heatmaps: NDArray[np.float32] = self.runner.run(images)
        return heatmaps


def open_native(
    path: Path,
    input_size_wh: tuple[int, int] | None = None,
    threads: int | None = None,
    precision: str = "float32",
) -> NativeRuntime:
    """Load a program, or compile weights.

    Args:
        path: ``.native``, ``.safetensors`` or a PyTorch checkpoint.
        input_size_wh: (width, height) where weights do not say it; (192, 256) where nothing does.
        threads: CPU threads; None for all.
        precision: ``float32`` or ``bf16``.

    Raises:
        UserError: See ``NativeRuntime`` and ``compile_weights``.
    """
    if path.suffix.lower() == SUFFIX:
        flat, info = read_flat(path)
    else:
        program, info = compile_weights(path, input_size_wh)
        flat = flatten(program)
    return NativeRuntime(flat, info, str(path), threads, precision)


def compile_weights(weights: Path, input_size_wh: tuple[int, int] | None = None) -> tuple[Program, WeightsInfo]:
    """Compile a file of weights for RGB crops; without torch where it is a safetensors file of ours.

    Args:
        weights: ``.safetensors``, or a PyTorch checkpoint.
        input_size_wh: (width, height) where the weights' file does not say it, or of a network that segments;
            (192, 256) where nothing says it.

    Returns:
        The program, and the file's own description of its weights.

    Raises:
        UserError: The file is missing, damaged or no weights of these networks; PyTorch, which reading a checkpoint
            needs, is not installed; the network cannot take images of this size.
    """
    arrays, info = _read_arrays(weights)
    assert info.variant is not None
    size = info.size_for(input_size_wh) or DEFAULT_INPUT_SIZE_WH
    variant = find_variant(info.variant)
    program = compile_network(variant, arrays, size, str(weights), mean=info.mean, std=info.std)
    return program, info


def _read_arrays(weights: Path) -> tuple[dict[str, NDArray[Any]], WeightsInfo]:
    if weights.suffix == ".safetensors":
        return read_weights(weights)
    require("torch", "train", f"{weights}: reading this format")
    from litehrnet.models.weights import read_any_weights

    tensors, info = read_any_weights(weights)
    return {name: tensor.numpy() for name, tensor in tensors.items()}, info
