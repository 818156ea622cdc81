"""``litehrnet export``: an ONNX or LiteRT model, compared with PyTorch; an engine program; a file for browsers."""

import argparse
from pathlib import Path

from litehrnet.cli.options import add_input_size, input_size, say, size_text
from litehrnet.engine.listing import totals_text
from litehrnet.engine.webfile import SUFFIX as WEB_SUFFIX
from litehrnet.errors import UserError
from litehrnet.export.litert import export_litert
from litehrnet.export.native import export_native
from litehrnet.export.onnx import Comparison, export_onnx
from litehrnet.io.files import write_bytes
from litehrnet.optional import require
from litehrnet.runtimes import open_runtime

_SUFFIXES = {"onnx": ".onnx", "tflite": ".tflite", "native": ".native", "web": WEB_SUFFIX}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet export``."""
    parser.add_argument("weights", type=Path, help=".safetensors or a PyTorch checkpoint")
    parser.add_argument("--format", choices=_SUFFIXES, help="output format (default: by the suffix of --out, or onnx)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="output file (default: the weights' name with .onnx, .tflite, .native or .litehrnet, in this folder)",
    )
    parser.add_argument(
        "--half", action="store_true", help="onnx and tflite: store weights as float16, rounded to 11 bits"
    )
    add_input_size(parser)


def run(options: argparse.Namespace) -> int:
    """Export, compare, and print the differences.

    Raises:
        UserError: The weights cannot be read, a package is missing, or the model's outputs differ.
    """
    chosen = options.format or _format_of(options.out)
    out = options.out or Path(f"{options.weights.stem}{_SUFFIXES[chosen]}")
    if options.half and chosen not in ("onnx", "tflite"):
        raise UserError(
            "--half: only works with --format onnx or tflite (native programs store float32; web files 11 bits)"
        )
    if chosen == "native":
        return _export_native(options, out)
    if chosen == "web":
        return _export_web(options, out)
    export, runtime = (export_litert, "litert") if chosen == "tflite" else (export_onnx, "onnxruntime")
    _report(export(options.weights, out, input_size(options), half=options.half), out, runtime)
    return 0


def _format_of(out: Path | None) -> str:
    suffix = "" if out is None else out.suffix.lower()
    return next((name for name, usual in _SUFFIXES.items() if usual == suffix), "onnx")


def _report(comparisons: list[Comparison], out: Path, runtime: str) -> None:
    written = open_runtime(out, runtime)
    name = "LiteRT" if runtime == "litert" else "ONNX Runtime"
    say(f"{out}: written, input {size_text(written.input_size_wh)}; on {name} against PyTorch:")
    for c in comparisons:
        what = "scores" if written.info.segments else "maps" if written.info.detects else "heatmaps"
        finds = "sides of boxes" if written.info.detects else "keypoints"
        shifts = f"{finds} within {c.keypoint_shift:.3f} px"
        places = "every pixel of the same class" if written.info.segments else shifts
        error = f"{what} within {c.relative_error:.1e} of the largest value"
        say(f"  {c.images:10} images, batch {c.batch}: {error}, {places}")


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
