"""COCO keypoint results and their average precision (docs/spec/protocol.md, section 4.3)."""

import contextlib
import io
import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.coco import CocoAnnotations
from litehrnet.data.records import read_json
from litehrnet.errors import UserError
from litehrnet.evaluation.predictions import Predictions
from litehrnet.keypoints.oks import oks_nms, rescore, soft_oks_nms
from litehrnet.poses import KeypointSet

if TYPE_CHECKING:
    from pycocotools.coco import COCO

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
    images, persons = _once_each(predictions)
    scores = rescore(predictions.box_scores, predictions.scores, visibility_threshold)
    keypoints, areas, spreads = predictions.keypoints, predictions.areas, np.array(sigmas)
    if nms == "oks":
        own = images[persons]
        kept = oks_nms(keypoints[persons], scores[persons], areas[persons], spreads, oks_threshold, own)
        persons = persons[kept]
    elif nms == "soft":
        groups = np.split(persons, np.flatnonzero(np.diff(images[persons])) + 1)
        persons = np.concatenate(
            [g[soft_oks_nms(keypoints[g], scores[g], areas[g], spreads, oks_threshold)] for g in groups]
        )
    return _entries(predictions, persons, scores)


def _once_each(predictions: Predictions) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Numbers of the persons' images, by first appearance; and the persons by image and box, each box once."""
    _, first, inverse = np.unique(predictions.image_ids, return_index=True, return_inverse=True)
    images = first[inverse]
    order = np.lexsort((predictions.box_ids, images))
    pairs = np.column_stack([images, predictions.box_ids])[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return images, order[new]


def _entries(predictions: Predictions, persons: NDArray[np.intp], scores: NDArray[np.float64]) -> list[dict[str, Any]]:
    p = predictions
    triples = np.concatenate([p.keypoints[persons], p.scores[persons, :, None]], axis=2)
    flat = triples.reshape(len(persons), 3 * triples.shape[1])
    columns = (p.centers[persons], p.image_ids[persons], flat, p.scales[persons], scores[persons])
    return [
        {
            "category_id": 1,
            "center": center,
            "image_id": image_id,
            "keypoints": keypoints,
            "scale": scale,
            "score": score,
        }
        for center, image_id, keypoints, scale, score in zip(*(each.tolist() for each in columns), strict=True)
    ]


def coco_figures(
    annotations: Path,
    results: list[dict[str, Any]],
    keypoint_set: KeypointSet,
    image_ids: Collection[int] | None = None,
) -> dict[str, float]:
    """Average precision and recall of results, judged by pycocotools.

    Args:
        annotations: COCO keypoint annotations.
        results: What ``coco_results`` gave, or others with image_id, category_id, keypoints and score.
        keypoint_set: For its sigmas.
        image_ids: Of the images that count; None for all of the file.

    Returns:
        The ten ``FIGURES``, 0..1; -1 where there is nothing to find.

    Raises:
        UserError: The annotations lack what the figures are computed from.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = read_json(annotations)
            truth.createIndex()
            evaluation = COCOeval(truth, _detected(truth, results), "keypoints")
            evaluation.params.kpt_oks_sigmas = np.array(keypoint_set.sigmas)
            if image_ids is not None:
                evaluation.params.imgIds = sorted(image_ids)
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


def _detected(truth: "COCO", results: list[dict[str, Any]]) -> "COCO":
    """The results as pycocotools wants them."""
    if not results:
        # Its own reader takes no empty list.
        empty = type(truth)()
        empty.dataset = {**truth.dataset, "annotations": []}
        empty.createIndex()
        return empty
    # The one category of a file is meant, whatever its number. A box beside the keypoints would take their place.
    categories = truth.getCatIds()
    only = {"category_id": categories[0]} if len(categories) == 1 else {}
    fields = ("image_id", "category_id", "keypoints", "score")
    return truth.loadRes([{name: entry[name] for name in fields} | only for entry in results])


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


def annotated_keypoints(annotations: CocoAnnotations) -> int:
    """How many keypoints every annotated person has.

    Raises:
        UserError: None has any, or they differ.
    """
    lists = [a["keypoints"] for persons in annotations.by_image.values() for a in persons if a.get("keypoints")]
    if not all(isinstance(each, list) for each in lists):
        raise UserError(f"{annotations.path}: has keypoints that are no list (expected x, y and visibility in turn)")
    counts = {len(each) // 3 for each in lists}
    if len(counts) != 1:
        raise UserError(
            f"{annotations.path}: its persons have {sorted(counts)} keypoints (expected one number for all)"
        )
    return counts.pop()
