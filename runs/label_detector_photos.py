"""Write the annotation files of litehrnet_18_person_320x320_more: crops and photos with every person's box.

Run: ``python runs/label_detector_photos.py DATA DETECTOR OUT``. DATA contains the sets below, and DETECTOR is a trained
person detector. OUT receives one annotation file per set; the photos stay where they are.

Crops of LSPET and MPII have the joints of one person. The box of the joints is smaller than the person. So a detector's
box that agrees with it is joined with it. If no box agrees, the joints' box grows by the mean margins of the others.
Other sure boxes of the detector become people, and unsure ones become ignored regions (crowds).

In photos of COCO, some boxes without keypoints are groups of people. They become ignored regions, too.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.detectors.detections import Detector
from litehrnet.detectors.detector import open_detector
from litehrnet.io.files import new_folder
from litehrnet.io.images import read_image

CROPS = ("lspet", "lspet_more", "mpii_crops", "mpii_train_crops")
PHOTOS = ("coco_train_photos", "coco_val_photos")

SURE, UNSURE = 0.5, 0.2
"""Lowest scores of a person and of an ignored region."""

AGREEMENT = 0.4
"""Lowest intersection over union of the detector's box of a person with the box of the joints."""

SAME = 0.7
"""Boxes that share a larger part of the smaller one show the same person."""

GROUP = 3
"""A box without keypoints that contains this many other boxes is a group."""

Floats = NDArray[np.float64]


def main() -> None:
    """Write all annotation files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("detector")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    detector = open_detector(options.detector, min_score=UNSURE, threads=1)
    with new_folder(options.out) as out:
        for name in CROPS + PHOTOS:
            folder = options.data / name
            annotations = json.loads((folder / "annotations.json").read_text())
            if name in CROPS:
                annotations = labeled_crops(annotations, folder / "images", detector)
            else:
                annotations = without_groups(annotations)
            (out / f"{name}.json").write_text(json.dumps(annotations))
            crowds = sum(annotation["iscrowd"] for annotation in annotations["annotations"])
            people = len(annotations["annotations"]) - crowds
            sys.stdout.write(f"{name}: {people} people, {crowds} ignored regions\n")
            sys.stdout.flush()


def without_groups(annotations: dict[str, Any]) -> dict[str, Any]:
    """Mark boxes of groups as crowds."""
    boxes: dict[Any, list[list[float]]] = {}
    for annotation in annotations["annotations"]:
        boxes.setdefault(annotation["image_id"], []).append(annotation["bbox"])
    marked = []
    for annotation in annotations["annotations"]:
        own, others = corners([annotation["bbox"]]), corners(boxes[annotation["image_id"]])
        contained = (shared(others, own)[:, 0] >= 0.8 * areas(others)).sum() - 1  # without itself
        group = annotation["num_keypoints"] == 0 and contained >= GROUP
        marked.append(annotation | {"iscrowd": int(group or annotation["iscrowd"])})
    return annotations | {"annotations": marked}


def labeled_crops(annotations: dict[str, Any], images: Path, detector: Detector) -> dict[str, Any]:
    """Find every person's box in crops with one annotated person each."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in annotations["images"]}
    files = {image["id"]: images / image["file_name"] for image in annotations["images"]}
    found, marked, own = [], [], []
    for annotation in annotations["annotations"]:
        boxes = detector.detect(read_image(files[annotation["image_id"]]))
        found.append((corners(boxes.boxes), boxes.scores))
        marked.append(corners([annotation["bbox"]]))
        own.append(own_box(marked[-1], found[-1][0]))
    margins = np.mean(
        [relative(whole, joints) for whole, joints in zip(own, marked, strict=True) if whole is not None], 0
    )
    labels = []
    for annotation, whole, joints, (others, scores) in zip(annotations["annotations"], own, marked, found, strict=True):
        number = annotation["image_id"]
        person = grown(joints, margins, sizes[number]) if whole is None else whole
        people, regions = other_people(person, others, scores)
        labels += [(number, box, 0) for box in np.concatenate([person, people])]
        labels += [(number, box, 1) for box in regions]
    entries = [
        {"id": place, "image_id": number, "category_id": 1, "iscrowd": crowd, **box_and_area(box)}
        for place, (number, box, crowd) in enumerate(labels, 1)
    ]
    return {"images": annotations["images"], "annotations": entries, "categories": [{"id": 1, "name": "person"}]}


def own_box(joints: Floats, found: Floats) -> Floats | None:
    """Join the box of the joints (1, 4) with the found box that agrees best; None if no box agrees."""
    overlap = shared(found, joints)[:, 0]
    iou = overlap / (areas(found) + areas(joints) - overlap)
    if not len(found) or iou.max() < AGREEMENT:
        return None
    best = found[[iou.argmax()]]
    return np.concatenate([np.minimum(best, joints)[:, :2], np.maximum(best, joints)[:, 2:]], axis=1)


def other_people(person: Floats, found: Floats, scores: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Divide found boxes that do not show a person (1, 4) into other people and ignored regions."""
    other = shared(found, person)[:, 0] < SAME * np.minimum(areas(found), areas(person))
    return found[other & (scores >= SURE)], found[other & (scores < SURE)]


def relative(box: Floats, inner: Floats) -> Floats:
    """Distances (1, 4) of the sides of two boxes, divided by the width or height of the second."""
    return (box - inner) / np.tile(inner[:, 2:] - inner[:, :2], 2)


def grown(box: Floats, margins: Floats, size_wh: tuple[int, int]) -> Floats:
    """Move the sides of a box (1, 4) by ``margins`` (see ``relative``), and cut it to the photo."""
    return (box + margins * np.tile(box[:, 2:] - box[:, :2], 2)).clip(0, np.tile(size_wh, 2))


def corners(boxes: Any) -> Floats:
    """Convert boxes (x, y, width, height) to corners float64 (boxes, 4)."""
    array = np.array(boxes, np.float64).reshape(-1, 4)
    return np.concatenate([array[:, :2], array[:, :2] + array[:, 2:]], axis=1)


def areas(boxes: Floats) -> Floats:
    """Areas (boxes,) of corners."""
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


def shared(first: Floats, second: Floats) -> Floats:
    """Shared areas (first, second) of corners."""
    low, high = np.maximum(first[:, None, :2], second[None, :, :2]), np.minimum(first[:, None, 2:], second[None, :, 2:])
    return (high - low).clip(min=0).prod(axis=2)


def box_and_area(box: Floats) -> dict[str, Any]:
    """Corners (4,) as COCO's ``bbox`` and ``area``."""
    x1, y1, x2, y2 = box.round(2).tolist()
    width, height = round(x2 - x1, 2), round(y2 - y1, 2)
    return {"bbox": [x1, y1, width, height], "area": round(width * height, 2)}


if __name__ == "__main__":
    main()
