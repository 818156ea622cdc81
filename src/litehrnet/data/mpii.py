"""MPII annotations as records (docs/spec/protocol.md, section 1.2)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.arrays import Floats
from litehrnet.data.coco import check_keypoint_count
from litehrnet.data.records import PeopleToEvaluate, Record, mapped, read_json
from litehrnet.data.settings import DataConfig, EvalConfig
from litehrnet.errors import UserError
from litehrnet.keypoints.boxes import PADDING
from litehrnet.keypoints.skeletons import MPII, find_keypoint_set
from litehrnet.poses import KeypointSet

# The annotated center is moved down by this, in units of the annotated scale.
_SHIFT_DOWN = 15


def read_mpii_people(config: DataConfig, keypoint_set: KeypointSet, input_size_wh: tuple[int, int]) -> list[Record]:
    """Read the people of a file to train on; arguments as for ``read_coco_people``.

    Raises:
        UserError: The file is missing or broken, has none of the keypoints, or a list of photos is given.
    """
    _refuse_photo_lists(config)
    source = find_keypoint_set(config.keypoints) if config.keypoints else MPII
    records = mpii_records(Path(config.annotations), Path(config.images), with_joints=True)
    _check_joint_count(records, len(source), config.annotations)
    records = [replace(record, scale=_grown(record, input_size_wh)) for record in records]
    return mapped(records, source.keypoint_names, keypoint_set, config.annotations)


def read_mpii_test(
    test: EvalConfig, keypoint_set: KeypointSet, input_size_wh: tuple[int, int], weights: Path
) -> PeopleToEvaluate:
    """Read the people of a file to evaluate on; arguments as for ``read_coco_test``.

    Raises:
        UserError: The file is missing or broken, the network has other keypoints, or a list of photos is given.
    """
    _refuse_photo_lists(test)
    path = Path(test.annotations)
    check_keypoint_count(keypoint_set, len(MPII), path, weights)
    records = mpii_records(path, Path(test.images), with_joints=False)
    return PeopleToEvaluate(records, f"annotated center and scale ({path})")


def _refuse_photo_lists(config: DataConfig | EvalConfig) -> None:
    if config.only is not None or config.without is not None:
        raise UserError(
            f"{config.annotations}: MPII's photos have no numbers (expected neither only nor without, or COCO format)"
        )
    if config.category is not None:
        raise UserError(
            f"{config.annotations}: MPII's people have no categories (expected no category, or COCO format)"
        )


def _check_joint_count(records: list[Record], expected: int, source: str) -> None:
    for record in records:
        if len(record.visible) != expected:
            raise UserError(f"{source}: person {record.box_id} has {len(record.visible)} joints (expected {expected})")


def _grown(record: Record, input_size_wh: tuple[int, int]) -> Floats:
    # MPII's scale belongs to a square; crops of another shape are grown until they contain it.
    aspect = input_size_wh[0] / input_size_wh[1]
    return record.scale * (max(1.0, aspect), max(1.0, 1 / aspect))


def mpii_records(annotations: Path, images: Path, *, with_joints: bool) -> list[Record]:
    """Make records of all people in an MPII annotation file, in file order.

    The file counts pixels from 1, records count them from 0.

    Args:
        annotations: JSON list of image, center, scale, joints and joints_vis.
        images: Folder of the photos.
        with_joints: Read the joints, as for training. Otherwise they are zero and invisible.

    Raises:
        UserError: The file is missing or is not such a list, or an entry is incomplete.
    """
    entries = read_json(annotations)
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{annotations}: not MPII annotations (expected a list of people)")
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
