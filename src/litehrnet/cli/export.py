"""``litehrnet export``: write an ONNX model, after comparing it with PyTorch, or a program for the native engine."""

import argparse
from pathlib import Path

from litehrnet.cli.options import add_input_size, input_size, say, size_text
from litehrnet.engine.listing import totals_text
from litehrnet.errors import UserError
from litehrnet.export.native import export_native
from litehrnet.export.onnx import export_onnx
from litehrnet.runtimes.onnxruntime import OnnxRuntime


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet export``."""
    parser.add_argument("weights", type=Path, help=".safetensors or a PyTorch checkpoint")
    parser.add_argument("--format", choices=("onnx", "native"), default="onnx", help="output format (default: onnx)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="output file (default: the weights' name with .onnx or .native, in this folder)",
    )
    parser.add_argument("--half", action="store_true", help="onnx only: store weights as float16, rounded to 11 bits")
    add_input_size(parser)


def run(options: argparse.Namespace) -> int:
    """Export, compare, and print the differences.

    Raises:
        UserError: The weights cannot be read, a package is missing, or the model's outputs differ.
    """
    out = options.out or Path(f"{options.weights.stem}.{options.format}")
    if options.format == "native":
        if options.half:
            raise UserError("--half: only works with --format onnx (programs of the native engine store float32)")
        return _export_native(options, out)
    comparisons = export_onnx(options.weights, out, input_size(options), half=options.half)
    written = OnnxRuntime(out)
    segmented = written.info.segments
    say(f"{out}: written, input {size_text(written.input_size_wh)}; on ONNX Runtime against PyTorch:")
    for c in comparisons:
        what = "scores" if segmented else "maps" if written.info.detects else "heatmaps"
        finds = "sides of boxes" if written.info.detects else "keypoints"
        places = "every pixel of the same class" if segmented else f"{finds} within {c.keypoint_shift:.3f} px"
        error = f"{what} within {c.relative_error:.1e} of the largest value"
        say(f"  {c.images:10} images, batch {c.batch}: {error}, {places}")
    return 0


def _export_native(options: argparse.Namespace, out: Path) -> int:
    say(f"{out}: written, {totals_text(export_native(options.weights, out, input_size(options)))}")
    return 0
