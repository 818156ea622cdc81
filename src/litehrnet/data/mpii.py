"""MPII annotations as records (docs/spec/protocol.md, section 1.2)."""

from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.data.records import Record, read_json
from litehrnet.errors import UserError
from litehrnet.keypoints.boxes import PADDING

# What the annotated center is moved down by, in units of the annotated scale.
_SHIFT_DOWN = 15


def mpii_records(annotations: Path, images: Path, *, with_joints: bool) -> list[Record]:
    """Records of all persons in an MPII annotation file, in file order.

    The file counts pixels from 1, records count from 0.

    Args:
        annotations: JSON list of image, center, scale, joints and joints_vis.
        images: Folder of the photos.
        with_joints: Read the joints, as for training; testing leaves them zero and invisible.

    Raises:
        UserError: The file is missing or no such list, or an entry is incomplete.
    """
    entries = read_json(annotations)
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{annotations}: not MPII annotations (expected a list of persons)")
    return [_record(entry, index, annotations, images, with_joints) for index, entry in enumerate(entries)]


def _record(entry: Any, index: int, annotations: Path, images: Path, with_joints: bool) -> Record:
    try:
        center = np.array(entry["center"], np.float64)
        scale = float(entry["scale"])
        joints = np.array(entry["joints"], np.float64) - 1 if with_joints else np.zeros((16, 2))
        visible = np.array(entry["joints_vis"], np.float32) if with_joints else np.zeros(16, np.float32)
        image_file = images / entry["image"]
    except (KeyError, TypeError, ValueError) as error:
        wanted = "image, center, scale" + (", joints and joints_vis" if with_joints else "")
        raise UserError(f"{annotations}: person {index} is incomplete (expected {wanted})") from error
    if center.shape != (2,) or not np.isfinite(center).all() or not 0 < scale < np.inf:
        raise UserError(f"{annotations}: person {index} has no usable center and scale (expected x, y and one above 0)")
    if joints.shape != (len(visible), 2):
        raise UserError(f"{annotations}: person {index} has joints {joints.shape} (expected x, y for each joints_vis)")
    padded = scale
    if center[0] != -1:
        center[1] += _SHIFT_DOWN * scale
        padded = scale * PADDING
    return Record(
        image_file=image_file,
        image_id=0,
        box_id=index,
        center=center - 1,
        scale=np.array([padded, padded]),
        box_score=1.0,
        joints_xy=joints.astype(np.float32),
        visible=visible,
    )
