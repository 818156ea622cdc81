"""Drawn persons with their joints, written as a set of COCO's form."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from litehrnet import write_image
from litehrnet.keypoints.skeletons import COCO

DrawnPerson = tuple[NDArray[np.uint8], NDArray[np.floating], NDArray[np.floating]]
"""Picture (h, w, 3), joints (17, 2) and box (4,): left, top, width, height, in pixels."""


def write_drawn_persons(persons: Sequence[DrawnPerson], annotations: Path, images: Path, ending: str) -> None:
    """Write pictures of one person each into a new folder, numbered from 1, and their annotations."""
    images.mkdir()
    records, persons_found = [], []
    for number, (picture, joints, box) in enumerate(persons, start=1):
        height, width = picture.shape[:2]
        name = f"{number:012}{ending}"
        write_image(images / name, picture)
        records.append({"id": number, "file_name": name, "width": width, "height": height})
        persons_found.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": box.tolist(),
                "area": float(box[2] * box[3] / 2),
                "keypoints": np.column_stack([joints, np.full(17, 2)]).ravel().tolist(),
                "num_keypoints": 17,
            }
        )
    category = {"id": 1, "name": "person", "keypoints": COCO.keypoint_names, "skeleton": []}
    content = {"images": records, "annotations": persons_found, "categories": [category]}
    annotations.write_text(json.dumps(content))
