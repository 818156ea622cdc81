"""``litehrnet test``: weights against annotations by the published protocol; see ``segmentation_test`` for mIoU."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.cli import detection_test, segmentation_test
from litehrnet.cli.options import (
    add_runtime_options,
    positive_int,
    progress_bar,
    require_pair,
    runtime_arguments,
    say,
    size_text,
)
from litehrnet.cli.published_options import add_cfg_options, note
from litehrnet.errors import UserError

if TYPE_CHECKING:
    from litehrnet.config.schema import RunConfig, TestConfig
    from litehrnet.detectors.detections import Detector
    from litehrnet.evaluation.pck import KeypointScore
    from litehrnet.evaluation.protocol import TestReport
    from litehrnet.poses import KeypointSet

DETECTOR_MIN_SCORE = 0.15
"""Less than for pictures: average precision counts the persons missed, and little the unsure ones too many."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``litehrnet test`` takes."""
    parser.add_argument("weights", type=Path, help=".safetensors, .onnx, .native or a PyTorch checkpoint, or a name")
    parser.add_argument(
        "--config",
        help="a recipe by file or name, or a published configuration: network, input size and what to test on",
    )
    add_cfg_options(parser)
    parser.add_argument(
        "--annotations",
        help="COCO keypoint annotations, or MPII's JSON list beside its .mat file; a folder of label images",
    )
    parser.add_argument("--images", metavar="DIR", help="folder of the photos")
    parser.add_argument("--boxes", metavar="JSON", help="a detector's boxes (default: the annotations' own)")
    parser.add_argument(
        "--detector",
        type=Path,
        metavar="FILE|NAME",
        help="a detector that finds the boxes: its .onnx or .xml, or a name that litehrnet models lists",
    )
    parser.add_argument("--no-flip", action="store_true", help="do not average with the mirrored crops")
    parser.add_argument("--per-keypoint", action="store_true", help="also PCK and its kin, and a table per keypoint")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write COCO results; for MPII pred.mat (.mat) or raw outputs (.json), which is all its test split gives; "
        "for segmentation a folder for predictions in label ids",
    )
    parser.add_argument(
        "--gallery", type=positive_int, metavar="N", help="draw N persons: annotated, predicted, error of each keypoint"
    )
    parser.add_argument("--worst", action="store_true", help="draw the worst persons, worst first (default: a sample)")
    parser.add_argument("--gallery-out", type=Path, metavar="FILE", help="where to draw (default: gallery.png)")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object and nothing else")
    add_runtime_options(parser)


def run(options: argparse.Namespace) -> int:
    """Test and print the table.

    Raises:
        UserError: Something that was named is missing, broken, or does not belong together.
    """
    from litehrnet.config.read import load_config
    from litehrnet.evaluation.protocol import open_weights, run_test

    if options.cfg_options and not options.config:
        raise UserError("--cfg-options: there is no configuration to change (expected --config)")
    loaded = load_config(options.config, options.cfg_options) if options.config else None
    for text in loaded.notes if loaded else ():
        note(text)
    config = loaded.config if loaded else None
    if segmentation_test.is_segmentation(options, config):
        return segmentation_test.run(options, config)
    if detection_test.is_detection(options, config):
        return detection_test.run(options, config)
    test = _what_to_test(options, config)
    _check_out(options.out, test)
    gallery_out = _gallery_out(options)
    runtime, size_source = open_weights(options.weights, config, **runtime_arguments(options))
    detector = _detector(options, test)
    with progress_bar("persons") as started:
        report = run_test(
            runtime, options.weights, test, started, without_truth=options.out is not None, detector=detector
        )
    if options.out:
        _write(options.out, report, test)
    if gallery_out:
        _draw_gallery(gallery_out, options, report, test, runtime.info.keypoint_set)
    score = _per_keypoint(report, test, runtime.info.keypoint_set) if options.per_keypoint else None
    if options.json:
        sys.stdout.write(json.dumps({**report.figures, **(score.to_dict() if score else {})}) + "\n")
        return 0
    size = f"{size_text(runtime.input_size_wh)}, {size_source}"
    _print_header(report, test, {"weights": str(options.weights), "input size": size, "runtime": runtime.description})
    _print_tables(report, test, score)
    return 0


def _what_to_test(options: argparse.Namespace, config: "RunConfig | None") -> "TestConfig":
    from litehrnet.config.schema import TestConfig
    from litehrnet.data.records import read_json

    if config is None:
        require_pair(options.annotations, options.images, "--annotations and --images")
        is_list = isinstance(read_json(Path(options.annotations)), list)
        test = TestConfig("mpii" if is_list else "coco", options.annotations, options.images)
    else:
        test = config.tested_on
    if options.annotations:  # boxes and lists of photos of the configuration belong to its own annotations
        test = replace(test, boxes=None, only=None, without=None)
    return replace(
        test,
        annotations=options.annotations or test.annotations,
        images=options.images or test.images,
        boxes=options.boxes or test.boxes,
        flip=test.flip and not options.no_flip,
    )


def _detector(options: argparse.Namespace, test: "TestConfig") -> "Detector | None":
    from litehrnet.detectors.detector import open_detector

    if options.detector is None:
        return None
    if test.dataset != "coco":
        raise UserError("--detector: MPII is tested with the annotated centers and scales (expected COCO annotations)")
    if options.boxes:
        raise UserError("--boxes and --detector: both name the persons (expected one of the two)")
    return open_detector(options.detector, min_score=DETECTOR_MIN_SCORE, threads=options.threads)


