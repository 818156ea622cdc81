"""Detection in the commands ``litehrnet test`` and ``litehrnet data check``."""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from litehrnet.cli.options import progress_bar, refuse_options, runtime_arguments, say
from litehrnet.cli.tables import print_metrics
from litehrnet.config.schema import RunConfig
from litehrnet.data.checks import check_boxes, check_photo
from litehrnet.data.contact_sheet import detection_sheet
from litehrnet.data.detection import read_detection_set
from litehrnet.data.formats import BOX_FORMATS
from litehrnet.data.settings import EvalConfig
from litehrnet.detectors.box_detector import BoxDetector
from litehrnet.errors import UserError
from litehrnet.evaluation.detection import MIN_SCORE, box_metrics, found_boxes, read_detection_eval_set
from litehrnet.io.images import write_image
from litehrnet.runtimes import open_runtime


def evaluate(options: argparse.Namespace, config: RunConfig | None, test: EvalConfig) -> int:
    """Evaluate a detector on annotated boxes, and print average precision and recall.

    Raises:
        UserError: A file is missing or broken, or two do not belong together.
    """
    refuse_options(options, "detection", "boxes", "detector", "per_keypoint", "gallery", "worst", "gallery_out", "out")
    runtime = open_runtime(options.weights, **runtime_arguments(options))
    if not runtime.info.detects:
        raise UserError(f"{options.weights}: finds {runtime.info.outputs_text} (expected the weights of a detector)")
    # A detector runs at any size: the recipe's, if there is one. The line below "weights" prints it.
    if config is not None and options.input_size is None and runtime.input_size_wh != config.input_size_wh:
        runtime = runtime.resized(config.input_size_wh)
    detector = BoxDetector(runtime, MIN_SCORE, str(options.weights))
    photos = read_detection_eval_set(test, runtime.info.outputs.name)
    with progress_bar("photos") as progress:
        found = found_boxes(detector, photos.records, progress)
    metrics = box_metrics(photos, found)
    if options.json:
        sys.stdout.write(json.dumps(metrics) + "\n")
        return 0
    objects, metric = sum(len(record.corners) for record in photos.records), BOX_FORMATS[test.format]
    say(f"weights:    {options.weights}")
    say(f"detector:   {detector.description}")
    say(f"evaluated:  {objects} boxes ({photos.objects}) in {len(photos.records)} photos")
    say(f"\n{metric.title}")
    print_metrics(Console(), metrics, metric.digits)
    return 0


def check(config: RunConfig, sheet: Path) -> list[str]:
    """Check boxes and photos of a recipe, and draw samples as the network sees them.

    Returns:
        Everything that is wrong with the data, one sentence each.

    Raises:
        UserError: The sheet cannot be written.
    """
    assert config.detection is not None
    problems: list[str] = []
    roles: dict[tuple[str, str], list[str]] = {}  # by file and folder, so that each is read once
    for role, data in config.sources():
        roles.setdefault((data.annotations, data.images), []).append(role)
    for (annotations, images), own in roles.items():
        role = ", ".join(own)
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
        say(f"{sheet}: training samples")
    return problems
