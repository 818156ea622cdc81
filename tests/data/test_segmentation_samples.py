from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.drawn_scenes import write_scenes

from litehrnet.data.color_jitter import Colors
from litehrnet.data.photos import PhotoCache
from litehrnet.data.segmentation import SegmentationSet, read_segmentation_set
from litehrnet.data.segmentation_samples import (
    SceneVariation,
    draw_crop,
    draw_scene_variation,
    largest_share,
    make_segmentation_batch,
    move_classes,
    vary_scene,
)
from litehrnet.data.settings import DataConfig, SegmentationConfig
from litehrnet.keypoints.crop import warp_on_mean
from litehrnet.segmentation.classes import IGNORED, find_class_set

PLAIN = SegmentationConfig("classes.json", brightness=0, contrast=0, saturation=0, max_class_share=1)
SAME = Colors(brightness=0, contrast=1, saturation=1)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> SegmentationSet:
    folder = write_scenes(tmp_path_factory.mktemp("scenes"), 4, side=96)
    data = DataConfig("folder", str(folder / "labels"), str(folder / "images"))
    return read_segmentation_set([data], find_class_set(str(folder / "classes.json")), (64, 32), PLAIN, 3)


def test_a_sample_is_a_function_of_seed_epoch_and_index(scenes: SegmentationSet) -> None:
    together = make_segmentation_batch(scenes, 2, [0, 1, 2], PhotoCache())
    assert together.images.shape == (3, 32, 64, 3)
    assert together.targets.shape == (3, 32, 64)
    alone = make_segmentation_batch(scenes, 2, [1], PhotoCache(0))
    np.testing.assert_array_equal(together.images[1], alone.images[0])
    np.testing.assert_array_equal(together.targets[1], alone.targets[0])
    others = [(scenes, 3), (replace(scenes, seed=4), 2)]
    for other, epoch in others:
        assert (make_segmentation_batch(other, epoch, [1], PhotoCache()).images[0] != alone.images[0]).any()


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7, 2.0])
def test_an_image_and_its_classes_are_moved_alike(scale: float, flip: bool) -> None:
    """A picture that is its own label image: away from edges, what is seen stays what it is called."""
    rng = np.random.default_rng(1)
    classes = np.repeat(np.repeat(rng.integers(0, 4, (6, 8)), 16, axis=0), 16, axis=1).astype(np.uint8)
    image = np.repeat(60 * classes[..., None], 3, axis=2)
    variation = SceneVariation(scale, flip, SAME)
    matrix = draw_crop(rng, variation, (128, 96), (64, 48))
    seen, called = warp_on_mean(image, matrix, (64, 48)), move_classes(classes, matrix, (64, 48))
    inside = called != IGNORED
    assert inside.mean() > 0.9
    agreeing = np.abs(seen[..., 0].astype(int) - 60 * called.astype(int)) <= 1
    assert agreeing[inside].mean() > 1 - 0.3 / scale  # what disagrees lies along edges, which blend


def test_without_scaling_a_crop_is_a_part_of_the_image_exactly() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    classes = rng.integers(0, 9, (60, 80)).astype(np.uint8)
    for flip in (False, True):
        matrix = draw_crop(rng, SceneVariation(1, flip, SAME), (80, 60), (32, 32))
        x, y = int(-matrix[0, 2]) if not flip else int(79 - matrix[0, 2]), int(-matrix[1, 2])
        source, names = (image[:, ::-1], classes[:, ::-1]) if flip else (image, classes)
        np.testing.assert_array_equal(warp_on_mean(image, matrix, (32, 32)), source[y : y + 32, x : x + 32])
        np.testing.assert_array_equal(move_classes(classes, matrix, (32, 32)), names[y : y + 32, x : x + 32])


def test_beyond_the_image_there_is_no_class() -> None:
    classes = np.ones((10, 10), np.uint8)
    image = np.full((10, 10, 3), 9, np.uint8)
    seen, called = vary_scene(image, classes, np.random.default_rng(0), replace(PLAIN, scale=(1, 1)), (32, 32))
    assert (called == 1).sum() == 100
    assert (seen[called == 1] == 9).all()
    assert (called[called != 1] == IGNORED).all()


def test_a_class_of_too_large_a_share_makes_another_crop_be_drawn() -> None:
    classes = np.zeros((64, 640), np.uint8)
    classes[:, 320:] = np.arange(320) // 8 % 2  # the left half is one class, the right half two
    image = np.zeros((64, 640, 3), np.uint8)
    capped = replace(PLAIN, scale=(1, 1), max_class_share=0.7)
    shares = [
        [largest_share(vary_scene(image, classes, np.random.default_rng(s), c, (64, 64))[1]) for s in range(40)]
        for c in (PLAIN, capped)
    ]
    assert sum(share > 0.7 for share in shares[0]) > 10
    assert sum(share > 0.7 for share in shares[1]) < 3


def test_draws_keep_to_their_ranges() -> None:
    settings = SegmentationConfig("x")
    rng = np.random.default_rng(0)
    drawn = [draw_scene_variation(rng, settings) for _ in range(300)]
    for values, low, high in (
        ([each.scale for each in drawn], 0.5, 2),
        ([each.colors.brightness for each in drawn], -0.125, 0.125),
        ([each.colors.contrast for each in drawn], 0.5, 1.5),
        ([each.colors.saturation for each in drawn], 0.5, 1.5),
    ):
        assert low <= min(values) < low + (high - low) / 10
        assert high - (high - low) / 10 < max(values) <= high
    assert 100 < sum(each.flip for each in drawn) < 200


def test_a_label_image_of_another_size_is_named(scenes: SegmentationSet, tmp_path: Path) -> None:
    import cv2

    from litehrnet.errors import UserError

    label = tmp_path / "small.png"
    cv2.imwrite(str(label), np.full((9, 9), 10, np.uint8))
    wrong = replace(scenes, records=(replace(scenes.records[0], label_file=label),))
    with pytest.raises(UserError, match=r"small\.png: is 9x9 \(expected 96x96, the size of 000\.png\)"):
        make_segmentation_batch(wrong, 0, [0], PhotoCache())
