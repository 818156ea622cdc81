"""COCO keypoint results and their average precision (docs/spec/protocol.md, section 4.3)."""

import contextlib
import io
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from litehrnet.arrays import Floats64, Indices
from litehrnet.data.coco import in_order_of, read_annotations
from litehrnet.data.records import read_json
from litehrnet.evaluation.predictions import Predictions
from litehrnet.keypoints.oks import oks_nms, rescore, soft_oks_nms
from litehrnet.poses import KeypointSet

if TYPE_CHECKING:
    from pycocotools.coco import COCO

METRICS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
"""Names of the ten values, in pycocotools' order: overall, OKS 0.50, OKS 0.75, medium and large people."""


def coco_results(
    predictions: Predictions,
    sigmas: tuple[float, ...],
    *,
    nms: Literal["oks", "soft", "none"] = "oks",
    oks_threshold: float = 0.9,
    visibility_threshold: float = 0.2,
) -> list[dict[str, Any]]:
    """Make the entries of the result file: rescored, without duplicates of a pose, image by image.

    Args:
        predictions: Predictions of a whole data set; people in an image with the same ``box_id`` count once.
        sigmas: Sigmas of the keypoints.
        nms: Treatment of the worse of two similar poses: drop it, lower its score, or keep it.
        oks_threshold: Similarity (OKS) above which two poses count as similar.
        visibility_threshold: Keypoints with a higher score count in the score of a pose.

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


def _once_each(predictions: Predictions) -> tuple[Indices, Indices]:
    """Number the images by first appearance, and sort the people by image and box, each box once."""
    _, first, inverse = np.unique(predictions.image_ids, return_index=True, return_inverse=True)
    images = first[inverse]
    order = np.lexsort((predictions.box_ids, images))
    pairs = np.column_stack([images, predictions.box_ids])[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return images, order[new]


def _entries(predictions: Predictions, persons: Indices, scores: Floats64) -> list[dict[str, Any]]:
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


def coco_metrics(
    annotations: Path,
    results: list[dict[str, Any]],
    keypoint_set: KeypointSet,
    image_ids: Collection[int] | None = None,
    load: Callable[[Path], Any] = read_json,
    category: str | None = None,
) -> dict[str, float | None]:
    """Compute average precision and recall of results with pycocotools.

    Args:
        annotations: Annotation file.
        results: Entries with integer image_id, keypoints and score, such as those of ``coco_results``.
        keypoint_set: Keypoint set, for its sigmas.
        image_ids: Numbers of the images that count; None for all images of the file.
        load: Function that parses the file into COCO's object.
        category: Name of the category with the keypoints; None for the first that has any.

    Returns:
        The ten ``METRICS``, 0..1; None where nobody is annotated, such as no large person.

    Raises:
        UserError: The annotations cannot be read.
    """
    parsed = in_order_of(read_annotations(annotations, load=load, category=category), keypoint_set)
    count = len(keypoint_set)
    images = sorted(parsed.images if image_ids is None else image_ids)
    truth = [
        _annotated(each, count)
        for i in images
        for each in parsed.people(i)
        if each.get("keypoints") or each.get("bbox")
    ]
    return precision_and_recall(
        images, truth, [_found(entry) for entry in results], "keypoints", METRICS, keypoint_set.sigmas
    )


def precision_and_recall(
    images: Sequence[int],
    truth: list[dict[str, Any]],
    found: list[dict[str, Any]],
    kind: Literal["keypoints", "bbox"],
    names: Sequence[str],
    sigmas: Sequence[float] = (),
) -> dict[str, float | None]:
    """Compare entries of one category with annotated ones by pycocotools; None for values that cannot be computed."""
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_indexed(images, truth), _indexed(images, found), kind)
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: None if value < 0 else float(value) for name, value in zip(names, evaluation.stats, strict=True)}


def _indexed(images: Sequence[int], entries: list[dict[str, Any]]) -> "COCO":
    """Index entries for pycocotools: one category, and ids from 1, since id 0 means no match there."""
    from pycocotools.coco import COCO

    coco = COCO()
    annotations = [{**entry, "id": place, "category_id": 1} for place, entry in enumerate(entries, start=1)]
    dataset: Any = {
        "images": [{"id": image_id} for image_id in images],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": annotations,
    }
    coco.dataset = dataset
    coco.createIndex()
    return coco


def _annotated(annotation: dict[str, Any], count: int) -> dict[str, Any]:
    keypoints = annotation.get("keypoints") or [0] * (3 * count)
    x, y, width, height = annotation.get("bbox") or (0, 0, 0, 0)
    return {
        "image_id": annotation["image_id"],
        "keypoints": keypoints,
        "num_keypoints": annotation.get("num_keypoints") or 0,
        "bbox": [x, y, width, height],
        "area": annotation.get("area", width * height),
        "iscrowd": int(bool(annotation.get("iscrowd"))),
    }


def _found(entry: dict[str, Any]) -> dict[str, Any]:
    """Convert a result as ``COCO.loadRes`` does for keypoints: its box and area are those of the keypoints."""
    xs, ys = entry["keypoints"][::3], entry["keypoints"][1::3]
    left, top, width, height = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    return {
        "image_id": entry["image_id"],
        "keypoints": entry["keypoints"],
        "score": entry["score"],
        "bbox": [left, top, width, height],
        "area": width * height,
    }


def results_json(results: list[dict[str, Any]]) -> str:
    """Return the text of ``result_keypoints.json``, as the reference implementation writes it."""
    return json.dumps(results, sort_keys=True, indent=4)
