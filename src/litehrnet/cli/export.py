"""``litehrnet export``: an ONNX model, compared with PyTorch before it is kept."""

import argparse
from pathlib import Path

from litehrnet.cli.options import add_input_size, input_size, say, size_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``litehrnet export`` takes."""
    parser.add_argument("weights", type=Path, help=".safetensors or a PyTorch checkpoint")
    parser.add_argument("--format", choices=("onnx",), default="onnx", help="what to write (default: onnx)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: the weights' name with .onnx, here")
    add_input_size(parser)


def run(options: argparse.Namespace) -> int:
    """Export, compare, and say how equal the model is.

    Raises:
        UserError: The weights cannot be read, a package is missing, or the model's outputs differ.
    """
    from litehrnet.export.onnx import export_onnx
    from litehrnet.runtimes.onnxruntime import OnnxRuntime

    out = options.out or Path(f"{options.weights.stem}.onnx")
    comparisons = export_onnx(options.weights, out, input_size(options))
    say(f"{out}: written, input {size_text(OnnxRuntime(out).input_size_wh)}; on ONNX Runtime against PyTorch:")
    for c in comparisons:
        say(
            f"  {c.images:10} images, batch {c.batch}: heatmaps within {c.relative_error:.1e} of the largest value, "
            f"keypoints within {c.keypoint_shift:.3f} px"
        )
    return 0
