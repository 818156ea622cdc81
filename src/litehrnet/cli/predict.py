"""``litehrnet predict``: options, and the choice between photos, videos and segmentation."""

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.cli import predict_photos, predict_video, result_tables, segmentation
from litehrnet.cli.options import (
    add_runtime_options,
    check_people_options,
    local_weights,
    positive_int,
    refuse_options,
    rgb_color,
    runtime_arguments,
    score,
    seconds,
)
from litehrnet.cli.outputs import output_folder
from litehrnet.cli.predict_photos import say_passed_over
from litehrnet.errors import UserError
from litehrnet.weights.zoo import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from litehrnet.cli.inputs import Inputs
    from litehrnet.runtimes import Runtime

VIDEO_OPTIONS = {
    "start": 0.0,
    "end": None,
    "trim": None,
    "every": 1,
    "track": None,
    "smooth": False,
    "trails": False,
    "side_by_side": False,
    "show": False,
    "deeplabcut_csv": False,
    "deeplabcut_h5": False,
    "sleap": False,
}
"""Options that only work with videos and cameras, and their defaults."""

KEYPOINT_OPTIONS = (
    "boxes",
    "detector",
    "whole_image",
    "min_box_score",
    "max_persons",
    "min_keypoint_score",
    "line_width",
    "colors",
    "csv",
    "parquet",
    "openpose",
    "save_crops",
)
"""Options that do not work with segmentation weights."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet predict``."""
    parser.add_argument(
        "photos",
        nargs="+",
        metavar="PHOTO|VIDEO|FOLDER|GLOB|CAMERA|ADDRESS",
        help="photos, videos, folders or patterns; or a camera's number, or an address such as rtsp://...",
    )
    parser.add_argument(
        "--weights",
        default=DEFAULT_WEIGHTS,
        metavar="FILE|NAME|hf://...",
        help=".safetensors, .onnx, .native or a PyTorch checkpoint, a name that litehrnet models lists, or an address "
        "hf://ORGANIZATION/REPOSITORY/FILE on Hugging Face's Hub "
        "(default: the bundled weights)",
    )
    parser.add_argument(
        "--out-dir",
        type=Path,
        metavar="DIR",
        help="folder for pictures and JSON; no file of yours in it is replaced (default: a new folder, litehrnet-out)",
    )
    _add_people_options(parser.add_argument_group("people"))
    _add_drawing_options(parser.add_argument_group("drawing"))
    video = parser.add_argument_group("videos and cameras")
    video.add_argument(
        "--start", type=seconds, default=0.0, metavar="T", help="start at this time: s, mm:ss or h:mm:ss"
    )
    video.add_argument("--end", type=seconds, metavar="T", help="stop before this time")
    video.add_argument("--trim", type=seconds, nargs=2, metavar=("START", "END"), help="both: --start START --end END")
    video.add_argument("--every", type=positive_int, default=1, metavar="N", help="use only every N-th frame")
    video.add_argument(
        "--track", action=argparse.BooleanOptionalAction, help="track people and give each a stable id (default: on)"
    )
    video.add_argument(
        "--smooth", action="store_true", help="draw smoothed keypoints, and write them beside the raw ones"
    )
    video.add_argument(
        "--side-by-side", action="store_true", help="draw raw keypoints on the left and smoothed ones on the right"
    )
    video.add_argument("--trails", action="store_true", help="draw where each keypoint was in the last second")
    video.add_argument("--show", action="store_true", help="show the drawn frames in this machine's browser")
    result_tables.add_arguments(parser)
    parser.add_argument(
        "--flip", action="store_true", help="average with the mirrored crop: slightly better, half as fast"
    )
    parser.add_argument(
        "--window", action="store_true", help="segment windows of the weights' input size (default: whole photos)"
    )
    add_runtime_options(parser)


