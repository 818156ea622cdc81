"""Evaluation of a detector: its boxes against annotated boxes, by pycocotools."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.arrays import Floats64
from litehrnet.data.coco import CocoAnnotations, read_annotations
from litehrnet.data.detection import DetectionRecord, category_of, detection_records
from litehrnet.data.formats import BOX_AP
from litehrnet.data.photos import check_photos
from litehrnet.data.settings import EvalConfig
from litehrnet.detectors.detections import Detector
from litehrnet.evaluation.coco import precision_and_recall
from litehrnet.io.images import read_image
from litehrnet.io.progress import SILENT, Progress

MIN_SCORE = 0.01
"""Boxes with a lower score are not counted: average precision gains little from the unsure ones."""

Found = Floats64


@dataclass(frozen=True)
class DetectionEvalSet:
    """Photos with annotated boxes to test a detector on.

    Attributes:
        test: Settings of the evaluation.
        annotations: The parsed annotation file.
        records: The photos, in file order.
        objects: Name of the object class.
    """

    test: EvalConfig
    annotations: CocoAnnotations
    records: tuple[DetectionRecord, ...]
    objects: str

    @property
    def how(self) -> str:
        """Description of the evaluation, for logs."""
        return f"{len(self.records)} photos"


def read_detection_eval_set(test: EvalConfig, objects: str) -> DetectionEvalSet:
    """Read the annotations of an evaluation, and check that the photos are there.

    Raises:
        UserError: A file is missing or broken, or has no such category.
    """
    path = Path(test.annotations)
    annotations = read_annotations(path, test.only, test.without)
    records = tuple(detection_records(annotations, Path(test.images), objects))
    check_photos(((record.image_file, record.image_wh) for record in records), str(path))
    return DetectionEvalSet(test, annotations, records, objects)


def found_boxes(detector: Detector, records: Sequence[DetectionRecord], progress: Progress = SILENT) -> Found:
    """Run a detector with a low lowest score, such as ``MIN_SCORE``, on photos, which progress counts.

    Returns:
        float64 (boxes, 6): number of the photo, x, y, width, height, score.

    Raises:
        UserError: A photo is broken.
    """
    rows = [np.empty((0, 6))]
    progress.start(len(records))
    for record in records:
        found = detector.detect(read_image(record.image_file))
        numbers = np.full((len(found.scores), 1), record.number, np.float64)
        rows.append(np.concatenate([numbers, found.boxes, found.scores[:, None]], axis=1))
        progress.advance(1)
    return np.concatenate(rows)


def box_metrics(test: DetectionEvalSet, found: Found) -> dict[str, float | None]:
    """Compute average precision and recall of boxes with pycocotools.

    Args:
        test: The annotated boxes of its object class; crowds count as COCO counts them.
        found: From ``found_boxes``.

    Returns:
        The values of ``BOX_AP`` by name, 0..1; None where no object is annotated, such as no small one. AP is average
        precision over IoU 0.50 to 0.95, at 0.50, at 0.75, of small, medium and large objects. AR is average recall of
        1, 10 and 100 boxes per photo, of small, medium and large objects.
    """
    results = [
        {"image_id": int(number), "bbox": box, "area": box[2] * box[3], "score": score, "iscrowd": 0}
        for number, *box, score in found.tolist()
    ]
    return precision_and_recall(range(len(test.records)), _annotated(test), results, "bbox", BOX_AP.values)


def _annotated(test: DetectionEvalSet) -> list[dict[str, Any]]:
    category = category_of(test.annotations, test.objects)
    return [
        {
            "image_id": number,
            "bbox": annotation["bbox"],
            "area": annotation.get("area") or annotation["bbox"][2] * annotation["bbox"][3],
            "iscrowd": int(annotation.get("iscrowd") or 0),
        }
        for number, image_id in enumerate(test.annotations.images)
        for annotation in test.annotations.by_image[image_id]
        if annotation.get("bbox") and category in (None, annotation.get("category_id"))
    ]
