"""``litehrnet predict`` with weights that segment: tinted pictures and label images out."""

import argparse
from typing import TYPE_CHECKING

from litehrnet.cli.options import progress_bar, runtime_arguments, say
from litehrnet.cli.outputs import output_folder
from litehrnet.cli.predict_photos import picture_suffix, say_moved, say_passed_over
from litehrnet.errors import UserError

if TYPE_CHECKING:
    from litehrnet.inference.segmenter import Segmenter

LABELS = "labels"
"""Folder inside the output folder."""


def run(options: argparse.Namespace) -> int:
    """Segment, draw and write; a bad photo among several does not stop the others.

    Args:
        options: See ``litehrnet.cli.predict``.

    Returns:
        0, or 1 if photos were left out.

    Raises:
        UserError: Weights or output folder cannot be used, an option is for keypoints only, or no photo can be read.
    """
    from litehrnet.cli.inputs import find_images
    from litehrnet.drawing.class_maps import draw_segmentation
    from litehrnet.evaluation.segmentation import write_prediction
    from litehrnet.io.images import read_image, write_image

    files = find_images(options.photos)
    segmenter = open_for_photos(options)
    say(f"runtime: {segmenter.runtime.description}, {len(segmenter.class_set)} classes ({segmenter.class_set.name})")
    problems: list[str] = []
    with output_folder(options.out_dir, files) as out, progress_bar("photos") as started:
        advance = started(len(files))
        for file in files:
            try:
                image = read_image(file)
            except UserError as error:
                problems.append(str(error))
                continue
            picture, labels = out.choose(file.stem, "{}" + picture_suffix(file), LABELS + "/{}.png")
            classes = segmenter.segment(image)
            write_image(picture, draw_segmentation(image, classes, segmenter.class_set))
            write_prediction(labels.parent, labels, classes, segmenter.class_set)
            out.record(picture, labels)
            advance(1)
        if len(problems) == len(files):
            raise UserError("; ".join(problems))
    done = len(files) - len(problems)
    say(f"{out.path}: tinted pictures, and label ids in {LABELS} (photos: {done})")
    say_moved(out)
    for problem in problems:
        say(f"left out: {problem}")
    say_passed_over(options.photos)
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
        if getattr(options, name) not in (None, False):
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option}: is for networks that find keypoints (expected weights of one)")
