"""``litehrnet predict``: photos in; drawn pictures and COCO-results JSON out.

Videos go on to ``predict_video``, weights of segmentation to ``segmentation_predict``.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litehrnet.cli import predict_video, segmentation_predict
from litehrnet.cli.options import (
    add_runtime_options,
    positive_int,
    progress_bar,
    runtime_arguments,
    say,
    seconds,
    size_text,
)
from litehrnet.errors import UserError
from litehrnet.library import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from litehrnet.inference.boxes import BoxFile
    from litehrnet.inference.detector import Detector
    from litehrnet.inference.estimator import Photo

RESULTS = "keypoints.json"
VIDEO_OPTIONS = {"start": 0.0, "end": None, "every": 1, "track": None, "smooth": False, "show": False}
"""Options that photos do not have, and their defaults."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``litehrnet predict`` takes."""
    parser.add_argument(
        "photos",
        nargs="+",
        metavar="PHOTO|FOLDER|GLOB|VIDEO|CAMERA|ADDRESS",
        help="what to find people in: photos; or one video file, a camera's number, or an address such as rtsp://...",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        default=Path(DEFAULT_WEIGHTS),
        help=".safetensors, .onnx, .native or a PyTorch checkpoint, or a name that litehrnet models lists "
        "(default: those in the box)",
    )
    parser.add_argument("--boxes", type=Path, metavar="JSON", help="one box per person, as COCO annotations or results")
    parser.add_argument(
        "--detector",
        type=Path,
        metavar="FILE|NAME",
        help="a detector that finds the persons: its .onnx or .xml, or a name that litehrnet models lists",
    )
    parser.add_argument("--out-dir", type=Path, required=True, metavar="DIR", help="folder for pictures and JSON")
    video = parser.add_argument_group("of videos and cameras")
    video.add_argument("--start", type=seconds, default=0.0, metavar="S", help="seconds of the first frame")
    video.add_argument("--end", type=seconds, metavar="S", help="seconds before which the last frame is")
    video.add_argument("--every", type=positive_int, default=1, metavar="N", help="every N-th frame only")
    video.add_argument(
        "--track", action=argparse.BooleanOptionalAction, help="give each person an id that stays (default: on)"
    )
    video.add_argument("--smooth", action="store_true", help="draw smoothed keypoints, written beside the raw ones")
    video.add_argument("--show", action="store_true", help="show the drawn frames on a page of this machine's browser")
    parser.add_argument("--flip", action="store_true", help="average with the mirrored crop: better, half as fast")
    parser.add_argument(
        "--window", action="store_true", help="segment windows of the weights' input size (default: whole photos)"
    )
    add_runtime_options(parser)


def run(options: argparse.Namespace) -> int:
    """Predict, draw and write: photos, a video, or with weights of segmentation classes of photos.

    Returns:
        0, or 1 if photos were left out.

    Raises:
        UserError: An option is for something else than what was named; see what is called.
    """
    from litehrnet.inference.inputs import find_images
    from litehrnet.runtimes import segments
    from litehrnet.video.sources import find_source

    segmenting = segments(options.weights)
    if options.window and not segmenting:
        raise UserError("--window: is for networks that segment, and this one finds keypoints")
    sources = [source for source in map(find_source, options.photos) if source is not None]
    if sources and segmenting:
        raise UserError(f"{sources[0].name}: a video, and {options.weights} segments photos alone (expected photos)")
    if sources:
        return predict_video.run(options, sources[0])
    given = [name for name, default in VIDEO_OPTIONS.items() if getattr(options, name) != default]
    if given:
        raise UserError(f"--{given[0]}: is for keypoints in videos and cameras (expected one of them, or none of it)")
    if segmenting:
        return segmentation_predict.run(options, _output_names(find_images(options.photos), options.out_dir))
    return predict_photos(options)


def predict_photos(options: argparse.Namespace) -> int:
    """Find keypoints in photos; a bad photo among several does not stop the others.

    Returns:
        0, or 1 if photos were left out.

    Raises:
        UserError: Weights, boxes or output folder cannot be used, or no photo can.
    """
    from litehrnet.files import make_folder, write_bytes
    from litehrnet.images import write_image
    from litehrnet.inference.boxes import read_boxes
    from litehrnet.inference.detector import open_detector
    from litehrnet.inference.draw import draw_poses
    from litehrnet.inference.estimator import PoseEstimator
    from litehrnet.inference.inputs import find_images

    if options.boxes and options.detector:
        raise UserError("--boxes and --detector: both name the persons (expected one of the two)")
    files = find_images(options.photos)
    boxes = read_boxes(options.boxes) if options.boxes else None
    detector = open_detector(options.detector, threads=options.threads) if options.detector else None
    estimator = PoseEstimator(options.weights, flip_test=options.flip, detector=detector, **runtime_arguments(options))
    out_dir = make_folder(options.out_dir)
    say(f"runtime: {estimator.runtime.description}, input {size_text(estimator.runtime.input_size_wh)}")
    if detector is not None:
        say(f"detector: {detector.description}")
    elif boxes is None:
        say("no boxes given: the whole picture is taken as one person's box (--detector or --boxes names the persons)")
    problems: list[str] = []
    results: list[dict[str, Any]] = []
    drawn = _output_names(files, out_dir)
    with progress_bar("photos") as started:
        advance = started(len(files))
        for photo, poses in estimator.predict_many(_read(files, boxes, detector, problems)):
            file = Path(photo.name)
            write_image(drawn[file], draw_poses(photo.image, poses))
            number = _image_id(file, files, boxes)
            results += [{**entry, "file_name": file.name} for entry in poses.to_coco(number)]
            advance(1)
    if len(problems) == len(files):
        raise UserError("; ".join(problems))
    write_bytes(out_dir / RESULTS, (json.dumps(results, indent=1) + "\n").encode())
    done = len(files) - len(problems)
    say(f"{out_dir}: {RESULTS} and drawn pictures (photos: {done}, persons: {len(results)})")
    for problem in problems:
        say(f"left out: {problem}")
    return 1 if problems else 0


def _read(
    files: list[Path], boxes: "BoxFile | None", detector: "Detector | None", problems: list[str]
) -> Iterator["Photo"]:
    """The photos that can be read, one by one; what is wrong with the others goes to ``problems``."""
    from litehrnet.inference.estimator import make_photo

    for file in files:
        try:
            if boxes is None:
                yield make_photo(file, detector=detector)
            else:
                own = boxes.of(file)
                yield make_photo(file, own.boxes, own.scores)
        except UserError as error:
            problems.append(str(error))


def _image_id(file: Path, files: list[Path], boxes: "BoxFile | None") -> int:
    """COCO's number of a photo: from the box file or the photo's name, else its place in the list, from 1."""
    from litehrnet.inference.boxes import number_of

    number = boxes.of(file).image_id if boxes is not None else number_of(file)
    return files.index(file) + 1 if number is None else number


def _output_names(files: list[Path], out_dir: Path) -> dict[Path, Path]:
    """A picture's name for each photo; photos of one name from several folders are numbered."""
    names: dict[Path, Path] = {}
    taken = {file.resolve() for file in files}
    for file in files:
        suffix = file.suffix if file.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp") else ".png"
        candidate, number = out_dir / f"{file.stem}{suffix}", 1
        # Never over an input: --out-dir may be the photos' own folder.
        while candidate.resolve() in taken:
            number += 1
            candidate = out_dir / f"{file.stem}-{number}{suffix}"
        taken.add(candidate.resolve())
        names[file] = candidate
    return names
