"""Open weights in a runtime. A runtime that is asked for and missing is an error, never replaced silently."""

from collections.abc import Sequence
from operator import index
from pathlib import Path
from typing import Any, TypedDict

from litehrnet.engine.compiler import UnsupportedUnitError
from litehrnet.engine.native import ABSENT, native_module
from litehrnet.engine.programfile import read_flat
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.io.notes import say_once
from litehrnet.optional import is_installed
from litehrnet.runtimes import litertfile
from litehrnet.runtimes.native import open_native
from litehrnet.runtimes.numpy_reference import open_numpy
from litehrnet.runtimes.onnxfile import read_info
from litehrnet.runtimes.protocol import Runtime, fixed_size_message
from litehrnet.runtimes.sdk import ONNX_SUFFIXES
from litehrnet.weights.weights_file import WeightsInfo, read_weights
from litehrnet.weights.zoo import find_weights

RUNTIMES = ("native", "numpy", "onnxruntime", "openvino", "litert", "torch")
PRECISIONS = ("float32", "bf16", "fp16")


class RuntimeSettings(TypedDict, total=False):
    """Arguments that other functions pass on to ``open_runtime``, which describes them; all may be left out.

    Example:
        >>> from litehrnet.runtimes import RuntimeSettings, open_runtime
        >>> settings: RuntimeSettings = {"threads": 1}
        >>> open_runtime("lite_hrnet_18", **settings).input_size_wh
        (192, 256)
    """

    input_size_wh: Sequence[int] | None
    threads: int | None
    precision: str
    device: str
    compiled: bool


def open_runtime(
    weights: str | Path,
    runtime: str | None = None,
    *,
    input_size_wh: Sequence[int] | None = None,
    threads: int | None = None,
    precision: str = "float32",
    device: str = "cpu",
    compiled: bool = False,
) -> Runtime:
    """Load weights into a runtime.

    Args:
        weights: ``.safetensors`` and PyTorch checkpoints (native, numpy, torch), ``.native`` (native), ``.tflite``
            (litert) or ``.onnx`` (onnxruntime, openvino), also in a zip archive of MMDeploy; or a name that
            ``litehrnet models`` lists.
        runtime: One of ``RUNTIMES``; None for the first that is installed and accepts the file.
        input_size_wh: (width, height) of the crops if the file does not state it.
        threads: Number of CPU threads, 1 or more; None for all.
        precision: Precision of the arithmetic, one of ``PRECISIONS``. Native also supports ``bf16``, torch all three.
        device: PyTorch's name of the device, such as ``cuda`` or ``cuda:1``; torch only.
        compiled: Use ``torch.compile``; torch only.

    Raises:
        UserError: The runtime is unknown, not installed, or does not support this file, precision or device. Or the
            file is missing, damaged or of another kind, or states an input size other than ``input_size_wh``.

    Example:
        >>> from litehrnet.runtimes import open_runtime
        >>> open_runtime("lite_hrnet_18", threads=1).input_size_wh
        (192, 256)
    """
    weights, known_size_wh = find_weights(weights)
    input_size_wh = known_size_wh if input_size_wh is None else _as_size(input_size_wh)
    if not weights.is_file():
        raise UserError(f"{weights}: no such file (expected weights: .safetensors, .pth, .onnx, .tflite or .native)")
    chosen = runtime or _default_runtime(weights)
    _check_settings(chosen, precision, device, compiled)
    _check_format(weights, chosen)
    settings = (weights, input_size_wh, threads, precision, device, compiled)
    try:
        opened = _open(chosen, *settings)
    except UnsupportedUnitError as error:
        if runtime is not None:
            raise
        say_once(f"{error}: running on torch")
        opened = _open("torch", *settings)
    if input_size_wh is not None and opened.input_size_wh != input_size_wh:
        raise UserError(fixed_size_message(weights, opened.input_size_wh, input_size_wh))
    return opened


