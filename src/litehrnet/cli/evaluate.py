"""``litehrnet test``: evaluate weights on annotations."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from litehrnet.cli import detection, segmentation
from litehrnet.cli.options import (
    add_cfg_options,
    add_runtime_options,
    local_weights,
    note,
    positive_int,
    progress_bar,
    require_pair,
    runtime_arguments,
    say,
    size_text,
)
from litehrnet.cli.tables import print_keypoints, print_metrics
from litehrnet.config.read import load_config
from litehrnet.config.schema import RunConfig, TaskName
from litehrnet.data.formats import COCO, find_format, guess_format, guess_label_format
from litehrnet.data.settings import EvalConfig
from litehrnet.detectors.detections import Detector
from litehrnet.detectors.detector import open_detector
from litehrnet.errors import UserError
from litehrnet.evaluation.gallery import chosen, draw_gallery
from litehrnet.evaluation.metrics import find_measure
from litehrnet.evaluation.pck import KeypointScore
from litehrnet.evaluation.predictions import predict_records
from litehrnet.evaluation.protocol import open_weights, read_eval_set, report
from litehrnet.evaluation.report import EvalReport
from litehrnet.io.files import write_bytes
from litehrnet.io.images import WRITTEN_SUFFIXES, write_image
from litehrnet.runtimes import described_weights

DETECTOR_MIN_SCORE = 0.15
"""Lower than for pictures: average precision punishes missed people, and unsure extra boxes little."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet test``."""
    parser.add_argument("weights", help=".safetensors, .onnx, .native or a PyTorch checkpoint, a name, or hf://...")
    parser.add_argument(
        "--config",
        help="a recipe by file or name, or an mmpose config: network, input size and what to evaluate on",
    )
    add_cfg_options(parser)
    parser.add_argument(
        "--annotations",
        help="COCO keypoint annotations, MPII's JSON list beside its .mat file, or a folder of label images",
    )
    parser.add_argument("--images", metavar="DIR", help="folder of the photos")
    parser.add_argument(
        "--category",
        metavar="NAME",
        help="category whose keypoints are tested (default: the first with keypoint names)",
    )
    parser.add_argument("--boxes", metavar="JSON", help="file with detected boxes (default: the annotated boxes)")
    parser.add_argument(
        "--detector",
        type=Path,
        metavar="FILE|NAME",
        help="find the boxes with this detector: .safetensors, .onnx or .xml, or a name that litehrnet models lists",
    )
    parser.add_argument("--no-flip", action="store_true", help="do not average with the mirrored crops")
    parser.add_argument("--per-keypoint", action="store_true", help="add PCK, AUC, EPE, NME and a table per keypoint")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write predictions: COCO results; for MPII pred.mat (.mat) or raw outputs (.json), also for its test "
        "split; for segmentation a folder of label images",
    )
    parser.add_argument(
        "--gallery", type=positive_int, metavar="N", help="draw N people: annotated, predicted, error of each keypoint"
    )
    parser.add_argument("--worst", action="store_true", help="draw the worst people, worst first (default: a sample)")
    parser.add_argument("--gallery-out", type=Path, metavar="FILE", help="file of the drawing (default: gallery.png)")
    parser.add_argument("--json", action="store_true", help="print the metrics as one JSON object and nothing else")
    add_runtime_options(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluate and print a table.

    Raises:
        UserError: A file is missing or broken, or two do not belong together.
    """
    if options.cfg_options and not options.config:
        raise UserError("--cfg-options: there is no configuration to change (expected --config)")
    loaded = load_config(options.config, options.cfg_options) if options.config else None
    for text in loaded.notes if loaded else ():
        note(text)
    config = loaded.config if loaded else None
    options.weights = local_weights(options.weights)
    task = _task(options, config)
    return _EVALUATIONS[task](options, config, _what_to_evaluate(options, config, task))


def _task(options: argparse.Namespace, config: RunConfig | None) -> TaskName:
    """Task of the recipe, or else of the annotations and the weights."""
    if config is not None:
        return config.task
    if options.annotations and Path(options.annotations).is_dir():
        return "segmentation"
    info = described_weights(options.weights)
    return "detection" if info is not None and info.detects else "keypoints"


def _what_to_evaluate(options: argparse.Namespace, config: RunConfig | None, task: TaskName) -> EvalConfig:
    if config is None:
        require_pair(options.annotations, options.images, "--annotations and --images")
        test = _guessed(options, task)
    else:
        test = config.tested_on
    if options.annotations:  # boxes and lists of photos of the configuration belong to its own annotations
        test = replace(test, boxes=None, only=None, without=None, category=None)
    return replace(
        test,
        annotations=options.annotations or test.annotations,
        images=options.images or test.images,
        boxes=options.boxes or test.boxes,
        category=options.category or test.category,
        flip=test.flip and not options.no_flip,
    )


def _guessed(options: argparse.Namespace, task: TaskName) -> EvalConfig:
    """Settings without a recipe: the format is that of the annotations."""
    path = Path(options.annotations)
    if task == "segmentation":
        name = guess_label_format(path).name
    else:
        name = COCO.name if task == "detection" else guess_format(path).name
    return EvalConfig(name, options.annotations, options.images, flip=task != "segmentation")


def _evaluate_keypoints(options: argparse.Namespace, config: RunConfig | None, test: EvalConfig) -> int:
    measure = find_measure(test)
    measure.check_out(options.out, test)
    gallery_out = _gallery_out(options)
    runtime, size_source = open_weights(options.weights, config, **runtime_arguments(options))
    detector = _detector(options, test)
    keypoints, size, kept = runtime.info.keypoint_set, runtime.input_size_wh, options.out is not None
    people = read_eval_set(test, keypoints, size, options.weights, without_truth=kept, detector=detector)
    with progress_bar("people") as progress:
        predictions = predict_records(runtime, people.records, flip_test=test.flip, progress=progress)
    found = report(people, predictions)
    if options.out:
        write_bytes(options.out, measure.encode(found, options.out.suffix))
    if gallery_out:
        _draw_gallery(gallery_out, options, found)
    score = measure.per_keypoint(found) if options.per_keypoint else None
    if options.json:
        sys.stdout.write(json.dumps({**found.metrics, **(score.to_dict() if score else {})}) + "\n")
        return 0
    say(f"weights:    {options.weights}")
    say(f"input size: {size_text(runtime.input_size_wh)}, {size_source}")
    say(f"runtime:    {runtime.description}")
    _print(found, score)
    return 0


def _detector(options: argparse.Namespace, test: EvalConfig) -> Detector | None:
    if options.detector is None:
        return None
    if not find_format(test.format).takes_boxes:
        raise UserError(
            f"--detector: annotations in the format {test.format} have centers and scales for the evaluation "
            "(expected COCO annotations)"
        )
    if options.boxes:
        raise UserError("--boxes and --detector: both find the people (expected one of the two)")
    return open_detector(options.detector, min_score=DETECTOR_MIN_SCORE, threads=options.threads)


def _gallery_out(options: argparse.Namespace) -> Path | None:
    """File of the gallery, or None; a bad one is refused before the network runs."""
    if options.gallery is None:
        if options.worst or options.gallery_out:
            raise UserError("--worst, --gallery-out: there is nothing to draw (expected --gallery N)")
        return None
    out: Path = options.gallery_out or Path("gallery.png")
    if out.suffix.lower() not in WRITTEN_SUFFIXES:
        raise UserError(f"{out}: not a name for a picture (expected {', '.join(WRITTEN_SUFFIXES)})")
    return out


def _draw_gallery(out: Path, options: argparse.Namespace, report: EvalReport) -> None:
    gallery = find_measure(report.eval_set.test).gallery(report)
    cases = chosen(gallery, options.gallery, worst=options.worst)
    write_image(out, draw_gallery(gallery, cases))
    if not options.json:
        say(f"{out}: {len(cases)} of {len(gallery.cases)} people{', worst first' if options.worst else ''}\n")


def _print(report: EvalReport, score: KeypointScore | None) -> None:
    people, test = report.eval_set, report.eval_set.test
    say(f"boxes:      {people.box_source}")
    flip = "on" if test.flip else "off"
    say(f"evaluated:  {len(people.records)} people in {report.photos} photos, flip test {flip}")
    if not report.metrics:
        say("")
        for sentence in find_measure(test).why_none(report):
            say(sentence)
        return
    metric = find_format(test.format).metric
    # Printed here because rich wraps the title of a table to its width.
    say(f"\n{metric.title}, boxes: {people.box_source.split(' (')[0]}")
    console = Console()
    print_metrics(console, {**report.metrics, **(score.metrics if score else {})}, metric.digits)
    if score:
        print_keypoints(console, score)


_EVALUATIONS = {
    "keypoints": _evaluate_keypoints,
    "segmentation": segmentation.evaluate,
    "detection": detection.evaluate,
}
