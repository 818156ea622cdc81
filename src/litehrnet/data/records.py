"""People of a data set: what crops and evaluation are made from (docs/spec/protocol.md, section 1)."""

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.arrays import Floats, Floats32, Floats64
from litehrnet.errors import UserError
from litehrnet.io.archives import read_data_file
from litehrnet.keypoints.sides import part_key
from litehrnet.poses import KeypointSet


@dataclass(frozen=True)
class Record:
    """One person in one photo.

    Attributes:
        image_file: Path of the photo.
        image_id: Number of the photo in COCO's files; 0 for MPII, which has no such numbers.
        box_id: Number of the person, unique in the photo for annotated boxes, otherwise in the file.
        center: (2,) center of the box in image pixels; float32 for COCO, float64 for MPII, as in the reference.
        scale: (2,) width and height of the padded box in units of 200 image pixels.
        box_score: 0..1; 1 for annotated boxes.
        joints_xy: float32 (keypoints, 2) in image pixels; zeros where there is no annotation.
        visible: float32 (keypoints,): 1 for annotated joints, also hidden ones, 0 for others.
        box_wh: (2,) width and height of an annotated COCO box, clean but not grown; None for other boxes.
        image_wh: Width and height of the photo in the annotations; None where they have none.
    """

    image_file: Path
    image_id: int
    box_id: int
    center: Floats
    scale: Floats
    box_score: float
    joints_xy: Floats32
    visible: Floats32
    box_wh: Floats64 | None = None
    image_wh: tuple[float, float] | None = None


@dataclass(frozen=True)
class PeopleToEvaluate:
    """People to evaluate on.

    Attributes:
        records: One for each box.
        box_source: Source of the boxes in a few words.
        image_ids: Numbers of the photos that count, for metrics that need photos without people as well.
    """

    records: list[Record]
    box_source: str
    image_ids: Collection[int] = ()


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        UserError: The file is missing or not JSON.
    """
    try:
        return json.loads(read_data_file(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a JSON file ({error})") from error


def mapped(records: list[Record], names: tuple[str, ...], target: KeypointSet, source: str) -> list[Record]:
    """Change records from the keypoints ``names`` to those of ``target``, matched by name in any spelling.

    Keypoints that are not among ``names`` become invisible. Where there are such keypoints, people without any visible
    keypoint are dropped.

    Args:
        records: People with the keypoints ``names``.
        names: Their keypoints.
        target: Keypoint set of the result.
        source: Annotation file, for the error message.

    Raises:
        UserError: The two have no name in common.
    """
    keys, target_keys = list(map(part_key, names)), list(map(part_key, target.keypoint_names))
    if keys == target_keys:
        return records
    order = np.array([keys.index(key) if key in keys else -1 for key in target_keys])
    known = order >= 0
    if not known.any():
        raise UserError(
            f"{source}: none of its keypoints ({', '.join(names)}) is one of {', '.join(target.keypoint_names)}"
        )
    moved = (
        replace(
            record,
            joints_xy=np.where(known[:, None], record.joints_xy[order], np.float32(0)),
            visible=np.where(known, record.visible[order], np.float32(0)),
        )
        for record in records
    )
    return [record for record in moved if record.visible.any()]
