"""``litehrnet score``: a file of predictions against a file of annotations; no weights, no photos."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.cli.options import say
from litehrnet.errors import UserError

if TYPE_CHECKING:
    from litehrnet.evaluation.pck import KeypointScore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``litehrnet score`` takes."""
    parser.add_argument(
        "predictions",
        type=Path,
        help="COCO keypoint results (predict and test write them); for MPII pred.mat or raw outputs as JSON",
    )
    parser.add_argument(
        "annotations",
        type=Path,
        help="COCO keypoint annotations, of any keypoints; or MPII's JSON list beside its .mat file, or that .mat file",
    )
    parser.add_argument(
        "--keypoints",
        metavar="NAME|FILE",
        help="names and sigmas: coco, mpii, lsp or a .toml or .json file (default: the annotations' own names)",
    )
    parser.add_argument(
        "--pck-threshold",
        type=_threshold,
        metavar="T",
        help="distance of a found keypoint, relative to the longer side of the person's box (default: 0.2)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def run(options: argparse.Namespace) -> int:
    """Score and print the tables.

    Raises:
        UserError: A file is missing, broken, or does not fit the other.
    """
    mpii = _is_mpii(options.annotations)
    if mpii and (options.keypoints or options.pck_threshold):
        raise UserError(f"{options.annotations}: MPII's annotations (expected no --keypoints or --pck-threshold)")
    if mpii:
        _score_mpii(options.predictions, options.annotations, as_json=options.json)
    else:
        _score_coco(options)
    return 0


def _is_mpii(annotations: Path) -> bool:
    from litehrnet.data.records import read_json

    if annotations.suffix.lower() == ".mat":
        return True
    content = read_json(annotations)
    if isinstance(content, list) and not (content and isinstance(content[0], dict) and "image" in content[0]):
        raise UserError(f"{annotations}: no annotations (expected COCO's or MPII's, after the predictions)")
    return isinstance(content, list)


def _score_coco(options: argparse.Namespace) -> None:
    from litehrnet.data.coco import read_annotations
    from litehrnet.evaluation.coco import annotated_keypoints, check_keypoint_count, coco_figures
    from litehrnet.evaluation.score import PCK_THRESHOLD, read_results, score_keypoints
    from litehrnet.keypoints.skeletons import find_keypoint_set, read_keypoint_set
    from litehrnet.optional import require

    require("pycocotools", "train", "computing AP")
    annotations = read_annotations(options.annotations)
    named = options.keypoints or str(options.annotations)
    keypoint_set = find_keypoint_set(named) if options.keypoints else read_keypoint_set(options.annotations)
    check_keypoint_count(keypoint_set, annotated_keypoints(annotations), options.annotations, Path(named))
    results = read_results(options.predictions, annotations, len(keypoint_set))
    score = score_keypoints(annotations, results, keypoint_set, options.pck_threshold or PCK_THRESHOLD)
    figures = coco_figures(options.annotations, results, keypoint_set)
    title = f"{len(results)} predicted persons, {score.persons} annotated, {score.matched} of these matched"
    _print(title, {**figures, **score.figures}, score, 4, as_json=options.json)


def _score_mpii(predictions: Path, annotations: Path, *, as_json: bool) -> None:
    from litehrnet.evaluation import pckh

    is_truth = annotations.suffix.lower() == ".mat"
    truth = pckh.read_mpii_ground_truth(annotations if is_truth else pckh.mpii_ground_truth_file(annotations))
    predicted = pckh.read_mpii_predictions(predictions)
    figures, score = pckh.reported_figures(predicted, truth), pckh.score_joints(predicted, truth)
    _print(f"MPII PCKh (%), {score.persons} persons", figures, score, 3, as_json=as_json)


def _print(title: str, figures: dict[str, float], score: "KeypointScore", digits: int, *, as_json: bool) -> None:
    from rich.console import Console

    from litehrnet.cli.tables import print_figures, print_keypoints

    if as_json:
        say(json.dumps({**figures, **score.to_dict()}))
        return
    say(title)
    console = Console()
    print_figures(console, figures, digits)
    print_keypoints(console, score)


def _threshold(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value