def _add_people_options(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--detector",
        type=Path,
        metavar="FILE|NAME",
        help="find people with this detector: .safetensors, .onnx or .xml, or a name that litehrnet models lists "
        "(default: the bundled one)",
    )
    group.add_argument(
        "--boxes",
        type=Path,
        metavar="FILE",
        help="one box per person: COCO annotations or results, or a table",
    )
    group.add_argument(
        "--whole-image",
        action="store_true",
        help="use no detector: each picture is a crop of one person; a video follows one person",
    )
    group.add_argument("--min-box-score", type=score, metavar="S", help="leave out boxes with a lower score, 0 to 1")
    group.add_argument(
        "--max-persons",
        type=positive_int,
        metavar="N",
        help="keep the N people with the highest box scores in each picture",
    )


def _add_drawing_options(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--min-keypoint-score",
        type=score,
        metavar="S",
        help="do not draw keypoints with a lower score, 0 to 1 (default: 0.1); the JSON contains all of them",
    )
    group.add_argument(
        "--save-crops",
        action="store_true",
        help="also write a picture of each person, undrawn; of a video, the best one of each tracked person",
    )
    group.add_argument("--line-width", type=positive_int, metavar="PIXELS", help="width of limbs (default: by size)")
    group.add_argument(
        "--colors",
        type=rgb_color,
        nargs=3,
        metavar=("LEFT", "RIGHT", "CENTER"),
        help="colors of the person's left side, right side and the rest, as RRGGBB (default: ff8c00 1ea0ff f0f0e1)",
    )


def run(options: argparse.Namespace) -> int:
    """Find keypoints in photos or videos, or segment photos; draw and write the results.

    Returns:
        0, or 1 if photos or boxes were left out.

    Raises:
        UserError: An option does not work with the given input or weights; see the functions that are called.
    """
    from litehrnet.cli.inputs import find_inputs
    from litehrnet.runtimes import open_runtime

    inputs = find_inputs(options.photos, folder_videos=options.boxes is None)
    given = [name for name, default in VIDEO_OPTIONS.items() if getattr(options, name) != default]
    if given and not inputs.sources:
        name = given[0].replace("_", "-")
        raise UserError(f"--{name}: only works with video or camera input (expected a video or a camera)")
    if options.trim is not None:
        if "start" in given or "end" in given:
            raise UserError("--trim: states both ends (expected no --start and --end)")
        options.start, options.end = options.trim
    check_people_options(options, "boxes", "detector", "whole-image")
    options.weights = local_weights(options.weights)
    runtime = open_runtime(options.weights, **runtime_arguments(options))
    if runtime.info.segments:
        refuse_options(options, "segmentation", *KEYPOINT_OPTIONS)
        inputs = find_inputs(options.photos, folder_videos=False)
        if inputs.sources:
            name = inputs.sources[0].name
            raise UserError(f"{name}: a video, and {options.weights} only segments photos (expected photos)")
        return segmentation.predict(options, inputs, runtime)
    if options.window:
        raise UserError("--window: only works with segmentation weights, and these weights find keypoints")
    if inputs.sources:
        predict_video.check(options, inputs)
    return _predict(options, inputs, runtime)


def _predict(options: argparse.Namespace, inputs: "Inputs", runtime: "Runtime") -> int:
    """Predict the photos first and then the videos, also if no photo can be used."""
    code = 0
    problems: list[str] = []
    videos = [source.path for source in inputs.sources if source.path is not None]
    with output_folder(options.out_dir, [*inputs.photos, *videos]) as out:
        with _collected(problems):
            if inputs.photos:
                code = predict_photos.run(options, inputs.photos, runtime, out)
        with _collected(problems):
            if inputs.sources:
                predict_video.run(options, inputs.sources, runtime, out)
    say_passed_over(inputs.passed_over)
    if problems:
        raise UserError("; ".join(problems))
    return code


@contextlib.contextmanager
def _collected(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        problems.append(str(error))