def _check_out(out: Path | None, test: "TestConfig") -> None:
    """Refuse before the network runs what could not be written after it."""
    from litehrnet.evaluation.pckh import mpii_ground_truth_file
    from litehrnet.optional import require

    if test.dataset == "coco":
        return
    truth = mpii_ground_truth_file(Path(test.annotations))
    if out is None and not truth.is_file():
        raise UserError(f"{truth}: no such file (or --out FILE, to keep predictions for a split without ground truth)")
    if out is not None and out.suffix not in (".mat", ".json"):
        raise UserError(f"{out}: unknown format for MPII (expected .mat or .json)")
    if out is not None and out.suffix == ".mat":
        require("scipy", "train", f"{out}: writing this format")


def _write(out: Path, report: "TestReport", test: "TestConfig") -> None:
    from litehrnet.cli.published_test import write_outputs
    from litehrnet.evaluation.coco import published_json
    from litehrnet.evaluation.pckh import prediction_mat
    from litehrnet.io.files import write_bytes

    if test.dataset == "coco":
        write_bytes(out, published_json(report.results).encode())
    elif out.suffix == ".json":
        write_outputs(out, report.predictions)
    else:
        write_bytes(out, prediction_mat(report.predictions.keypoints, report.mpii_test_photos))


def _gallery_out(options: argparse.Namespace) -> Path | None:
    """The picture to draw, if any; refused before the network runs rather than after it."""
    from litehrnet.io.images import WRITTEN_SUFFIXES

    if options.gallery is None:
        if options.worst or options.gallery_out:
            raise UserError("--worst, --gallery-out: there is nothing to draw (expected --gallery N)")
        return None
    out: Path = options.gallery_out or Path("gallery.png")
    if out.suffix.lower() not in WRITTEN_SUFFIXES:
        raise UserError(f"{out}: no name for a picture (expected {', '.join(WRITTEN_SUFFIXES)})")
    return out


def _draw_gallery(
    out: Path, options: argparse.Namespace, report: "TestReport", test: "TestConfig", keypoint_set: "KeypointSet"
) -> None:
    from litehrnet.data.coco import read_annotations
    from litehrnet.evaluation.gallery import chosen, coco_gallery, draw_gallery, mpii_gallery
    from litehrnet.evaluation.pckh import mpii_ground_truth_file, read_mpii_ground_truth
    from litehrnet.io.images import write_image

    path = Path(test.annotations)
    if test.dataset == "coco":
        annotations = read_annotations(path, test.only, test.without)
        gallery = coco_gallery(annotations, Path(test.images), report.results, keypoint_set)
    else:
        truth = read_mpii_ground_truth(mpii_ground_truth_file(path))
        gallery = mpii_gallery(report.predictions, truth, keypoint_set)
    cases = chosen(gallery, options.gallery, worst=options.worst)
    write_image(out, draw_gallery(gallery, cases))
    if not options.json:
        say(f"{out}: {len(cases)} of {len(gallery.cases)} persons{', worst first' if options.worst else ''}\n")


def _per_keypoint(report: "TestReport", test: "TestConfig", keypoint_set: "KeypointSet") -> "KeypointScore | None":
    from litehrnet.data.coco import read_annotations
    from litehrnet.evaluation.pckh import mpii_ground_truth_file, read_mpii_ground_truth, score_joints
    from litehrnet.evaluation.score import score_keypoints

    annotations = Path(test.annotations)
    if test.dataset == "coco":
        return score_keypoints(read_annotations(annotations, test.only, test.without), report.results, keypoint_set)
    if not report.figures:
        return None
    truth = read_mpii_ground_truth(mpii_ground_truth_file(annotations))
    return score_joints(report.predictions.keypoints, truth)


def _print_header(report: "TestReport", test: "TestConfig", header: dict[str, str]) -> None:
    persons = len(report.predictions.keypoints)
    header |= {
        "boxes": report.box_source,
        "tested": f"{persons} persons in {report.photos} photos, flip test {'on' if test.flip else 'off'}",
    }
    for name, text in header.items():
        say(f"{name + ':':12}{text}")


def _print_tables(report: "TestReport", test: "TestConfig", score: "KeypointScore | None") -> None:
    from rich.console import Console

    from litehrnet.cli.tables import print_figures, print_keypoints

    if not report.figures:
        _say_why(Path(test.annotations), report)
        return
    metric = "COCO keypoint AP" if test.dataset == "coco" else "MPII PCKh (%)"
    # Not the table's own title, which would wrap to the table's width.
    say(f"\n{metric}, boxes: {report.box_source.split(' (')[0]}")
    console = Console()
    print_figures(console, {**report.figures, **(score.figures if score else {})}, 4 if test.dataset == "coco" else 3)
    if score:
        print_keypoints(console, score)


def _say_why(annotations: Path, report: "TestReport") -> None:
    """Why a test of MPII gave no figures, and what its .mat file is good for."""
    from litehrnet.evaluation.mpii_submission import MPII_RELEASE
    from litehrnet.evaluation.pckh import mpii_ground_truth_file

    say(f"\nno figures: {mpii_ground_truth_file(annotations)} is not there")
    if report.mpii_test_photos:
        say("'pred' in a .mat file is laid out for MPII's own evaluation, which calls it pred_keypoints_mpii.mat")
    else:
        say(f"for a .mat file laid out for MPII's own evaluation put {MPII_RELEASE} beside the annotations")