def _as_size(size_wh: Sequence[int]) -> tuple[int, int]:
    try:
        width, height = (index(side) for side in size_wh)
    except (TypeError, ValueError) as error:
        raise UserError(f"input_size_wh {size_wh!r}: not a size (expected a width and a height in pixels)") from error
    return width, height


def described_weights(weights: str | Path) -> WeightsInfo | None:
    """Read the metadata of weights; None if there are none or the file is bad: ``open_runtime`` says why.

    Example:
        >>> from litehrnet.runtimes import described_weights
        >>> described_weights("person").outputs_text
        'boxes (person)'
    """
    try:
        path = find_weights(weights).path
        match path.suffix.lower():
            case ".safetensors":
                return read_weights(path)[1]
            case ".onnx":
                return read_info(read_bytes(path), path)
            case litertfile.SUFFIX:
                return litertfile.read_info(read_bytes(path), path)
            case ".zip":
                return None
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
    if suffix == litertfile.SUFFIX:
        return "litert"
    if suffix in ONNX_SUFFIXES:
        return "onnxruntime"
    if suffix == ".native" or native_module() is not None:
        return "native"
    # PyTorch is faster than NumPy, but takes seconds to import and is only used where it is needed anyway.
    runtime = "numpy" if suffix == ".safetensors" else "torch"
    say_once(f"{ABSENT}: running on {runtime}, which is several times slower")
    return runtime


def _check_settings(runtime: str, precision: str, device: str, compiled: bool) -> None:
    if runtime not in RUNTIMES:
        raise UserError(f"{runtime}: unknown runtime (expected one of {', '.join(RUNTIMES)})")
    if precision not in PRECISIONS:
        raise UserError(f"{precision}: unknown precision (expected one of {', '.join(PRECISIONS)})")
    if runtime == "torch":
        return
    if precision != "float32" and (runtime, precision) != ("native", "bf16"):
        supported = "float32 and bf16" if runtime == "native" else "float32 only"
        raise UserError(f"precision {precision}: {runtime} supports {supported} (expected the runtime torch)")
    if device != "cpu":
        raise UserError(f"device {device}: {runtime} runs on the CPU only (expected the runtime torch)")
    if compiled:
        raise UserError(f"torch.compile: does not work with {runtime} (expected the runtime torch)")


def _check_format(weights: Path, runtime: str) -> None:
    suffix = weights.suffix.lower()
    if suffix == ".native" and runtime != "native":
        raise UserError(f"{weights}: {runtime} does not run programs of the native engine (expected native)")
    if suffix in ONNX_SUFFIXES and runtime in ("native", "numpy", "torch"):
        raise UserError(f"{weights}: {runtime} does not run ONNX models (expected .safetensors or .pth)")
    if (suffix == litertfile.SUFFIX) != (runtime == "litert"):
        kind, own = ("LiteRT models", "litert") if suffix == litertfile.SUFFIX else ("this format", ".tflite")
        raise UserError(f"{weights}: {runtime} does not run {kind} (expected {own})")
    if suffix not in (*ONNX_SUFFIXES, ".native") and runtime in ("onnxruntime", "openvino"):
        raise UserError(f"{weights}: {runtime} runs ONNX models (make one with: litehrnet export {weights})")


def _open(
    runtime: str, weights: Path, size: tuple[int, int] | None, threads: int | None, precision: str, *torch_only: Any
) -> Runtime:
    if runtime == "native":
        return open_native(weights, size, threads, precision)
    if runtime == "numpy":
        return open_numpy(weights, size)
    # Only the chosen runtime's package is imported.
    if runtime == "torch":
        from litehrnet.runtimes.torch import open_torch

        return open_torch(weights, size, threads, precision, *torch_only)
    if runtime == "litert":
        from litehrnet.runtimes.litert import LiteRtRuntime

        return LiteRtRuntime(weights, threads)
    if runtime == "openvino":
        from litehrnet.runtimes.openvino import OpenVinoRuntime

        return OpenVinoRuntime(weights, size, threads)
    from litehrnet.runtimes.onnxruntime import OnnxRuntime

    return OnnxRuntime(weights, size, threads)
