"""``litehrnet test`` for detectors: boxes against annotated boxes, average precision and recall."""

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


def is_detection(options: argparse.Namespace, config: "RunConfig | None") -> bool:
    """Whether the command line is about detection: by its recipe, otherwise by its weights."""
    from litehrnet.runtimes import described_weights

    if config is not None:
        return config.detection is not None
    info = described_weights(options.weights)
    return info is not None and info.detects


def run(options: argparse.Namespace, config: "RunConfig | None") -> int:
    """Test and print the table.

    Raises:
        UserError: Something that was named is missing, broken, or does not belong together.
    """
    from litehrnet.detectors.box_detector import BoxDetector
    from litehrnet.evaluation.detection import MIN_SCORE, box_figures, found_boxes, read_detection_test
    from litehrnet.runtimes import described_weights, open_runtime

    refuse_keypoint_options(options, "boxes", "detector", "per_keypoint", "gallery", "worst", "gallery_out", "out")
    info = described_weights(options.weights)
    if info is not None and not info.detects:
        raise UserError(f"{options.weights}: finds {info.outputs_text} (expected a detector's weights)")
    arguments = runtime_arguments(options)
    if config is not None:
        arguments["input_size_wh"] = arguments["input_size_wh"] or config.input_size_wh
    runtime = open_runtime(options.weights, **arguments)
    detector = BoxDetector(runtime, MIN_SCORE, str(options.weights))
    test = read_detection_test(_what_to_test(options, config), runtime.info.outputs.name)
    with progress_bar("photos") as started:
        found = found_boxes(detector, test.records, started(len(test.records)))
    figures = box_figures(test, found)
    if options.json:
        sys.stdout.write(json.dumps(figures) + "\n")
        return 0
    objects = sum(len(record.corners) for record in test.records)
    say(f"weights:    {options.weights}")
    say(f"detector:   {detector.description}")
    say(f"tested:     {objects} boxes ({test.objects}) in {len(test.records)} photos")
    say("\nCOCO box AP")
    _print(figures)
    return 0


def _what_to_test(options: argparse.Namespace, config: "RunConfig | None") -> "TestConfig":
    from litehrnet.config.schema import TestConfig

    if config is None:
        require_pair(options.annotations, options.images, "--annotations and --images")
        return TestConfig("coco", options.annotations, options.images)
    test = config.tested_on
    if options.annotations:  # lists of photos of the configuration belong to its own annotations
        test = replace(test, only=None, without=None)
    return replace(test, annotations=options.annotations or test.annotations, images=options.images or test.images)


def _print(figures: dict[str, float | None]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("figure", "value")
    table.columns[1].justify = "right"
    for name, value in figures.items():
        table.add_row(name, "none" if value is None else f"{value:.4f}")
    Console().print(table)


def check(config: "RunConfig", sheet: Path) -> int:
    """Check the data of a detection recipe for ``litehrnet data check``, and draw samples as they are trained on.

    Returns:
        0, or 1 if anything is wrong with the data.

    Raises:
        UserError: The sheet cannot be written.
    """
    from litehrnet.data.checks import check_boxes, check_photo
    from litehrnet.data.detection import read_detection_set
    from litehrnet.drawing.contact_sheet import detection_sheet
    from litehrnet.io.images import write_image

    assert config.detection is not None
    problems: list[str] = []
    sources: dict[tuple[str, str], list[str]] = {}  # the roles of each file: it is looked at once
    for i, data in enumerate(config.train):
        sources.setdefault((data.annotations, data.images), []).append(f"train.{i}")
    for name, test in (("validation", config.validation), ("test", config.test)):
        if test is not None:
            sources.setdefault((test.annotations, test.images), []).append(name)
    for (annotations, images), roles in sources.items():
        role = ", ".join(roles)
        report = check_boxes(Path(annotations), Path(images), config.detection.objects)
        for photo in report.photos:
            report.problems += check_photo(photo)
        problems += [f"{role}: {problem}" for problem in report.problems]
        say(
            f"{role}: {annotations}: {report.persons} boxes, {len(report.photos)} photos, "
            f"{len(report.problems)} problems"
        )
    if config.train and not problems:
        detection_set = read_detection_set(config.train, config.detection, config.input_size_wh, config.training.seed)
        write_image(sheet, detection_sheet(detection_set))
        say(f"{sheet}: samples as they are trained on")
    for problem in problems:
        say(problem)
    say(f"{len(problems)} problems" if problems else "no problems")
    return 1 if problems else 0
