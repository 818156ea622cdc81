"""Batches of training samples; each sample is a pure function of (seed, epoch, index)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Floats32, Floats64, Image, Mask
from litehrnet.data.appearance import altered, covering_matrix, draw_appearance, filled, outside
from litehrnet.data.augmentation import Person, RandomNumbers, Variation, draw_variation, put_anywhere, vary
from litehrnet.data.photos import HeldPhoto, PhotoCache, reduction_for, whole_from_reduced
from litehrnet.data.trainingset import TrainingSet
from litehrnet.keypoints.codec import encode
from litehrnet.keypoints.crop import crop_matrices, transform_points, udp_crop_matrices, warp
from litehrnet.keypoints.skeletons import lower_body
from litehrnet.variants import heatmap_size


@dataclass(frozen=True)
class Batch:
    """Samples for a network, whose images are not normalized yet.

    Attributes:
        images: uint8 (samples, height, width, 3), RGB.
        targets: float32 (samples, keypoints, heatmap height, heatmap width); for segmentation uint8 (samples, height,
            width), classes.
        weights: float32 (samples, keypoints), 0 or 1; for segmentation (samples, 0).
        indices: int64 (samples,) of the records in the training set.
    """

    images: Image
    targets: NDArray[Any]
    weights: Floats32
    indices: NDArray[np.int64]


@dataclass(frozen=True)
class Crops:
    """Positions of the samples of a batch in their photos.

    Attributes:
        photos: Photo of each sample.
        flipped: bool (samples,): whether the photo is mirrored.
        matrices: float64 (samples, 2, 3): pixels of the (mirrored) photo -> pixels of the crop.
        joints_xy: float32 (samples, keypoints, 2) in pixels of the crop; invisible joints may be anywhere.
        visible: float32 (samples, keypoints), 0 or 1.
    """

    photos: list[HeldPhoto]
    flipped: Mask
    matrices: Floats64
    joints_xy: Floats32
    visible: Floats32


def make_batch(training_set: TrainingSet, epoch: int, indices: Sequence[int], cache: PhotoCache) -> Batch:
    """Make the samples of some people in one epoch.

    Args:
        training_set: People to train on.
        epoch: Epoch, counted from 0.
        indices: Indices of one record or more.
        cache: Recently used photos, for speed.

    Raises:
        UserError: A photo is missing or broken.
    """
    generators = [np.random.default_rng([training_set.seed, epoch, index]) for index in indices]
    crops = draw_crops(training_set, indices, generators, cache)
    width, height = size = training_set.input_size_wh
    images = np.empty((len(indices), height, width, 3), np.uint8)
    matrices = photo_matrices(crops)
    for place, (index, rng) in enumerate(zip(indices, generators, strict=True)):
        images[place] = draw_image(training_set, index, crops.photos[place], matrices[place], rng, cache)
    targets, weights = encode(crops.joints_xy, crops.visible, size, heatmap_size(*size), training_set.codec)
    return Batch(images, targets, weights, np.array(indices, np.int64))


def draw_image(
    training_set: TrainingSet,
    index: int,
    photo: HeldPhoto,
    matrix: Floats64,
    rng: np.random.Generator,
    cache: PhotoCache,
) -> Image:
    """Draw the appearance of a crop at random, and cut it out; other arguments as for ``make_batch`` and ``cut``.

    Raises:
        UserError: A photo is missing or broken.
    """
    settings, size = training_set.augmentation, training_set.input_size_wh
    appearance = draw_appearance(rng, settings, index, len(training_set))
    picture, picture_matrix = decoded(photo, matrix, cache, exact=settings.exact_images)
    crop = warp(picture, picture_matrix, size)
    if (background := appearance.background) is not None:
        mask = outside(picture_matrix, picture.shape[1::-1], size)
        if mask is not None:
            other = cache.photo(training_set.records[background.index].image_file)
            covering = covering_matrix(other.size_wh, size, background.place)
            crop = filled(crop, mask, cut(other, covering, size, cache, exact=settings.exact_images))
    return altered(crop, appearance)


def draw_crops(
    training_set: TrainingSet, indices: Sequence[int], generators: Sequence[RandomNumbers], cache: PhotoCache
) -> Crops:
    """Draw the variation of samples at random, each by its own generator, and compute their crops and joints.

    Raises:
        UserError: A photo is missing or broken.
    """
    lower, flip_order = lower_body(training_set.keypoint_set), training_set.keypoint_set.flip_order
    photos: list[HeldPhoto] = []
    variations: list[Variation] = []
    persons: list[Person] = []
    for index, rng in zip(indices, generators, strict=True):
        record = training_set.records[index]
        variation = draw_variation(rng, int((record.visible > 0).sum()), training_set.augmentation, bool(lower.any()))
        photo = cache.photo(record.image_file)
        person = Person(record.center, record.scale, record.joints_xy, record.visible)
        person = vary(person, variation, photo.size_wh[0], flip_order, lower, training_set.input_size_wh)
        if variation.anywhere is not None:
            person = put_anywhere(person, variation.anywhere, photo.size_wh, training_set.input_size_wh)
        photos.append(photo)
        variations.append(variation)
        persons.append(person)
    matrices = (udp_crop_matrices if training_set.codec.kind == "udp" else crop_matrices)(
        np.array([person.center for person in persons]),
        np.array([person.scale for person in persons]),
        training_set.input_size_wh,
        np.array([variation.rotation_deg for variation in variations]),
    )
    image_xy = np.array([person.joints_xy for person in persons])
    visible = np.array([person.visible for person in persons])
    crop_xy = transform_points(image_xy, matrices)
    if training_set.codec.kind != "udp":  # UDP transforms invisible joints too, as in the reference implementation
        crop_xy = np.where(visible[..., None] > 0, crop_xy, image_xy)
    flipped = np.array([variation.flip for variation in variations])
    return Crops(photos, flipped, matrices, crop_xy.astype(np.float32), visible)


def photo_matrices(crops: Crops) -> Floats64:
    """Compute matrices float64 (samples, 2, 3) from pixels of the photo to the crop; they include the mirroring."""
    matrices = crops.matrices.copy()
    last_columns = np.array([photo.size_wh[0] - 1 for photo in crops.photos])[:, None]
    # x becomes last column - x; where nothing is flipped, columns and shift stay.
    matrices[..., 2] += np.where(crops.flipped[:, None], last_columns * matrices[..., 0], 0)
    matrices[..., 0] *= np.where(crops.flipped, -1, 1)[:, None]
    return matrices


def cut(photo: HeldPhoto, matrix: Floats64, input_size_wh: tuple[int, int], cache: PhotoCache, *, exact: bool) -> Image:
    """Cut one crop, uint8 (height, width, 3), out of a photo from ``cache``.

    ``matrix`` is (2, 3), pixels of the photo -> pixels of the crop. ``exact`` decodes the whole photo, even where the
    crop shrinks it by two or more.

    Raises:
        UserError: The photo cannot be decoded.
    """
    return warp(*decoded(photo, matrix, cache, exact=exact), input_size_wh)


def decoded(photo: HeldPhoto, matrix: Floats64, cache: PhotoCache, *, exact: bool) -> tuple[Image, Floats64]:
    """Decode a photo, whole or reduced (see ``cut``), and adapt the matrix (2, 3) to its pixels."""
    reduction = 1 if exact else reduction_for(photo, matrix)
    if reduction > 1:
        matrix = matrix @ whole_from_reduced(photo, reduction)
    return cache.image(photo, reduction), matrix
