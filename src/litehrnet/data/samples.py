"""Batches of training samples: each sample a pure function of (seed, epoch, index)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.augmentation import Person, RandomNumbers, Variation, draw_variation, vary
from litehrnet.data.photos import Photo, PhotoCache, reduction_for, whole_from_reduced
from litehrnet.data.trainingset import TrainingSet
from litehrnet.keypoints.codec import encode
from litehrnet.keypoints.crop import crop_matrices, transform_points, udp_crop_matrices, warp
from litehrnet.keypoints.skeletons import lower_body
from litehrnet.variants import heatmap_size


@dataclass(frozen=True)
class Batch:
    """Samples ready for a network, but for the normalisation of the images.

    Attributes:
        images: uint8 (samples, height, width, 3), RGB.
        targets: float32 (samples, keypoints, heatmap height, heatmap width); for segmentation uint8 (samples, height,
            width), classes.
        weights: float32 (samples, keypoints), 0 or 1; for segmentation (samples, 0).
        indices: int64 (samples,) into the records of the training set.
    """

    images: NDArray[np.uint8]
    targets: NDArray[Any]
    weights: NDArray[np.float32]
    indices: NDArray[np.int64]


@dataclass(frozen=True)
class Crops:
    """How the samples of a batch lie in their photos.

    Attributes:
        photos: Of each sample.
        flipped: bool (samples,): the photo is mirrored.
        matrices: float64 (samples, 2, 3): pixels of the (mirrored) photo -> pixels of the crop.
        joints_xy: float32 (samples, keypoints, 2) in pixels of the crop; invisible ones may be anywhere.
        visible: float32 (samples, keypoints).
    """

    photos: list[Photo]
    flipped: NDArray[np.bool_]
    matrices: NDArray[np.float64]
    joints_xy: NDArray[np.float32]
    visible: NDArray[np.float32]


def make_batch(training_set: TrainingSet, epoch: int, indices: Sequence[int], cache: PhotoCache) -> Batch:
    """Make the samples of some persons in some epoch.

    Args:
        training_set: From ``read_training_set``.
        epoch: Counted from 0.
        indices: Of one record or more.
        cache: Photos used last; changes nothing but the time taken.

    Raises:
        UserError: A photo is missing or broken.
    """
    generators = [np.random.default_rng([training_set.seed, epoch, index]) for index in indices]
    crops = draw_crops(training_set, indices, generators, cache)
    width, height = size = training_set.input_size_wh
    images = np.empty((len(indices), height, width, 3), np.uint8)
    for image, photo, matrix in zip(images, crops.photos, photo_matrices(crops), strict=True):
        image[:] = cut(photo, matrix, size, cache, exact=training_set.augmentation.exact_images)
    targets, weights = encode(crops.joints_xy, crops.visible, size, heatmap_size(*size), training_set.codec)
    return Batch(images, targets, weights, np.array(indices, np.int64))


def draw_crops(
    training_set: TrainingSet, indices: Sequence[int], generators: Sequence[RandomNumbers], cache: PhotoCache
) -> Crops:
    """Draw how samples vary, and where that puts their crops and joints.

    Args:
        training_set: From ``read_training_set``.
        indices: Of records.
        generators: One for each of them.
        cache: Photos used last.

    Raises:
        UserError: A photo is missing or broken.
    """
    lower, flip_order = lower_body(training_set.keypoint_set), training_set.keypoint_set.flip_order
    photos: list[Photo] = []
    variations: list[Variation] = []
    persons: list[Person] = []
    for index, rng in zip(indices, generators, strict=True):
        record = training_set.records[index]
        variation = draw_variation(rng, int((record.visible > 0).sum()), training_set.augmentation, bool(lower.any()))
        photo = cache.photo(record.image_file)
        person = Person(record.center, record.scale, record.joints_xy, record.visible)
        photos.append(photo)
        variations.append(variation)
        persons.append(vary(person, variation, photo.size_wh[0], flip_order, lower, training_set.input_size_wh))
    matrices = (udp_crop_matrices if training_set.codec.kind == "udp" else crop_matrices)(
        np.array([person.center for person in persons]),
        np.array([person.scale for person in persons]),
        training_set.input_size_wh,
        np.array([variation.rotation_deg for variation in variations]),
    )
    image_xy = np.array([person.joints_xy for person in persons])
    visible = np.array([person.visible for person in persons])
    crop_xy = transform_points(image_xy, matrices)
    if training_set.codec.kind != "udp":  # which transforms invisible joints too, as published
        crop_xy = np.where(visible[..., None] > 0, crop_xy, image_xy)
    flipped = np.array([variation.flip for variation in variations])
    return Crops(photos, flipped, matrices, crop_xy.astype(np.float32), visible)


def photo_matrices(crops: Crops) -> NDArray[np.float64]:
    """Matrices float64 (samples, 2, 3): pixels of the photo, which is mirrored by its matrix alone, -> of the crop."""
    matrices = crops.matrices.copy()
    last_columns = np.array([photo.size_wh[0] - 1 for photo in crops.photos])[:, None]
    # x becomes last column - x; where nothing is flipped, columns and shift stay.
    matrices[..., 2] += np.where(crops.flipped[:, None], last_columns * matrices[..., 0], 0)
    matrices[..., 0] *= np.where(crops.flipped, -1, 1)[:, None]
    return matrices


def cut(
    photo: Photo, matrix: NDArray[np.float64], input_size_wh: tuple[int, int], cache: PhotoCache, *, exact: bool
) -> NDArray[np.uint8]:
    """Cut one crop out of a photo.

    Args:
        photo: From ``cache``.
        matrix: (2, 3), pixels of the photo -> pixels of the crop.
        input_size_wh: Width and height of the crop.
        cache: Photos used last.
        exact: Take the whole photo, also where the crop shrinks it by two or more.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        UserError: The photo cannot be decoded.
    """
    reduction = 1 if exact else reduction_for(photo, matrix)
    if reduction > 1:
        matrix = matrix @ whole_from_reduced(photo, reduction)
    return warp(cache.image(photo, reduction), matrix, input_size_wh)
