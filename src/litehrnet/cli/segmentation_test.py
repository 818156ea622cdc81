"""``litehrnet test`` for segmentation: weights against label images, mIoU and the IoU of every class."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.cli.options import progress_bar, require_pair, runtime_arguments, say
from litehrnet.cli.segmentation_predict import refuse_keypoint_options
from litehrnet.errors import UserError

if TYPE_CHECKING:
    from litehrnet.config.schema import RunConfig, TestConfig
    from litehrnet.inference.segmenter import Segmenter


def is_segmentation(options: argparse.Namespace, config: "RunConfig | None") -> bool:
    """Whether the command line is about segmentation: by its recipe, else because its annotations are a folder."""
    if config is not None:
        return config.segmentation is not None
    return bool(options.annotations) and Path(options.annotations).is_dir()


def run(options: argparse.Namespace, config: "RunConfig | None") -> int:
    """Test and print the table.

    Raises:
        UserError: Something that was named is missing, broken, or does not belong together.
    """
    from litehrnet.evaluation.segmentation import confusion_of, read_segmentation_test
    from litehrnet.segmentation.confusion import figures

    refuse_keypoint_options(options, "boxes", "detector", "per_keypoint", "gallery", "worst", "gallery_out")
    test = _what_to_test(options, config)
    segmenter = _open(options, config, test)
    read = read_segmentation_test(test, segmenter.class_set)
    with progress_bar("images") as started:
        matrix = confusion_of(segmenter, read.records, started(len(read.records)), options.out)
    found = figures(matrix, segmenter.class_set.class_names)
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    say(f"weights:    {options.weights}")
    say(f"runtime:    {segmenter.runtime.description}")
    say(f"tested:     {len(read.records)} images, {read.how}")
    if options.out:
        say(f"written:    label ids in {options.out}")
    if not found:
        say(f"\nno figures: no pixel of {test.annotations} has a class")
        return 0
    _print(found)
    return 0


def _what_to_test(options: argparse.Namespace, config: "RunConfig | None") -> "TestConfig":
    from litehrnet.config.schema import TestConfig

    if config is None:
        require_pair(options.annotations, options.images, "--annotations and --images")
        cities = any(Path(options.annotations).glob("*/*_gtFine_labelIds.png"))
        return TestConfig("cityscapes" if cities else "folder", options.annotations, options.images, flip=False)
    test = config.tested_on
    return replace(
        test,
        annotations=options.annotations or test.annotations,
        images=options.images or test.images,
        flip=test.flip and not options.no_flip,
    )


def _open(options: argparse.Namespace, config: "RunConfig | None", test: "TestConfig") -> "Segmenter":
    from litehrnet.inference.segmenter import open_segmenter

    arguments = runtime_arguments(options)
    if config is not None:
        arguments["input_size_wh"] = arguments["input_size_wh"] or config.input_size_wh
    segmenter = open_segmenter(options.weights, window=test.window, flip=test.flip, scales=test.scales, **arguments)
    if config is not None:
        take_classes(segmenter, config, options.weights)
    return segmenter


def take_classes(segmenter: "Segmenter", config: "RunConfig", weights: Path) -> None:
    """See that a segmenter is of a configuration's network and classes; these, with their label ids, are its own then.

    Args:
        segmenter: Of ``weights``.
        config: Of a network that segments.
        weights: For messages.

    Raises:
        UserError: It is of another network or of other classes.
    """
    from litehrnet.segmentation.classes import find_class_set, unnamed_classes

    assert config.segmentation is not None
    info, wanted = segmenter.runtime.info, find_class_set(config.segmentation.classes)
    if info.variant not in (None, config.variant):
        raise UserError(f"{weights}: weights of {info.variant} (expected {config.variant}, as {config.name} says)")
    own = segmenter.class_set
    named = own != unnamed_classes(len(own))  # a checkpoint does not know what its classes are called
    if len(wanted) != len(own) or (named and wanted.class_names != own.class_names):
        raise UserError(
            f"{weights}: has {len(own)} classes, {', '.join(own.class_names[:3])} ... (expected the "
            f"{len(wanted)} of {wanted.name}, {', '.join(wanted.class_names[:3])} ...)"
        )
    segmenter.class_set = wanted


def _print(figures: dict[str, float]) -> None:
    from rich.console import Console
    from rich.table import Table

    of_classes = {name: value for name, value in figures.items() if name.startswith("IoU.")}
    table = Table("class", "IoU (%)")
    table.columns[1].justify = "right"
    for name, value in of_classes.items():
        table.add_row(name.removeprefix("IoU."), f"{100 * value:.2f}")
    table.add_section()
    table.add_row("mIoU", f"{100 * figures['mIoU']:.2f}")
    table.add_row("pixel accuracy", f"{100 * figures['pixel_accuracy']:.2f}")
    say("")
    Console().print(table)
