"""COCO keypoint results and their average precision (docs/spec/protocol.md, section 4.3)."""

import contextlib
import io
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.records import read_json
from litehrnet.errors import UserError
from litehrnet.evaluation.predictions import Predictions
from litehrnet.keypoints.oks import oks_nms, rescore, soft_oks_nms
from litehrnet.poses import KeypointSet

if TYPE_CHECKING:
    from pycocotools.coco import COCO

FIGURES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
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
        nms: What happens to the lower of two similar poses: drop it, lower its score, or keep it.
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


def _once_each(predictions: Predictions) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Number the images by first appearance, and sort the people by image and box, each box once."""
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
    load: Callable[[Path], Any] = read_json,
) -> dict[str, float]:
    """Compute average precision and recall of results with pycocotools.

    Args:
        annotations: Annotation file.
        results: Entries with image_id, category_id, keypoints and score, such as those of ``coco_results``.
        keypoint_set: Keypoint set, for its sigmas.
        image_ids: Numbers of the images that count; None for all images of the file.
        load: Function that parses the file into COCO's object.

    Returns:
        The ten ``FIGURES``, 0..1; -1 where nobody is annotated, as pycocotools returns it.

    Raises:
        UserError: The annotations lack a field that the metric needs.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = load(annotations)
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
    """Convert the results for pycocotools."""
    if not results:
        # pycocotools refuses an empty list.
        empty = type(truth)()
        empty.dataset = {**truth.dataset, "annotations": []}
        empty.createIndex()
        return empty
    # The only category of a file is used, whatever its number. Boxes are dropped: pycocotools would use them.
    categories = truth.getCatIds()
    only = {"category_id": categories[0]} if len(categories) == 1 else {}
    fields = ("image_id", "category_id", "keypoints", "score")
    return truth.loadRes([{name: entry[name] for name in fields} | only for entry in results])


def results_json(results: list[dict[str, Any]]) -> str:
    """Return the text of ``result_keypoints.json``, as the reference implementation writes it."""
    return json.dumps(results, sort_keys=True, indent=4)
