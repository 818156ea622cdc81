"""``litehrnet predict``: photos in; drawn pictures and COCO-results JSON out."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litehrnet.cli.options import add_runtime_options, progress_bar, runtime_arguments, say, size_text
from litehrnet.errors import UserError
from litehrnet.library import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from litehrnet.inference.boxes import BoxFile
    from litehrnet.inference.detector import Detector
    from litehrnet.inference.estimator import Photo

RESULTS = "keypoints.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``litehrnet predict`` takes."""
    parser.add_argument("photos", nargs="+", metavar="PHOTO|FOLDER|GLOB", help="what to find people in")
    parser.add_argument(
        "--weights",
        type=Path,
        default=Path(DEFAULT_WEIGHTS),
        help=".safetensors, .onnx, .native or a PyTorch checkpoint, or a name that litehrnet models lists "
        "(default: those in the box)",
    )
    parser.add_argument("--boxes", type=Path, metavar="JSON", help="one box per person, as COCO annotations or results")
    parser.add_argument(
        "--detector", type=Path, metavar="FILE", help="a detector's .onnx or .xml that finds the persons"
    )
    parser.add_argument("--out-dir", type=Path, required=True, metavar="DIR", help="folder for pictures and JSON")
    parser.add_argument("--flip", action="store_true", help="average with the mirrored crop: better, half as fast")
    add_runtime_options(parser)


def run(options: argparse.Namespace) -> int:
    """Predict, draw and write; a bad photo among several does not stop the others.

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
