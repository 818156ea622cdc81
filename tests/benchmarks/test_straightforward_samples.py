"""The straightforward pipeline, a reference for speed, creates the same samples as ours."""

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from litehrnet.data.photos import PhotoCache
from litehrnet.data.samples import make_batch
from litehrnet.data.settings import AugmentationConfig, DataConfig
from litehrnet.data.trainingset import TrainingSet, read_training_set
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.crop import IMAGENET_STD, normalize
from litehrnet.keypoints.skeletons import COCO

# OpenCV rounds a mirrored photo's crop and the crop by a mirrored matrix apart by one gray level at most.
GRAY_LEVEL = 1 / (255 * min(IMAGENET_STD))
EXACT = AugmentationConfig(exact_images=True)


@pytest.fixture
def straightforward(project: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(project)
    return importlib.import_module("benchmarks.straightforward_samples")


def _assert_same(straightforward: ModuleType, training_set: TrainingSet, epoch: int, indices: list[int]) -> None:
    images, targets, weights = straightforward.straightforward_batch(training_set, epoch, indices)
    ours = make_batch(training_set, epoch, indices, PhotoCache())
    np.testing.assert_allclose(ours.targets, targets, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(ours.weights, weights)
    difference = np.abs(normalize(ours.images) - images)
    assert difference.max() <= 1.01 * GRAY_LEVEL
    assert difference.mean() < 0.01 * GRAY_LEVEL


def test_drawn_samples_are_equal(straightforward: ModuleType, drawn_coco: DataConfig) -> None:
    training_set = read_training_set([drawn_coco], COCO, (96, 128), HeatmapCodec(), EXACT, seed=1)
    for epoch in range(5):
        _assert_same(straightforward, training_set, epoch, [0, 1, 2])


def test_samples_of_real_photos_are_equal(straightforward: ModuleType, shared: Path) -> None:
    folder = shared / "data" / "coco_dev"
    config = DataConfig("coco", str(folder / "annotations.json"), str(folder / "images"))
    training_set = read_training_set([config], COCO, (192, 256), HeatmapCodec(), EXACT, seed=0)
    _assert_same(straightforward, training_set, 0, list(range(0, len(training_set), 13)))


def test_reduced_photos_change_samples_little(shared: Path) -> None:
    folder = shared / "data" / "coco_dev"
    config = DataConfig("coco", str(folder / "annotations.json"), str(folder / "images"))
    exact = read_training_set([config], COCO, (96, 128), HeatmapCodec(), EXACT, seed=0)
    reduced = replace(exact, augmentation=replace(EXACT, exact_images=False))
    indices = list(range(0, len(exact), 13))
    first, second = (make_batch(each, 0, indices, PhotoCache()) for each in (exact, reduced))
    np.testing.assert_array_equal(first.targets, second.targets)
    difference = np.abs(first.images.astype(int) - second.images).mean(axis=(1, 2, 3))
    assert 0.5 < difference.max() < 10
    assert difference.mean() < 4
    assert (difference == 0).any()  # of photos that are shrunk by less than two
