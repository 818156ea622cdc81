"""A detector's persons in annotated photos: boxes for the published test, and their own average precision."""

import contextlib
import io
from pathlib import Path
from typing import Any

from litehrnet.data.coco import PERSON_CATEGORY, CocoAnnotations
from litehrnet.detectors.detections import Detector
from litehrnet.io.images import read_image
from litehrnet.keypoints.boxes import clean_box


def detected_persons(detector: Detector, annotations: CocoAnnotations, images: Path) -> list[dict[str, Any]]:
    """What a detector finds in the photos of ``annotations``, as entries of COCO's result file.

    Args:
        detector: Run on every photo.
        annotations: Whose photos.
        images: Folder of the photos.

    Returns:
        Entries with image_id, category_id, bbox (x, y, width, height) and score, photo by photo.

    Raises:
        UserError: A photo is missing or broken.
    """
    entries: list[dict[str, Any]] = []
    for image_id, image in annotations.images.items():
        found = detector.detect(read_image(images / image["file_name"]))
        entries += [
            {"image_id": image_id, "category_id": PERSON_CATEGORY, "bbox": box, "score": score}
            for box, score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True)
        ]
    return entries


def cleaned(entries: list[dict[str, Any]], annotations: CocoAnnotations) -> list[dict[str, Any]]:
    """The entries with their boxes as annotated boxes are taken (``clean_box``), without those that have none left."""
    kept = []
    for entry in entries:
        image = annotations.images[entry["image_id"]]
        box = clean_box(tuple(entry["bbox"]), (image["width"], image["height"]))
        kept += [] if box is None else [entry | {"bbox": [*box]}]
    return kept


def box_precision(annotations: Path, entries: list[dict[str, Any]]) -> dict[str, float]:
    """AP and AP50 of boxes, 0..1, judged by pycocotools against COCO annotations."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(entries), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {"AP": float(evaluation.stats[0]), "AP50": float(evaluation.stats[1])}
