"""Share of people that the default command finds in held-out photos, and share of what it finds that is right.

Run: ``python -m benchmarks.found_people DATA``. DATA contains ``coco_val_photos``. The photos are those of
configs/own/heldout_coco_image_ids.txt. A person is right if its box has an IoU of 0.5 or more with an annotated box.
Each annotated box counts once, and crowds are left out.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from litehrnet import PoseEstimator, open_detector, read_image
from litehrnet.data.detection import DetectionRecord
from litehrnet.data.settings import EvalConfig
from litehrnet.evaluation.detection import read_detection_eval_set
from litehrnet.keypoints.boxes import pairwise_iou

HELD_OUT = Path(__file__).resolve().parents[1] / "configs" / "own" / "heldout_coco_image_ids.txt"
MIN_IOU = 0.5

Boxes = NDArray[np.floating]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder that contains coco_val_photos")
    folder = parser.parse_args().data / "coco_val_photos"
    test = EvalConfig("coco", str(folder / "annotations.json"), str(folder / "images"), only=str(HELD_OUT))
    photos = read_detection_eval_set(test, "person").records
    estimator, detector = PoseEstimator(), open_detector("person", min_score=0.3)
    ways: dict[str, Callable[[Path], Boxes]] = {
        "default of predict": lambda file: estimator.predict(file).boxes,
        "box score of 0.3 alone": lambda file: detector.detect(read_image(file)).boxes,
    }
    annotated = sum(len(photo.corners) for photo in photos)
    print(f"{len(photos)} photos, {annotated} people")
    for name, find in ways.items():
        found = [find(photo.image_file) for photo in photos]
        kept = sum(map(len, found))
        right = sum(right_people(boxes, photo) for boxes, photo in zip(found, photos, strict=True))
        print(f"{name}: {kept} people, {right / kept:.0%} right, {right / annotated:.0%} of the annotated ones found")


def right_people(boxes: Boxes, photo: DetectionRecord) -> int:
    """Number of boxes (x, y, width, height) in falling order of score that match an annotated box of their own."""
    annotated = np.concatenate([photo.corners[:, :2], photo.corners[:, 2:] - photo.corners[:, :2]], axis=1)
    free = np.ones(len(annotated), bool)
    for overlaps in pairwise_iou(np.asarray(boxes, float).reshape(-1, 4), annotated):
        best = int(np.argmax(np.where(free, overlaps, -1))) if free.any() else -1
        if best >= 0 and overlaps[best] >= MIN_IOU:
            free[best] = False
    return int((~free).sum())


if __name__ == "__main__":
    main()
