"""The native engine: weights are compiled when they are opened; ``.native`` files are compiled already."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet import __version__
from litehrnet.arrays import Floats32, Image
from litehrnet.engine.compiler import compile_network
from litehrnet.engine.native import ABSENT, native_module
from litehrnet.engine.program import Program
from litehrnet.engine.programfile import SUFFIX, FlatProgram, check_outputs, flatten, read_flat
from litehrnet.errors import UserError
from litehrnet.optional import require
from litehrnet.processors import default_threads
from litehrnet.runtimes.protocol import Runtime, fixed_size_message, reopened
from litehrnet.variants import DEFAULT_INPUT_SIZE_WH, find_variant
from litehrnet.weights.weights_file import WeightsInfo, read_weights

_MOST_THREADS = 1024


def instruction_set() -> str | None:
    """Name the instruction set in use: the best of this CPU, or LITEHRNET_KERNELS; None without the engine.

    Raises:
        UserError: LITEHRNET_KERNELS names an instruction set that this CPU does not have.
    """
    native = native_module()
    if native is None:
        return None
    try:
        return str(native.kernels())
    except ValueError as error:
        raise UserError(str(error)) from error


class NativeRuntime:
    """A ``Runtime`` for a compiled program.

    Threads process different crops of a batch; a single crop is divided among them step by step. Many threads may use
    one runtime, and wait for one another. So may processes forked from the one that opened it.

    Args:
        flat: The program.
        info: Metadata of its weights.
        source: Name of the file, for messages and for unpickling.
        threads: Number of CPU threads; None for all.
        precision: ``float32``, or ``bf16`` for the products of 1x1 convolutions on CPUs with AVX512-BF16.
        compile_at: Compiles the same weights for another (width, height); None if there is only the program.

    Raises:
        UserError: The engine is missing; LITEHRNET_KERNELS names an unknown instruction set; the program is damaged;
            the system does not allow so many threads.
    """

    def __init__(
        self,
        flat: FlatProgram,
        info: WeightsInfo,
        source: str,
        threads: int | None = None,
        precision: str = "float32",
        compile_at: Callable[[tuple[int, int]], FlatProgram] | None = None,
    ) -> None:
        native = native_module()
        if native is None:
            raise UserError(ABSENT)
        asked_threads, threads = threads, threads or default_threads()
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
            raise UserError(f"{threads} threads: more than this system allows one process") from error
        self.info, self.input_size_wh, self._bgr = info, flat.input_size_wh, flat.bgr
        self._source, self._asked_threads = source, asked_threads
        self._precision, self._compile_at = precision, compile_at
        self.description = f"native {__version__}, {precision}, {kernels}, {threads} threads"

    def forward(self, crops: Image) -> Floats32:
        """See ``Runtime``."""
        images = np.ascontiguousarray(crops[..., ::-1] if self._bgr else crops)
        heatmaps: Floats32 = self.runner.run(images)
        return heatmaps

    def resized(self, input_size_wh: tuple[int, int]) -> "NativeRuntime":
        """See ``Runtime``."""
        if self._compile_at is None:
            raise UserError(fixed_size_message(self._source, self.input_size_wh, input_size_wh))
        flat = self._compile_at(input_size_wh)
        return NativeRuntime(flat, self.info, self._source, self._asked_threads, self._precision, self._compile_at)

    def __reduce__(self) -> tuple[Callable[..., Runtime], tuple[Any, ...]]:
        """Pickle the name of the file, which is opened again."""
        arguments = (Path(self._source).absolute(), self.input_size_wh, self._asked_threads, self._precision)
        return reopened, (open_native, arguments, self.input_size_wh)


def open_native(
    path: Path, input_size_wh: tuple[int, int] | None = None, threads: int | None = None, precision: str = "float32"
) -> NativeRuntime:
    """Load a program, or compile weights: ``.native``, ``.safetensors`` or a PyTorch checkpoint.

    Other arguments are those of ``open_runtime``; errors as in ``NativeRuntime`` and ``compile_weights``.
    """
    if path.suffix.lower() == SUFFIX:
        flat, info = read_flat(path)
        return NativeRuntime(flat, info, str(path), threads, precision)
    compile_at, info = read_compilable(path)
    size = info.size_for(input_size_wh) or DEFAULT_INPUT_SIZE_WH
    return NativeRuntime(
        flatten(compile_at(size)), info, str(path), threads, precision, lambda size_wh: flatten(compile_at(size_wh))
    )


def compile_weights(weights: Path, input_size_wh: tuple[int, int] | None = None) -> tuple[Program, WeightsInfo]:
    """Compile a file of weights for RGB crops; our own safetensors files need no torch.

    Args:
        weights: ``.safetensors``, or a PyTorch checkpoint.
        input_size_wh: (width, height) if the file does not state it, or for segmentation; None for (192, 256).

    Returns:
        The program, and the metadata of the weights.

    Raises:
        UserError: The file is missing, damaged, or does not hold weights of these networks; the network does not
            support this input size; PyTorch is needed to read the checkpoint and not installed.
    """
    compile_at, info = read_compilable(weights)
    return compile_at(info.size_for(input_size_wh) or DEFAULT_INPUT_SIZE_WH), info


def read_compilable(weights: Path) -> tuple[Callable[[tuple[int, int]], Program], WeightsInfo]:
    """Read weights, and return a function that compiles them for a (width, height), and their metadata.

    Raises:
        UserError: As in ``compile_weights``. The function raises it for an unsupported input size.
    """
    arrays, info = _read_arrays(weights)

    def compile_at(input_size_wh: tuple[int, int]) -> Program:
        assert info.variant is not None
        variant = find_variant(info.variant)
        return compile_network(variant, arrays, input_size_wh, str(weights), mean=info.mean, std=info.std)

    return compile_at, info


def _read_arrays(weights: Path) -> tuple[dict[str, NDArray[Any]], WeightsInfo]:
    if weights.suffix == ".safetensors":
        return read_weights(weights)
    require("torch", "train", f"{weights}: reading this format")
    from litehrnet.models.weights import read_any_weights

    tensors, info = read_any_weights(weights)
    return {name: tensor.numpy() for name, tensor in tensors.items()}, info
