"""Annotated people of one or more files, with the keypoints of one run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from litehrnet.data.augmentation import RandomNumbers, jitter
from litehrnet.data.formats import find_format
from litehrnet.data.photos import check_photos
from litehrnet.data.records import Record
from litehrnet.data.settings import AugmentationConfig, DataConfig
from litehrnet.errors import UserError
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.poses import KeypointSet


@dataclass(frozen=True)
class TrainingSet:
    """Everything that samples are made from.

    Attributes:
        records: People, with the run's keypoints in the run's order.
        keypoint_set: Keypoints of the run.
        input_size_wh: (width, height) of the crops in pixels.
        codec: Conversion of joints to heatmaps.
        augmentation: Variation of the samples.
        seed: Seed of all random numbers.
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
    *,
    skip_broken: bool = False,
) -> TrainingSet:
    """Read the people of all files, one file after another.

    Keypoints are matched by name; those that a file lacks are invisible. Centers of annotated boxes are jittered here,
    once for the whole run, as in the reference implementation. Missing or broken photos give one error that names
    them, unless ``skip_broken`` leaves them out later; ``litehrnet data check`` decodes the photos and finds more.
    Other arguments are the attributes of the result.

    Raises:
        UserError: A file is missing or broken, has none of the run's keypoints, or photos are missing or broken.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    records: list[Record] = []
    for config in data:
        people = find_format(config.format).read(config, keypoint_set, input_size_wh)
        records += _jittered(people, rng, augmentation)
    files = ", ".join(config.annotations for config in data) or "the recipe's train"
    if not records:
        raise UserError(f"{files}: nobody to train on (expected annotations with visible keypoints)")
    if not skip_broken:
        check_photos(((record.image_file, record.image_wh) for record in records), files)
    return TrainingSet(tuple(records), keypoint_set, input_size_wh, codec, augmentation, seed)


def _jittered(records: list[Record], rng: RandomNumbers, augmentation: AugmentationConfig) -> list[Record]:
    probability = augmentation.center_jitter_probability
    return [
        record
        if record.box_wh is None
        else replace(record, center=jitter(record.center, record.box_wh, rng, probability))
        for record in records
    ]
