from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litehrnet.data.photos import PhotoCache
from litehrnet.data.samples import Batch, draw_crops, draw_image, make_batch, photo_matrices
from litehrnet.data.settings import AugmentationConfig, DataConfig
from litehrnet.data.trainingset import TrainingSet, read_training_set
from litehrnet.errors import UserError
from litehrnet.io.images import read_image, write_image
from litehrnet.keypoints.codec import HeatmapCodec, decode
from litehrnet.keypoints.crop import crop_matrices, inverse_matrices, transform_points, warp
from litehrnet.keypoints.skeletons import COCO

SIZE = (96, 128)
STILL = AugmentationConfig(
    flip_probability=0.0,
    half_body_probability=0.0,
    rotation_probability=0.0,
    scale=0.0,
    center_jitter_probability=0.0,
)
LOOKS = AugmentationConfig(
    brightness=0.2,
    contrast=0.4,
    saturation=0.5,
    blur_probability=0.5,
    cutout_probability=0.5,
    background_probability=0.5,
)


def _training_set(config: DataConfig, augmentation: AugmentationConfig, kind: Any = "default") -> TrainingSet:
    return read_training_set([config], COCO, SIZE, HeatmapCodec(kind), augmentation, seed=5)


def _assert_same(first: Batch, second: Batch) -> None:
    for name in ("images", "targets", "weights", "indices"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def _rows(batch: Batch, rows: list[int]) -> Batch:
    return Batch(batch.images[rows], batch.targets[rows], batch.weights[rows], batch.indices[rows])


@pytest.mark.parametrize("settings", [AugmentationConfig(), replace(LOOKS, anywhere_probability=0.5)])
@pytest.mark.parametrize("kind", ["default", "dark", "udp"])
def test_a_sample_depends_on_seed_epoch_and_index_alone(
    drawn_coco: DataConfig, kind: str, settings: AugmentationConfig
) -> None:
    training_set = _training_set(drawn_coco, settings, kind)
    together = make_batch(training_set, 3, [0, 1, 2, 0], PhotoCache())
    cache = PhotoCache(max_bytes=0)
    alone = [make_batch(training_set, 3, [index], cache) for index in (2, 0, 1)]
    for row, batch in zip((2, 0, 1), alone, strict=True):
        _assert_same(_rows(together, [row]), batch)
    _assert_same(_rows(together, [0]), _rows(together, [3]))


def test_epochs_indices_and_seeds_differ(drawn_coco: DataConfig) -> None:
    training_set = _training_set(drawn_coco, AugmentationConfig())
    cache = PhotoCache()
    images = [
        make_batch(training_set, 0, [0], cache).images,
        make_batch(training_set, 1, [0], cache).images,
        make_batch(training_set, 0, [1], cache).images,
        make_batch(replace(training_set, seed=6), 0, [0], cache).images,
    ]
    for first in range(4):
        for second in range(first):
            assert (images[first] != images[second]).any()


def test_shapes_and_types(drawn_coco: DataConfig) -> None:
    batch = make_batch(_training_set(drawn_coco, AugmentationConfig()), 0, [2, 0], PhotoCache())
    assert [array.shape for array in (batch.images, batch.targets, batch.weights)] == [
        (2, 128, 96, 3),
        (2, 17, 32, 24),
        (2, 17),
    ]
    assert [str(array.dtype) for array in (batch.images, batch.targets, batch.weights)] == [
        "uint8",
        "float32",
        "float32",
    ]
    assert batch.indices.tolist() == [2, 0]
    assert batch.indices.dtype == np.int64


@pytest.mark.parametrize("kind", ["default", "udp"])
def test_a_flipped_sample_is_the_mirrored_photos_crop(drawn_coco: DataConfig, kind: str) -> None:
    """What the published code does, a mirrored photo and then a crop, against the flip within the matrix."""
    training_set = _training_set(drawn_coco, replace(AugmentationConfig(exact_images=True), flip_probability=1.0), kind)
    batch = make_batch(training_set, 0, [0, 1, 2], PhotoCache())
    generators = [np.random.default_rng([5, 0, index]) for index in range(3)]
    crops = draw_crops(training_set, [0, 1, 2], generators, PhotoCache())
    assert crops.flipped.all()
    for image, photo, matrix in zip(batch.images, crops.photos, crops.matrices, strict=True):
        mirrored = np.ascontiguousarray(read_image(photo.path)[:, ::-1])
        difference = np.abs(image.astype(int) - warp(mirrored, matrix, SIZE))
        assert difference.max() <= 1


@pytest.mark.parametrize("kind", ["default", "dark", "udp"])
def test_targets_lie_on_the_joints_of_the_crop(drawn_coco: DataConfig, kind: Any) -> None:
    training_set = _training_set(drawn_coco, STILL, kind)
    batch = make_batch(training_set, 0, [0], PhotoCache())
    crops = draw_crops(training_set, [0], [np.random.default_rng(0)], PhotoCache())
    image_xy = training_set.records[0].joints_xy
    np.testing.assert_allclose(transform_points(image_xy[None], crops.matrices), crops.joints_xy, atol=1e-3)
    heatmap_xy, scores = decode(batch.targets, training_set.codec)
    stride = np.array([95 / 23, 127 / 31]) if kind == "udp" else 4
    # At the border the blur of decoding does not see whole Gaussians.
    inside = ((crops.joints_xy >= 16) & (crops.joints_xy < np.array(SIZE) - 16)).all(axis=2)
    assert inside.sum() > 10
    difference = np.abs(heatmap_xy * stride - crops.joints_xy)[inside]
    assert difference.max() <= (2 if kind == "default" else 0.15)
    assert scores[inside].min() > 0.8


def test_a_still_sample_is_the_evaluations_crop(drawn_coco: DataConfig) -> None:
    training_set = _training_set(drawn_coco, replace(STILL, exact_images=True))
    record = training_set.records[1]
    expected = warp(
        read_image(record.image_file), crop_matrices(record.center[None], record.scale[None], SIZE)[0], SIZE
    )
    np.testing.assert_array_equal(make_batch(training_set, 9, [1], PhotoCache()).images[0], expected)


def test_published_settings_draw_no_more_than_published(drawn_coco: DataConfig) -> None:
    training_set, cache = _training_set(drawn_coco, AugmentationConfig()), PhotoCache()
    for seed in range(20):
        ours, published = np.random.default_rng(seed), np.random.default_rng(seed)
        crops = draw_crops(training_set, [0], [ours], cache)
        draw_image(training_set, 0, crops.photos[0], photo_matrices(crops)[0], ours, cache)
        published.random()  # flip
        if published.random() < 0.3:  # half body, of all 17 joints
            published.standard_normal()
        published.standard_normal(), published.standard_normal(), published.random()  # zoom, turn
        assert ours.bit_generator.state == published.bit_generator.state


def test_how_a_crop_looks_moves_no_label(drawn_coco: DataConfig) -> None:
    plain, varied = (
        make_batch(_training_set(drawn_coco, settings), 4, [0, 1, 2], PhotoCache())
        for settings in (AugmentationConfig(), LOOKS)
    )
    assert plain.weights.any()
    np.testing.assert_array_equal(plain.weights, varied.weights)
    np.testing.assert_array_equal(plain.targets, varied.targets)
    for before, after in zip(plain.images, varied.images, strict=True):
        assert (before != after).any()


@pytest.mark.parametrize("exact", [True, False])
def test_beyond_the_photo_another_one_is_seen_and_within_it_nothing_changes(
    coco_content: dict[str, Any], save_coco: Any, exact: bool
) -> None:
    """The other photos are white, and far larger, so that they are decoded reduced; the person's is by two at most."""
    margin = 1e-3 if exact else 0.51  # the outermost pixel of a reduced picture has its center further in
    sizes_hw = {2: (1603, 1207), 3: (1283, 2409)}
    for image in coco_content["images"]:
        image["height"], image["width"] = sizes_hw.get(image["id"], (160, 120))
    config = save_coco(coco_content)
    for number, size_hw in sizes_hw.items():
        write_image(Path(config.images) / f"{number}.jpg", np.full((*size_hw, 3), 255, np.uint8))
    settings = AugmentationConfig(scale=0.5, exact_images=exact)
    plain = _training_set(config, settings)
    filling = replace(plain, augmentation=replace(settings, background_probability=1.0))
    pixels = np.stack(np.meshgrid(np.arange(96.0), np.arange(128.0)), axis=-1).reshape(1, -1, 2)
    shares = []
    for epoch in range(12):
        (before,), (after,) = (make_batch(each, epoch, [0], PhotoCache()).images for each in (plain, filling))
        crops = draw_crops(plain, [0], [np.random.default_rng([5, epoch, 0])], PhotoCache())
        image_xy = transform_points(pixels, inverse_matrices(crops.matrices)).reshape(128, 96, 2)
        beyond = np.maximum(-image_xy, image_xy - (119, 159)).max(axis=-1)  # in pixels of the photo
        assert (after[beyond < -margin] == before[beyond < -margin]).all()
        assert (after[beyond > 1e-3] >= 254).all()
        assert not before[beyond > 2].any()
        shares.append((beyond > 2).mean())
    assert max(shares) > 0.3


@pytest.mark.parametrize("kind", ["default", "udp"])
def test_crops_anywhere_lie_in_the_photo_and_have_no_labels(drawn_coco: DataConfig, kind: str) -> None:
    settings = AugmentationConfig(rotation_probability=0.0, anywhere_probability=1.0)
    training_set = _training_set(drawn_coco, settings, kind)
    corners = np.array([[0, 0], [95, 127]], np.float64)
    seen = []
    for epoch in range(40):
        batch = make_batch(training_set, epoch, [0, 1], PhotoCache())
        assert not batch.weights.any()
        assert not batch.targets.any()
        generators = [np.random.default_rng([5, epoch, index]) for index in (0, 1)]
        crops = draw_crops(training_set, [0, 1], generators, PhotoCache())
        seen.append(transform_points(corners, inverse_matrices(crops.matrices)))
    image_xy = np.concatenate(seen)
    assert image_xy.min() >= -1
    assert (image_xy[:, 1] <= np.array([119, 159]) + 1).all()
    widths = np.ptp(image_xy, axis=1)[:, 0] / 120
    assert 0.38 < widths.min() < 0.5
    assert 0.9 < widths.max() < 1.01
    assert np.ptp(image_xy[:, 0, 0]) > 40
    assert np.ptp(image_xy[:, 0, 1]) > 40


def test_a_broken_photo_is_named(drawn_coco: DataConfig) -> None:
    training_set = _training_set(drawn_coco, STILL)
    training_set.records[1].image_file.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UserError, match=r"2\.jpg: is cut short"):
        make_batch(training_set, 0, [0, 1], PhotoCache())
