"""One person of a dataset: what crops and evaluation are made from (docs/spec/protocol.md, section 1)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes


@dataclass(frozen=True)
class Record:
    """One person in one photo.

    Attributes:
        image_file: Path of the photo.
        image_id: Number of the photo in COCO's files; 0 for MPII, which has none.
        box_id: Tells persons apart: within a photo for annotated boxes, within the file otherwise.
        center: (2,) center of the box in image pixels; float32 for COCO, float64 for MPII, as published.
        scale: (2,) width and height of the padded box in units of 200 image pixels.
        box_score: 0..1; 1 for annotated boxes.
        joints_xy: float32 (keypoints, 2) in image pixels; zeros where there is no annotation.
        visible: float32 (keypoints,): 1 for annotated joints, also hidden ones, 0 for others.
        box_wh: (2,) width and height of an annotated COCO box, clean but not grown; None for all others.
    """

    image_file: Path
    image_id: int
    box_id: int
    center: NDArray[np.floating]
    scale: NDArray[np.floating]
    box_score: float
    joints_xy: NDArray[np.float32]
    visible: NDArray[np.float32]
    box_wh: NDArray[np.float64] | None = None


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        UserError: The file is missing or no JSON.
    """
    try:
        return json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a JSON file ({error})") from error
