from typing import Any

import numpy as np
import pytest

from litehrnet.data.contact_sheet import COLUMNS, contact_sheet, target_poses
from litehrnet.data.photos import PhotoCache
from litehrnet.data.samples import draw_crops, make_batch
from litehrnet.data.settings import AugmentationConfig, DataConfig
from litehrnet.data.trainingset import TrainingSet, read_training_set
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.skeletons import COCO


def _training_set(config: DataConfig, kind: Any = "default") -> TrainingSet:
    return read_training_set([config], COCO, (192, 256), HeatmapCodec(kind), AugmentationConfig(), seed=2)


@pytest.mark.parametrize("kind", ["default", "dark", "udp"])
def test_skeletons_are_drawn_where_the_joints_are(drawn_coco: DataConfig, kind: str) -> None:
    training_set = _training_set(drawn_coco, kind)
    poses = target_poses(make_batch(training_set, 0, [0, 1, 2], PhotoCache()), training_set)
    generators = [np.random.default_rng([2, 0, index]) for index in range(3)]
    crops = draw_crops(training_set, [0, 1, 2], generators, PhotoCache())
    for pose, joints in zip(poses, crops.joints_xy, strict=True):
        inside = ((joints > 30) & (joints < np.array([162, 226]))).all(axis=1)
        assert inside.any()
        assert np.abs(pose.keypoints[0] - joints)[inside].max() <= 3


def test_joints_without_a_target_are_left_out(drawn_coco: DataConfig) -> None:
    training_set = _training_set(drawn_coco)
    batch = make_batch(training_set, 0, [0], PhotoCache())
    batch.targets[0, 4], batch.weights[0, 4] = 0, 0
    (pose,) = target_poses(batch, training_set)
    assert np.isnan(pose.keypoints[0, 4]).all()


@pytest.mark.parametrize(("samples", "rows", "columns"), [(1, 1, 1), (3, 1, 3), (8, 1, 8), (9, 2, 8)])
def test_samples_stand_in_rows(drawn_coco: DataConfig, samples: int, rows: int, columns: int) -> None:
    training_set = _training_set(drawn_coco)
    batch = make_batch(training_set, 0, [i % 3 for i in range(samples)], PhotoCache())
    assert columns <= COLUMNS
    assert contact_sheet(batch, training_set).shape == (rows * (256 + 16), columns * 192, 3)
