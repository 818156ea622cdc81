"""Training samples of a segmentation; each is a pure function of (seed, epoch, index).

Random numbers are drawn first and applied afterward. One matrix moves a photo and its classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from litehrnet.arrays import Floats64, Image
from litehrnet.data.color_jitter import Colors, draw_colors, recolor
from litehrnet.data.label_images import read_classes
from litehrnet.data.photos import PhotoCache
from litehrnet.data.samples import Batch
from litehrnet.data.segmentation import SegmentationSet
from litehrnet.data.settings import SegmentationConfig
from litehrnet.errors import UserError
from litehrnet.keypoints.crop import warp_on_mean
from litehrnet.segmentation.classes import IGNORED

CROPS_TRIED = 10
"""Crops that are drawn until no class has too large a share."""


@dataclass(frozen=True)
class SceneVariation:
    """One random variation, without the position of the crop.

    Attributes:
        scale: Factor of the image's size.
        flip: Whether to mirror the image.
        colors: Change of the colors.
    """

    scale: float
    flip: bool
    colors: Colors


def make_segmentation_batch(
    segmentation_set: SegmentationSet, epoch: int, indices: Sequence[int], cache: PhotoCache
) -> Batch:
    """Make the samples of some images in one epoch; arguments as for ``data.samples.make_batch``.

    The targets of the batch are classes, uint8 (samples, height, width), and its weights are empty.

    Raises:
        UserError: A photo or label image is missing or broken, or they do not fit together.
    """
    width, height = segmentation_set.input_size_wh
    images = np.empty((len(indices), height, width, 3), np.uint8)
    targets = np.empty((len(indices), height, width), np.uint8)
    for place, index in enumerate(indices):
        record = segmentation_set.records[index]
        image = cache.image(cache.photo(record.image_file))
        classes = read_classes(record, segmentation_set.class_set)
        if image.shape[:2] != classes.shape:
            raise UserError(
                f"{record.label_file}: is {classes.shape[1]}x{classes.shape[0]} (expected "
                f"{image.shape[1]}x{image.shape[0]}, the size of {record.image_file.name})"
            )
        rng = np.random.default_rng([segmentation_set.seed, epoch, index])
        images[place], targets[place] = vary_scene(image, classes, rng, segmentation_set.settings, (width, height))
    return Batch(images, targets, np.empty((len(indices), 0), np.float32), np.array(indices, np.int64))


def vary_scene(
    image: Image, classes: Image, rng: np.random.Generator, settings: SegmentationConfig, crop_size_wh: tuple[int, int]
) -> tuple[Image, Image]:
    """Make one random crop of an image (height, width, 3) and of its classes (height, width).

    Classes are ``IGNORED`` beyond the image.
    """
    variation = draw_scene_variation(rng, settings)
    size_wh = image.shape[1], image.shape[0]
    for _ in range(CROPS_TRIED):
        matrix = draw_crop(rng, variation, size_wh, crop_size_wh)
        crop = move_classes(classes, matrix, crop_size_wh)
        if largest_share(crop) <= settings.max_class_share:
            break
    return recolor(warp_on_mean(image, matrix, crop_size_wh), variation.colors), crop


def draw_scene_variation(rng: np.random.Generator, settings: SegmentationConfig) -> SceneVariation:
    """Draw everything except the position of the crop."""
    return SceneVariation(
        scale=rng.uniform(*settings.scale),
        flip=rng.random() < settings.flip_probability,
        colors=draw_colors(rng, settings),
    )


def draw_crop(
    rng: np.random.Generator, variation: SceneVariation, size_wh: tuple[int, int], crop_size_wh: tuple[int, int]
) -> Floats64:
    """Draw the position of the crop: inside the scaled image, or around it along a side where the image is shorter.

    Returns:
        float64 (2, 3): pixels of the image -> pixels of the crop, with scale and flip of the variation.
    """
    room = [round(variation.scale * side) - crop for side, crop in zip(size_wh, crop_size_wh, strict=True)]
    corner_x, corner_y = (int(rng.integers(min(0, free), max(0, free) + 1)) for free in room)
    scale, half = variation.scale, (variation.scale - 1) / 2  # pixel centers are at whole numbers
    if variation.flip:
        return np.array([[-scale, 0, scale * (size_wh[0] - 1) + half - corner_x], [0, scale, half - corner_y]])
    return np.array([[scale, 0, half - corner_x], [0, scale, half - corner_y]])


def move_classes(classes: Image, matrix: Floats64, crop_size_wh: tuple[int, int]) -> Image:
    """Crop the classes of an image by nearest pixel; outside they are ``IGNORED``."""
    import cv2

    moved = cv2.warpAffine(classes, matrix, crop_size_wh, flags=cv2.INTER_NEAREST, borderValue=[IGNORED])
    return np.asarray(moved, np.uint8)


def largest_share(classes: Image) -> float:
    """Largest share of one class among the labeled pixels; 0 without any."""
    counts = np.bincount(classes.ravel(), minlength=IGNORED + 1)[:IGNORED]
    return float(counts.max() / max(counts.sum(), 1))
