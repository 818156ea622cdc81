"""The runtimes behind one Protocol. One that is asked for and absent is an error, never silently another."""

from pathlib import Path

from litehrnet.errors import UserError
from litehrnet.runtimes.protocol import Runtime

RUNTIMES = ("onnxruntime", "openvino", "torch")

__all__ = ["RUNTIMES", "Runtime", "open_runtime"]


def open_runtime(
    weights: Path,
    runtime: str | None = None,
    *,
    input_size_wh: tuple[int, int] | None = None,
    threads: int | None = None,
) -> Runtime:
    """Load weights into a runtime.

    Args:
        weights: ``.onnx`` (onnxruntime, openvino), or ``.safetensors`` and PyTorch checkpoints (torch).
        runtime: One of ``RUNTIMES``; None for onnxruntime or torch, whichever takes the file.
        input_size_wh: (width, height) of the crops where the file does not say it.
        threads: CPU threads, 1 or more; None for all.

    Raises:
        UserError: The runtime is unknown, not installed, or not one for this kind of file; the file is missing,
            damaged or of another kind; the file says another input size than ``input_size_wh``.
    """
    if not weights.is_file():
        raise UserError(f"{weights}: no such file (expected weights: .onnx, .safetensors or .pth)")
    is_onnx = weights.suffix.lower() == ".onnx"
    runtime = runtime or ("onnxruntime" if is_onnx else "torch")
    if runtime not in RUNTIMES:
        raise UserError(f"{runtime}: no such runtime (expected one of {', '.join(RUNTIMES)})")
    if is_onnx and runtime == "torch":
        raise UserError(f"{weights}: torch does not run ONNX models (expected .safetensors or .pth)")
    if not is_onnx and runtime != "torch":
        raise UserError(f"{weights}: {runtime} runs ONNX models (make one with: litehrnet export {weights})")
    opened = _open(weights, runtime, input_size_wh, threads)
    if input_size_wh is not None and opened.input_size_wh != input_size_wh:
        width, height = opened.input_size_wh
        raise UserError(
            f"{weights}: is for {width}x{height} input (width x height), not {input_size_wh[0]}x{input_size_wh[1]}"
        )
    return opened


def _open(weights: Path, runtime: str, input_size_wh: tuple[int, int] | None, threads: int | None) -> Runtime:
    # Imported here: only the chosen runtime's package is loaded.
    if runtime == "torch":
        from litehrnet.runtimes.torch import open_torch

        return open_torch(weights, input_size_wh, threads)
    if runtime == "openvino":
        from litehrnet.runtimes.openvino import OpenVinoRuntime

        return OpenVinoRuntime(weights, input_size_wh, threads)
    from litehrnet.runtimes.onnxruntime import OnnxRuntime

    return OnnxRuntime(weights, input_size_wh, threads)
