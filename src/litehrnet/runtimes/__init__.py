"""The runtimes behind one Protocol. One that is asked for and absent is an error, never silently another."""

import logging
from functools import cache
from pathlib import Path

from litehrnet.engine.programfile import read_flat
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.optional import is_installed
from litehrnet.runtimes.native import ABSENT, native_module, open_native
from litehrnet.runtimes.onnxfile import read_info
from litehrnet.runtimes.protocol import Runtime
from litehrnet.weights.weights_file import WeightsInfo, read_weights
from litehrnet.weights.zoo import find_weights

RUNTIMES = ("native", "onnxruntime", "openvino", "torch")
PRECISIONS = ("float32", "bf16", "fp16")

__all__ = ["PRECISIONS", "RUNTIMES", "Runtime", "described_weights", "open_runtime", "segments"]


def open_runtime(
    weights: str | Path,
    runtime: str | None = None,
    *,
    input_size_wh: tuple[int, int] | None = None,
    threads: int | None = None,
    precision: str = "float32",
    device: str = "cpu",
    compiled: bool = False,
) -> Runtime:
    """Load weights into a runtime.

    Args:
        weights: ``.safetensors`` and PyTorch checkpoints (native, torch), ``.native`` (native) or ``.onnx``
            (onnxruntime, openvino); or a name that ``litehrnet models`` lists.
        runtime: One of ``RUNTIMES``; None for the first of native, onnxruntime and torch that takes the file.
        input_size_wh: (width, height) of the crops where the file does not say it.
        threads: CPU threads, 1 or more; None for all.
        precision: One of ``PRECISIONS``, of the arithmetic; native has ``bf16`` besides float32, torch both others.
        device: For torch: as PyTorch names it, such as ``cuda`` or ``cuda:1``.
        compiled: For torch: through ``torch.compile``.

    Raises:
        UserError: The runtime is unknown, not installed, or not one for this kind of file, precision or device; the
            file is missing, damaged or of another kind; the file says another input size than ``input_size_wh``.
    """
    # Of weights in the box, ONNX Runtime is for installs without the engine.
    weights, known_size_wh = find_weights(weights, runtime or ("onnxruntime" if native_module() is None else "native"))
    input_size_wh = input_size_wh or known_size_wh
    if not weights.is_file():
        raise UserError(f"{weights}: no such file (expected weights: .safetensors, .pth, .onnx or .native)")
    runtime = runtime or _default_runtime(weights)
    _check_settings(runtime, precision, device, compiled)
    _check_format(weights, runtime)
    if runtime == "torch":
        from litehrnet.runtimes.torch import open_torch

        opened: Runtime = open_torch(
            weights, input_size_wh, threads, precision=precision, device=device, compiled=compiled
        )
    else:
        opened = _open(weights, runtime, input_size_wh, threads, precision)
    if input_size_wh is not None and opened.input_size_wh != input_size_wh:
        width, height = opened.input_size_wh
        raise UserError(
            f"{weights}: is for {width}x{height} input (width x height), not {input_size_wh[0]}x{input_size_wh[1]}"
        )
    return opened


def segments(weights: str | Path) -> bool:
    """Whether a file is of a network that segments; errors are left to ``open_runtime``."""
    info = described_weights(weights)
    return info is not None and info.segments


def described_weights(weights: str | Path) -> WeightsInfo | None:
    """The description of a file of weights; None where it has none, or cannot be read: ``open_runtime`` says why."""
    try:
        path = find_weights(weights).path
        match path.suffix.lower():
            case ".safetensors":
                return read_weights(path)[1]
            case ".onnx":
                return read_info(read_bytes(path), path)
            case ".native":
                return read_flat(path)[1]
            case _:
                if not is_installed("torch"):
                    return None
                from litehrnet.models.weights import read_any_weights

                return read_any_weights(path)[1]
    except UserError:
        return None


def _default_runtime(weights: Path) -> str:
    suffix = weights.suffix.lower()
    if suffix == ".native" or (suffix != ".onnx" and native_module() is not None):
        return "native"
    if suffix != ".onnx" and not is_installed("torch"):
        raise UserError(
            f"{weights}: {ABSENT}, and PyTorch, which runs this format too, is not installed "
            "(pip install 'litehrnet[train]'; ONNX models run as it is)"
        )
    runtime = "onnxruntime" if suffix == ".onnx" else "torch"
    if native_module() is None:
        _say_once(f"{ABSENT}: running on {runtime}")
    return runtime


@cache
def _say_once(text: str) -> None:
    logging.getLogger("litehrnet").warning(text)


def _check_settings(runtime: str, precision: str, device: str, compiled: bool) -> None:
    if runtime not in RUNTIMES:
        raise UserError(f"{runtime}: no such runtime (expected one of {', '.join(RUNTIMES)})")
    if precision not in PRECISIONS:
        raise UserError(f"{precision}: no such precision (expected one of {', '.join(PRECISIONS)})")
    if runtime == "torch":
        return
    if precision != "float32" and (runtime, precision) != ("native", "bf16"):
        has = "float32 and bf16" if runtime == "native" else "float32 only"
        raise UserError(f"precision {precision}: {runtime} runs in {has} (expected the runtime torch)")
    if device != "cpu":
        raise UserError(f"device {device}: {runtime} runs on the CPU only (expected the runtime torch)")
    if compiled:
        raise UserError(f"torch.compile is not for {runtime} (expected the runtime torch)")


def _check_format(weights: Path, runtime: str) -> None:
    suffix = weights.suffix.lower()
    if suffix == ".native" and runtime != "native":
        raise UserError(f"{weights}: {runtime} does not run programs of the native engine (expected native)")
    if suffix == ".onnx" and runtime in ("native", "torch"):
        raise UserError(f"{weights}: {runtime} does not run ONNX models (expected .safetensors or .pth)")
    if suffix not in (".onnx", ".native") and runtime in ("onnxruntime", "openvino"):
        raise UserError(f"{weights}: {runtime} runs ONNX models (make one with: litehrnet export {weights})")


def _open(
    weights: Path, runtime: str, input_size_wh: tuple[int, int] | None, threads: int | None, precision: str
) -> Runtime:
    if runtime == "native":
        return open_native(weights, input_size_wh, threads, precision)
    # Imported here: only the chosen runtime's package is loaded.
    if runtime == "openvino":
        from litehrnet.runtimes.openvino import OpenVinoRuntime

        return OpenVinoRuntime(weights, input_size_wh, threads)
    from litehrnet.runtimes.onnxruntime import OnnxRuntime

    return OnnxRuntime(weights, input_size_wh, threads)
