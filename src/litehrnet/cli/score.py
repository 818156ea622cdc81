"""``litehrnet score``: compare a file of predictions with a file of annotations, without weights and photos."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from litehrnet.cli.options import note, positive_float, say
from litehrnet.cli.tables import print_keypoints, print_metrics
from litehrnet.data.coco import annotated_keypoints, check_keypoint_count, in_order_of, read_annotations
from litehrnet.data.formats import AP, MPII, PCKH, Format, format_of
from litehrnet.data.records import read_json
from litehrnet.errors import UserError
from litehrnet.evaluation import pckh
from litehrnet.evaluation.coco import coco_metrics
from litehrnet.evaluation.pck import KeypointScore
from litehrnet.evaluation.score import PCK_THRESHOLD, read_results, score_keypoints
from litehrnet.keypoints.sides import part_key
from litehrnet.keypoints.skeletons import find_keypoint_set, read_keypoint_set, usual_keypoint_set
from litehrnet.optional import require


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet score``."""
    parser.add_argument(
        "predictions",
        type=Path,
        help="COCO keypoint results or a table, as predict writes it; for MPII pred.mat or raw outputs as JSON",
    )
    parser.add_argument(
        "annotations",
        type=Path,
        help="COCO keypoint annotations with any keypoints, or MPII's JSON list beside its .mat file, or this file",
    )
    parser.add_argument(
        "--keypoints",
        metavar="NAME|FILE",
        help="names and sigmas: a built-in set such as coco, or a .toml or .json file (default: as in the annotations)",
    )
    parser.add_argument(
        "--pck-threshold",
        type=positive_float,
        metavar="T",
        help="largest error of a correct keypoint, divided by the longer side of the box (default: 0.2)",
    )
    parser.add_argument(
        "--category", metavar="NAME", help="category with the keypoints (default: the first with keypoint names)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def run(options: argparse.Namespace) -> int:
    """Score and print the tables.

    Raises:
        UserError: A file is missing, broken, or does not fit the other.
    """
    _SCORERS[_format(options.annotations).metric.name](options)
    return 0


def _format(annotations: Path) -> Format:
    if annotations.suffix.lower() == ".mat":
        return MPII
    content = read_json(annotations)
    if isinstance(content, list) and not (content and isinstance(content[0], dict) and "image" in content[0]):
        raise UserError(f"{annotations}: not annotations (expected COCO's or MPII's, after the predictions)")
    return format_of(content, annotations)


def _score_coco(options: argparse.Namespace) -> None:
    require("pycocotools", "train", "computing AP")
    annotations = read_annotations(options.annotations, category=options.category)
    named, category = options.keypoints or str(options.annotations), options.category
    keypoint_set = find_keypoint_set(named) if options.keypoints else read_keypoint_set(options.annotations, category)
    check_keypoint_count(keypoint_set, annotated_keypoints(annotations), options.annotations, Path(named))
    known = usual_keypoint_set(len(keypoint_set))
    keys, usual = ([part_key(name) for name in each.keypoint_names] for each in (keypoint_set, known))
    if keys != usual and sorted(keys) == sorted(usual):
        other = f"keypoints are in another order than {known.name}'s"
        note(f"{named}: {other} (--keypoints {known.name} for predictions in its order)")
    annotations = in_order_of(annotations, keypoint_set)
    results = read_results(options.predictions, annotations, len(keypoint_set))
    score = score_keypoints(annotations, results, keypoint_set, options.pck_threshold or PCK_THRESHOLD)
    metrics = coco_metrics(options.annotations, results, keypoint_set, category=category)
    title = f"people: {len(results)} predicted, {score.persons} annotated, {score.matched} of these matched"
    _print(title, {**metrics, **score.metrics}, score, AP.digits, as_json=options.json)


def _score_mpii(options: argparse.Namespace) -> None:
    annotations: Path = options.annotations
    if options.keypoints or options.pck_threshold or options.category:
        raise UserError(
            f"{annotations}: MPII annotations (expected neither --keypoints nor --pck-threshold nor --category)"
        )
    is_truth = annotations.suffix.lower() == ".mat"
    truth = pckh.read_mpii_ground_truth(annotations if is_truth else pckh.mpii_ground_truth_file(annotations))
    predicted = pckh.read_mpii_predictions(options.predictions)
    metrics, score = pckh.reported_metrics(predicted, truth), pckh.score_joints(predicted, truth)
    _print(f"{PCKH.title}, {score.persons} people", metrics, score, PCKH.digits, as_json=options.json)


def _print(
    title: str, metrics: Mapping[str, float | None], score: KeypointScore, digits: int, *, as_json: bool
) -> None:
    if as_json:
        say(json.dumps({**metrics, **score.to_dict()}))
        return
    say(title)
    console = Console()
    print_metrics(console, metrics, digits)
    print_keypoints(console, score)


_SCORERS = {"mAP": _score_coco, "PCKh": _score_mpii}
"""By name of the metric."""
