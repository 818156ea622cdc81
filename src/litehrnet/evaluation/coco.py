"""COCO keypoint results and their average precision (protocol specification, section 4.3)."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from litehrnet.errors import UserError
from litehrnet.evaluation.predictions import Predictions
from litehrnet.keypoints.oks import oks_nms, rescore, soft_oks_nms
from litehrnet.poses import KeypointSet

FIGURES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
"""Names of the ten figures, in pycocotools' order: overall, OKS 0.50, OKS 0.75, medium and large persons."""

PUBLISHED_NAMES = ("AP", "AP .5", "AP .75", "AP (M)", "AP (L)", "AR", "AR .5", "AR .75", "AR (M)", "AR (L)")
"""What the published tools call them."""


def coco_results(
    predictions: Predictions,
    sigmas: tuple[float, ...],
    *,
    nms: Literal["oks", "soft", "none"] = "oks",
    oks_threshold: float = 0.9,
    visibility_threshold: float = 0.2,
) -> list[dict[str, Any]]:
    """Entries of the published result file: rescored, duplicates of one pose removed, image by image.

    Args:
        predictions: Of a whole dataset; persons of an image that have the same ``box_id`` count once.
        sigmas: Of the keypoints.
        nms: Drop the lower of two poses that are alike, lower its score instead, or keep all.
        oks_threshold: What alike is.
        visibility_threshold: Keypoint scores above it enter the score of a pose.

    Returns:
        Entries with category_id, center, image_id, keypoints (x, y, score triples), scale and score.
    """
    scores = rescore(predictions.box_scores, predictions.scores, visibility_threshold)
    areas = predictions.areas
    results = []
    for image_id in dict.fromkeys(predictions.image_ids.tolist()):
        persons = np.flatnonzero(predictions.image_ids == image_id)
        persons = persons[np.unique(predictions.box_ids[persons], return_index=True)[1]]
        if nms != "none":
            suppress = oks_nms if nms == "oks" else soft_oks_nms
            keypoints = predictions.keypoints[persons]
            kept = suppress(keypoints, scores[persons], areas[persons], np.array(sigmas), oks_threshold)
            persons = persons[kept]
        results += [_entry(predictions, int(person), float(scores[person])) for person in persons]
    return results


def _entry(predictions: Predictions, person: int, score: float) -> dict[str, Any]:
    triples = np.column_stack([predictions.keypoints[person], predictions.scores[person]])
    return {
        "category_id": 1,
        "center": predictions.centers[person].tolist(),
        "image_id": int(predictions.image_ids[person]),
        "keypoints": triples.ravel().tolist(),
        "scale": predictions.scales[person].tolist(),
        "score": score,
    }


def coco_figures(annotations: Path, results: list[dict[str, Any]], keypoint_set: KeypointSet) -> dict[str, float]:
    """Average precision and recall of results, judged by pycocotools.

    Args:
        annotations: COCO keypoint annotations.
        results: What ``coco_results`` gave.
        keypoint_set: For its sigmas.

    Returns:
        The ten ``FIGURES``, 0..1; -1 where there is nothing to find; 0 each when there are no results.

    Raises:
        UserError: The annotations lack what the figures are computed from.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not results:
        return dict.fromkeys(FIGURES, 0.0)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(str(annotations))
            evaluation = COCOeval(truth, truth.loadRes([dict(entry) for entry in results]), "keypoints")
            evaluation.params.kpt_oks_sigmas = np.array(keypoint_set.sigmas)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
    except KeyError as error:
        raise UserError(
            f"{annotations}: entries lack {error} (expected categories, and area, iscrowd and num_keypoints in each "
            "annotation, as COCO has them)"
        ) from error
    stats: NDArray[np.float64] = evaluation.stats
    return {name: float(value) for name, value in zip(FIGURES, stats, strict=True)}


def published_json(results: list[dict[str, Any]]) -> str:
    """The text of the published ``result_keypoints.json``."""
    return json.dumps(results, sort_keys=True, indent=4)


def check_keypoint_count(keypoint_set: KeypointSet, annotated: int, annotations: Path, weights: Path) -> None:
    """Refuse to test weights on annotations of other keypoints.

    Raises:
        UserError: The numbers differ.
    """
    if len(keypoint_set) != annotated:
        raise UserError(
            f"{annotations}: its persons have {annotated} keypoints (expected {len(keypoint_set)}, as {weights} has)"
        )
