"""``litehrnet export``: an ONNX model, compared with PyTorch; a program for the native engine; a file for browsers."""

import argparse
from pathlib import Path

from litehrnet.cli.options import add_input_size, input_size, say, size_text
from litehrnet.engine.listing import totals_text
from litehrnet.engine.webfile import SUFFIX as WEB_SUFFIX
from litehrnet.errors import UserError
from litehrnet.export.native import export_native
from litehrnet.export.onnx import export_onnx
from litehrnet.io.files import write_bytes
from litehrnet.optional import require
from litehrnet.runtimes.onnxruntime import OnnxRuntime


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet export``."""
    parser.add_argument("weights", type=Path, help=".safetensors or a PyTorch checkpoint")
    parser.add_argument(
        "--format", choices=("onnx", "native", "web"), default="onnx", help="output format (default: onnx)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="output file (default: the weights' name with .onnx, .native or .litehrnet, in this folder)",
    )
    parser.add_argument("--half", action="store_true", help="onnx only: store weights as float16, rounded to 11 bits")
    add_input_size(parser)


def run(options: argparse.Namespace) -> int:
    """Export, compare, and print the differences.

    Raises:
        UserError: The weights cannot be read, a package is missing, or the model's outputs differ.
    """
    suffix = WEB_SUFFIX if options.format == "web" else f".{options.format}"
    out = options.out or Path(f"{options.weights.stem}{suffix}")
    if options.half and options.format != "onnx":
        raise UserError("--half: only works with --format onnx (native programs store float32; web files 11 bits)")
    if options.format == "native":
        return _export_native(options, out)
    if options.format == "web":
        return _export_web(options, out)
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


def _export_web(options: argparse.Namespace, out: Path) -> int:
    require("tornado", "serve", "litehrnet export --format web")
    from litehrnet.serving.liveview import network_file, open_model, open_page_detector

    model = open_model(options.weights, input_size(options))
    detector = open_page_detector(None, model.info.keypoint_set)
    write_bytes(out, network_file(model, detector))
    also = "" if detector is None else ", with the bundled detector of people"
    say(f"{out}: written, {out.stat().st_size / 1e6:.1f} MB, input {size_text(model.input_size_wh)}{also}")
    return 0
