"""People that a detector finds in annotated photos, as boxes for an evaluation of keypoints."""

from pathlib import Path
from typing import Any

from litehrnet.data.coco import CocoAnnotations
from litehrnet.data.coco_records import PERSON_CATEGORY
from litehrnet.detectors.detections import Detector
from litehrnet.io.images import read_image
from litehrnet.keypoints.boxes import clean_box


def detected_persons(detector: Detector, annotations: CocoAnnotations, images: Path) -> list[dict[str, Any]]:
    """Run a detector of people on the photos of ``annotations`` in the folder ``images``.

    Returns:
        Entries of COCO's result file with image_id, category_id, bbox (x, y, width, height) and score, photo by photo.

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
    """Clean the boxes as annotated boxes are cleaned (``clean_box``), and drop entries with no area left."""
    kept = []
    for entry in entries:
        image = annotations.images[entry["image_id"]]
        box = clean_box(tuple(entry["bbox"]), (image["width"], image["height"]))
        kept += [] if box is None else [entry | {"bbox": [*box]}]
    return kept
