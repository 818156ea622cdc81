"""``litehrnet predict`` with weights that segment: tinted pictures and label images out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.cli.options import progress_bar, runtime_arguments, say
from litehrnet.errors import UserError

if TYPE_CHECKING:
    from litehrnet.inference.segmenter import Segmenter

LABELS = "labels"
"""Folder inside the output folder."""


def run(options: argparse.Namespace, drawn: dict[Path, Path]) -> int:
    """Segment, draw and write; a bad photo among several does not stop the others.

    Args:
        options: Of ``litehrnet predict``.
        drawn: The photos, and the picture to write for each.

    Returns:
        0, or 1 if photos were left out.

    Raises:
        UserError: Weights or output folder cannot be used, an option is for keypoints only, or no photo can be read.
    """
    from litehrnet.evaluation.segmentation import write_prediction
    from litehrnet.files import make_folder
    from litehrnet.images import read_image, write_image
    from litehrnet.inference.overlay import draw_segmentation

    refuse_keypoint_options(options, "boxes", "detector")
    segmenter = open_for_photos(options)
    make_folder(options.out_dir)
    say(f"runtime: {segmenter.runtime.description}, {len(segmenter.class_set)} classes ({segmenter.class_set.name})")
    problems: list[str] = []
    with progress_bar("photos") as started:
        advance = started(len(drawn))
        for file, picture in drawn.items():
            try:
                image = read_image(file)
            except UserError as error:
                problems.append(str(error))
                continue
            classes = segmenter.segment(image)
            write_image(picture, draw_segmentation(image, classes, segmenter.class_set))
            write_prediction(options.out_dir / LABELS, picture, classes, segmenter.class_set)
            advance(1)
    if len(problems) == len(drawn):
        raise UserError("; ".join(problems))
    done = len(drawn) - len(problems)
    say(f"{options.out_dir}: tinted pictures, and label ids in {LABELS} (photos: {done})")
    for problem in problems:
        say(f"left out: {problem}")
    return 1 if problems else 0


def open_for_photos(options: argparse.Namespace) -> "Segmenter":
    """The segmenter for photos of any size: models and programs for one size go over them in windows."""
    from litehrnet.inference.segmenter import open_segmenter

    arguments = runtime_arguments(options)
    one_size = options.weights.suffix.lower() in (".onnx", ".native")
    return open_segmenter(options.weights, window=options.window or one_size, flip=options.flip, **arguments)


def refuse_keypoint_options(options: argparse.Namespace, *names: str) -> None:
    """Refuse options that mean nothing to a network that segments.

    Raises:
        UserError: One is given.
    """
    for name in names:
        if getattr(options, name):
            raise UserError(
                f"--{name.replace('_', '-')}: is for networks that find keypoints (expected weights of one)"
            )
