"""Annotated persons of one or more files, on the keypoints of one run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.augmentation import RandomNumbers, jitter
from litehrnet.data.coco import CocoAnnotations, ground_truth_records, read_annotations, refuse_photo_lists
from litehrnet.data.mpii import mpii_records
from litehrnet.data.photos import check_photos
from litehrnet.data.records import Record
from litehrnet.data.settings import AugmentationConfig, DataConfig
from litehrnet.errors import UserError
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.skeletons import MPII, find_keypoint_set
from litehrnet.poses import KeypointSet


@dataclass(frozen=True)
class TrainingSet:
    """Everything that samples are made from.

    Attributes:
        records: Persons, with the run's keypoints in the run's order.
        keypoint_set: The run's.
        input_size_wh: Width and height of the crops.
        codec: How joints become heatmaps.
        augmentation: How samples vary.
        seed: Of all that is drawn.
    """

    records: tuple[Record, ...]
    keypoint_set: KeypointSet
    input_size_wh: tuple[int, int]
    codec: HeatmapCodec
    augmentation: AugmentationConfig
    seed: int

    def __len__(self) -> int:
        return len(self.records)


def read_training_set(
    data: Sequence[DataConfig],
    keypoint_set: KeypointSet,
    input_size_wh: tuple[int, int],
    codec: HeatmapCodec,
    augmentation: AugmentationConfig,
    seed: int,
) -> TrainingSet:
    """Read the persons of all files, one file after another.

    Keypoints are matched by name; a person's that a file does not have are invisible. The centers of persons in COCO's
    format are jittered here, once for the whole run, as published. Photos that are
    missing, cut short or no pictures make one error; ``litehrnet data check`` decodes them, which finds more.

    Args:
        data: Annotation files and folders of photos.
        keypoint_set: The run's keypoints.
        input_size_wh: Width and height of the crops.
        codec: How joints become heatmaps.
        augmentation: How samples vary.
        seed: Of all that is drawn.

    Raises:
        UserError: A file is missing or broken, has none of the run's keypoints, or photos are missing or broken.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    records: list[Record] = []
    for config in data:
        records += _jittered(_records(config, keypoint_set, input_size_wh), rng, augmentation)
    files = ", ".join(config.annotations for config in data) or "the recipe's train"
    if not records:
        raise UserError(f"{files}: no person to train on (expected annotations with visible keypoints)")
    check_photos((record.image_file for record in records), files)
    return TrainingSet(tuple(records), keypoint_set, input_size_wh, codec, augmentation, seed)


def _records(config: DataConfig, keypoint_set: KeypointSet, input_size_wh: tuple[int, int]) -> list[Record]:
    if config.format == "mpii":
        refuse_photo_lists(config.annotations, config.only, config.without)
        source = find_keypoint_set(config.keypoints) if config.keypoints else MPII
        records = mpii_records(Path(config.annotations), Path(config.images), with_joints=True)
        _check_joint_count(records, len(source), config.annotations)
        records = [replace(record, scale=_grown(record, input_size_wh)) for record in records]
        return mapped(records, source.keypoint_names, keypoint_set, config.annotations)
    annotations = read_annotations(Path(config.annotations), config.only, config.without)
    names = keypoint_names(config, annotations, keypoint_set)
    records = ground_truth_records(annotations, Path(config.images), len(names), input_size_wh)
    return mapped(records, names, keypoint_set, config.annotations)


def keypoint_names(config: DataConfig, annotations: CocoAnnotations, keypoint_set: KeypointSet) -> tuple[str, ...]:
    """Names of the keypoints of a file in COCO's format: as the recipe says, else the file, else as the run's.

    Raises:
        UserError: The recipe names a keypoint set that there is not.
    """
    if config.keypoints:
        return find_keypoint_set(config.keypoints).keypoint_names
    return annotations.keypoint_names or keypoint_set.keypoint_names


def mapped(records: list[Record], names: tuple[str, ...], target: KeypointSet, source: str) -> list[Record]:
    """Records of the keypoints ``names`` as records of the keypoints of ``target``, matched by name.

    Keypoints that are not among ``names`` are invisible; where there are such, persons of whom nothing visible is left
    are dropped.

    Args:
        records: With ``names``.
        names: Of their keypoints.
        target: What they are to have.
        source: Their file, for the error.

    Raises:
        UserError: The two have no name in common.
    """
    if names == target.keypoint_names:
        return records
    order = np.array([names.index(name) if name in names else -1 for name in target.keypoint_names])
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


def _check_joint_count(records: list[Record], expected: int, source: str) -> None:
    for record in records:
        if len(record.visible) != expected:
            raise UserError(f"{source}: person {record.box_id} has {len(record.visible)} joints (expected {expected})")


def _grown(record: Record, input_size_wh: tuple[int, int]) -> NDArray[np.floating]:
    # MPII's scale is that of a square; crops of another shape are made to hold it.
    aspect = input_size_wh[0] / input_size_wh[1]
    return record.scale * (max(1.0, aspect), max(1.0, 1 / aspect))


def _jittered(records: list[Record], rng: RandomNumbers, augmentation: AugmentationConfig) -> list[Record]:
    probability = augmentation.center_jitter_probability
    return [
        record
        if record.box_wh is None
        else replace(record, center=jitter(record.center, record.box_wh, rng, probability))
        for record in records
    ]
