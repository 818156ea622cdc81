"""A program for the engine, compiled from weights; without torch where the weights are a safetensors file of ours."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from litehrnet.engine.compiler import compile_network
from litehrnet.engine.program import Program
from litehrnet.engine.programfile import read_program, write_program
from litehrnet.files import replacing
from litehrnet.optional import require
from litehrnet.variants import DEFAULT_INPUT_SIZE_WH, find_variant
from litehrnet.weightsfile import WeightsInfo, read_weights


def compile_weights(weights: Path, input_size_wh: tuple[int, int] | None = None) -> tuple[Program, WeightsInfo]:
    """Compile a file of weights for RGB crops.

    Args:
        weights: ``.safetensors``, or a PyTorch checkpoint.
        input_size_wh: (width, height) where the weights' file does not say it; (192, 256) where nothing does.

    Raises:
        UserError: The file is missing, damaged or no weights of these networks; PyTorch, which reading a checkpoint
            needs, is not installed; the network cannot take images of this size.
    """
    arrays, info = _read_arrays(weights)
    assert info.variant is not None
    size = info.input_size_wh or input_size_wh or DEFAULT_INPUT_SIZE_WH
    variant = find_variant(info.variant)
    program = compile_network(variant, arrays, size, str(weights), mean=info.mean, std=info.std)
    return program, replace(info, input_size_wh=size)


def export_native(weights: Path, path: Path, input_size_wh: tuple[int, int] | None = None) -> Program:
    """Write a program, which is read again and checked before it is kept; arguments as those of ``compile_weights``.

    Raises:
        UserError: The weights cannot be compiled, or ``path`` cannot be written.
    """
    program, info = compile_weights(weights, input_size_wh)
    with replacing(path) as temporary:
        write_program(temporary, program, info)
        return read_program(temporary)[0]


def _read_arrays(weights: Path) -> tuple[dict[str, NDArray[Any]], WeightsInfo]:
    if weights.suffix == ".safetensors":
        return read_weights(weights)
    require("torch", "train", f"{weights}: reading this format")
    from litehrnet.models.weights import read_any_weights

    tensors, info = read_any_weights(weights)
    return {name: tensor.numpy() for name, tensor in tensors.items()}, info
