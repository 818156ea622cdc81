"""Segmentation in the commands ``litehrnet test``, ``litehrnet data check`` and ``litehrnet predict``."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.cli.options import progress_bar, refuse_options, runtime_arguments, say
from litehrnet.cli.outputs import output_folder
from litehrnet.cli.predict_photos import picture_suffix, say_moved, say_passed_over
from litehrnet.errors import UserError

if TYPE_CHECKING:
    from litehrnet.cli.inputs import Inputs
    from litehrnet.config.schema import RunConfig
    from litehrnet.data.settings import EvalConfig
    from litehrnet.inference.segmenter import Segmenter
    from litehrnet.runtimes import Runtime

LABELS = "labels"
"""Folder for label images inside the output folder."""

SHEET_SAMPLES = 12
_COLUMNS = 3


def evaluate(options: argparse.Namespace, config: "RunConfig | None", test: "EvalConfig") -> int:
    """Evaluate weights on label images, and print mIoU and the IoU of every class.

    Raises:
        UserError: A file or folder is missing or broken, or two do not belong together.
    """
    from litehrnet.evaluation.segmentation import confusion_of, read_segmentation_eval_set
    from litehrnet.segmentation.confusion import segmentation_metrics

    refuse_options(options, "segmentation", "boxes", "detector", "per_keypoint", "gallery", "worst", "gallery_out")
    segmenter = _open(options, config, test)
    images = read_segmentation_eval_set(test, segmenter.class_set)
    with progress_bar("images") as progress:
        matrix = confusion_of(segmenter, images.records, progress, options.out)
    found = segmentation_metrics(matrix, segmenter.class_set.class_names)
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    say(f"weights:    {options.weights}")
    say(f"runtime:    {segmenter.runtime.description}")
    say(f"evaluated:  {len(images.records)} images, {images.how}")
    if options.out:
        say(f"written:    label ids in {options.out}")
    if not found:
        say(f"\nno metrics: no pixel of {test.annotations} has a class")
        return 0
    _print(found)
    return 0


def _open(options: argparse.Namespace, config: "RunConfig | None", test: "EvalConfig") -> "Segmenter":
    from litehrnet.evaluation.segmentation import take_classes
    from litehrnet.inference.segmenter import open_segmenter

    arguments = runtime_arguments(options)
    if config is not None:
        arguments["input_size_wh"] = arguments["input_size_wh"] or config.input_size_wh
    segmenter = open_segmenter(options.weights, window=test.window, flip=test.flip, scales=test.scales, **arguments)
    if config is not None:
        take_classes(segmenter, config, options.weights)
    return segmenter


def _print(metrics: dict[str, float]) -> None:
    from rich.console import Console
    from rich.table import Table

    of_classes = {name: value for name, value in metrics.items() if name.startswith("IoU.")}
    table = Table("class", "IoU (%)")
    table.columns[1].justify = "right"
    for name, value in of_classes.items():
        table.add_row(name.removeprefix("IoU."), f"{100 * value:.2f}")
    table.add_section()
    table.add_row("mIoU", f"{100 * metrics['mIoU']:.2f}")
    table.add_row("pixel accuracy", f"{100 * metrics['pixel_accuracy']:.2f}")
    say("")
    Console().print(table)


def check(config: "RunConfig", sheet: Path) -> list[str]:
    """Decode all photos and label images of a recipe, and draw samples as the network sees them.

    Returns:
        Everything that is wrong with the data, one sentence each.

    Raises:
        UserError: The sheet cannot be written, or the class list cannot be read.
    """
    from litehrnet.data.formats import find_label_format
    from litehrnet.data.label_images import check_labeled_images, refuse_white_masks, unknown_ids

    problems: list[str] = []
    for role, data in config.sources():
        try:
            records = find_label_format(data.format).read(data.images, data.annotations)
            check_labeled_images(records, data.annotations)
        except UserError as error:
            problems.append(f"{role}: {error}")
            continue
        faults = unknown_ids(records, config.class_set)
        if not faults:
            try:
                refuse_white_masks(records, config.class_set, data.annotations)
            except UserError as error:
                faults.append(str(error))
        problems += [f"{role}: {fault}" for fault in faults]
        say(f"{role}: {len(records)} images in {data.images}")
    if config.train and not problems:
        _write_sheet(config, sheet)
    return problems


def _write_sheet(config: "RunConfig", path: Path) -> None:
    from litehrnet.data.contact_sheet import in_rows, spread
    from litehrnet.data.photos import PhotoCache
    from litehrnet.data.segmentation import read_segmentation_set
    from litehrnet.data.segmentation_samples import make_segmentation_batch
    from litehrnet.drawing.class_maps import tinted
    from litehrnet.io.images import write_image

    assert config.segmentation is not None
    class_set = config.class_set
    size, seed = config.input_size_wh, config.training.seed
    images = read_segmentation_set(config.train, class_set, size, config.segmentation, seed)
    indices = spread(len(images), SHEET_SAMPLES)
    batch = make_segmentation_batch(images, 0, indices, PhotoCache())
    tiles = [tinted(image, classes, class_set) for image, classes in zip(batch.images, batch.targets, strict=True)]
    write_image(path, in_rows(tiles, _COLUMNS))
    say(f"{path}: {len(indices)} of {len(images)} training samples")


def predict(options: argparse.Namespace, inputs: "Inputs", runtime: "Runtime") -> int:
    """Segment photos and write tinted pictures and label images; a bad photo does not stop the others.

    Returns:
        0, or 1 if photos were left out.

    Raises:
        UserError: The output folder cannot be used, or no photo can be read.
    """
    from litehrnet.drawing.class_maps import draw_segmentation
    from litehrnet.evaluation.segmentation import write_prediction
    from litehrnet.inference.segmenter import Segmenter
    from litehrnet.io.images import read_image, write_image

    files = inputs.photos
    # Models and programs of one input size segment photos of any size in windows.
    window = options.window or options.weights.suffix.lower() in (".onnx", ".tflite", ".native")
    segmenter = Segmenter(runtime, window=window, flip=options.flip)
    say(f"runtime: {segmenter.runtime.description}, {len(segmenter.class_set)} classes ({segmenter.class_set.name})")
    problems: list[str] = []
    with output_folder(options.out_dir, files) as out, progress_bar("photos") as progress:
        progress.start(len(files))
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
            progress.advance(1)
        if len(problems) == len(files):
            raise UserError("; ".join(problems))
    done = len(files) - len(problems)
    say(f"{out.path}: tinted pictures, and label ids in {LABELS} (photos: {done})")
    say_moved(out)
    for problem in problems:
        say(f"left out: {problem}")
    say_passed_over(inputs.passed_over)
    return 1 if problems else 0
