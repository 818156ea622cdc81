"""MPII annotations as records (protocol specification, section 1.2)."""

from pathlib import Path

import numpy as np

from litehrnet.data.records import Record, read_json
from litehrnet.errors import UserError
from litehrnet.keypoints.boxes import PADDING

# What the annotated centre is moved down by, in units of the annotated scale.
_SHIFT_DOWN = 15


def mpii_records(annotations: Path, images: Path, *, with_joints: bool) -> list[Record]:
    """Records of all persons in an MPII annotation file, in file order.

    The file counts pixels from 1, records count from 0.

    Args:
        annotations: JSON list of image, center, scale, joints and joints_vis.
        images: Folder of the photos.
        with_joints: Read the joints, as for training; testing leaves them zero and invisible.

    Raises:
        UserError: The file is missing or no such list.
    """
    entries = read_json(annotations)
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{annotations}: not MPII annotations (expected a list of persons)")
    records = []
    for index, entry in enumerate(entries):
        try:
            center = np.array(entry["center"], np.float64)
            scale = float(entry["scale"])
            joints = np.array(entry["joints"], np.float64) - 1 if with_joints else np.zeros((16, 2))
            visible = np.array(entry["joints_vis"]) if with_joints else np.zeros(16)
            image_file = images / entry["image"]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{annotations}: person {index} is incomplete (expected image, center and scale)"
            ) from error
        padded = scale
        if center[0] != -1:
            center[1] += _SHIFT_DOWN * scale
            padded = scale * PADDING
        records.append(
            Record(
                image_file=image_file,
                image_id=0,
                box_id=index,
                center=center - 1,
                scale=np.array([padded, padded]),
                box_score=1.0,
                joints_xy=joints.astype(np.float32),
                visible=visible.astype(np.float32),
            )
        )
    return records
