"""Training samples of a detector; each is a pure function of (seed, epoch, index).

A sample is one photo, or four photos side by side (a mosaic, as in YOLOv4). Each is scaled, shifted and mirrored at
random. One matrix moves a photo and its boxes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.color_jitter import draw_colors, recolor
from litehrnet.data.detection import DetectionRecord, DetectionSet
from litehrnet.data.photos import PhotoCache
from litehrnet.data.samples import Batch, decoded
from litehrnet.data.settings import DetectionConfig
from litehrnet.detection.maps import BoxTargets, encode
from litehrnet.keypoints.crop import warp_on_mean
from litehrnet.variants import heatmap_size

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

SMALLEST_VISIBLE_PART = 0.25
"""Objects with a smaller visible part in the sample are ignored instead of learned."""

SMALLEST_SIDE = 4.0
"""Boxes with a shorter side, in pixels of the input, are ignored instead of learned: one cell of the maps."""

MOSAIC_SPLIT = (0.3, 0.7)
"""Least and largest part of the input that the first column and row of a mosaic take."""


@dataclass(frozen=True)
class Placement:
    """Position of one photo in a sample.

    Attributes:
        index: Index of the photo's record.
        matrix: float64 (2, 3): pixels of the photo (centers at whole numbers) to pixels of the sample.
        window: (x, y, width, height) in pixels of the sample: the part that shows this photo.
    """

    index: int
    matrix: NDArray[np.float64]
    window: tuple[int, int, int, int]


def make_detection_batch(detection_set: DetectionSet, epoch: int, indices: Sequence[int], cache: PhotoCache) -> Batch:
    """Make the samples of some photos in one epoch.

    Args:
        detection_set: Photos to train on.
        epoch: Epoch, counted from 0.
        indices: Indices of one record or more.
        cache: Recently used photos, for speed.

    Returns:
        A batch whose targets are ``BoxTargets.stacked``, float32 (samples, 7, height / 4, width / 4), and whose
        weights are empty.

    Raises:
        UserError: A photo is missing or broken.
    """
    width, height = detection_set.input_size_wh
    map_width, map_height = heatmap_size(width, height)
    images = np.empty((len(indices), height, width, 3), np.uint8)
    targets = np.empty((len(indices), 7, map_height, map_width), np.float32)
    for place, index in enumerate(indices):
        rng = np.random.default_rng([detection_set.seed, epoch, index])
        images[place], boxes = make_sample(detection_set, index, rng, cache)
        targets[place] = boxes.stacked()
    return Batch(images, targets, np.empty((len(indices), 0), np.float32), np.array(indices, np.int64))


def make_sample(
    detection_set: DetectionSet, index: int, rng: np.random.Generator, cache: PhotoCache
) -> tuple[Image, BoxTargets]:
    """Make one sample: uint8 (height, width, 3), RGB, and its training targets.

    Raises:
        UserError: A photo is missing or broken.
    """
    size, settings = detection_set.input_size_wh, detection_set.settings
    image = np.empty((size[1], size[0], 3), np.uint8)
    corners, ignored, known = [], [], []
    for placement in draw_placements(detection_set, index, rng, cache):
        record = detection_set.records[placement.index]
        photo = cache.photo(record.image_file)
        x, y, columns, rows = placement.window
        shift = np.array([[1, 0, -x], [0, 1, -y]])
        inner = shift @ np.vstack([placement.matrix, [0, 0, 1]])
        image[y : y + rows, x : x + columns] = warp_on_mean(*decoded(photo, inner, cache, exact=False), (columns, rows))
        objects, regions = moved_boxes(record, placement)
        corners.append(objects)
        ignored.append(regions)
        # Where boxes may be missing, only the labeled objects themselves are certain.
        known.append(_window_corners(placement.window) if record.complete else objects)
    targets = encode(np.concatenate(corners), np.concatenate(ignored), heatmap_size(*size), np.concatenate(known))
    return recolor(image, draw_colors(rng, settings)), targets


def draw_placements(
    detection_set: DetectionSet, index: int, rng: np.random.Generator, cache: PhotoCache
) -> list[Placement]:
    """Draw the photos of a sample and their positions: one photo, or four in a mosaic.

    Raises:
        UserError: A photo is missing or broken.
    """
    (width, height), settings = detection_set.input_size_wh, detection_set.settings
    windows, indices = [(0, 0, width, height)], [index]
    if settings.mosaic_probability > 0 and rng.random() < settings.mosaic_probability:
        column, row = (round(rng.uniform(*MOSAIC_SPLIT) * side) for side in (width, height))
        windows = [
            (0, 0, column, row),
            (column, 0, width - column, row),
            (0, row, column, height - row),
            (column, row, width - column, height - row),
        ]
        indices = [index, *rng.integers(0, len(detection_set), 3).tolist()]
    placements = []
    for photo_index, window in zip(indices, windows, strict=True):
        size_wh = cache.photo(detection_set.records[photo_index].image_file).size_wh
        matrix = draw_matrix(rng, settings, size_wh, window, in_mosaic=len(windows) > 1)
        placements.append(Placement(photo_index, matrix, window))
    return placements


def draw_matrix(
    rng: np.random.Generator,
    settings: DetectionConfig,
    photo_size_wh: tuple[int, int],
    window: tuple[int, int, int, int],
    *,
    in_mosaic: bool = False,
) -> NDArray[np.float64]:
    """Draw scale, aspect, mirroring and shift of one photo.

    Args:
        rng: Random generator.
        settings: Ranges and probabilities.
        photo_size_wh: Width and height of the photo in pixels.
        window: (x, y, width, height) of the part of the sample that shows the photo.
        in_mosaic: Whether other photos fill the rest of the sample.

    Returns:
        float64 (2, 3): pixels of the photo to pixels of the sample. Along each side, a photo smaller than its window is
        inside it, and a larger one covers it.
    """
    factors = np.array(window[2:]) / photo_size_wh
    low, high = np.log(settings.scale)
    # At scale 1, the photo has the area of its part of a mosaic: a photo that fits leaves much of most parts empty.
    scale = (np.sqrt(factors.prod()) if in_mosaic else factors.min()) * np.exp(rng.uniform(low, high))
    stretch = np.exp(rng.uniform(-1, 1) * np.log1p(settings.aspect) / 2)
    flipped = rng.random() < settings.flip_probability
    rows = []
    for along, (start, side, own) in enumerate(zip(window[:2], window[2:], photo_size_wh, strict=True)):
        factor = scale * (stretch if along == 0 else 1 / stretch)
        room = side - factor * own
        corner = start + rng.uniform(min(0.0, room), max(0.0, room))
        shift = corner + factor / 2 - 0.5  # pixel centers are at whole numbers
        if along == 0 and flipped:
            factor, shift = -factor, shift + factor * (own - 1)
        rows.append((factor, shift))
    (a, x), (d, y) = rows
    return np.array([[a, 0, x], [0, d, y]])


def moved_boxes(record: DetectionRecord, placement: Placement) -> tuple[Floats, Floats]:
    """Move objects and ignored regions of a photo to the sample, cut to the photo's window.

    Returns:
        Corners float32 (objects, 4) and (regions, 4). Objects that are mostly cut off or very small become regions.
    """
    objects, whole = _moved(record.corners, placement)
    sides = objects[:, 2:] - objects[:, :2]
    visible = sides.clip(min=0).prod(axis=1) >= SMALLEST_VISIBLE_PART * whole
    learned = visible & (sides >= SMALLEST_SIDE).all(axis=1)
    regions = np.concatenate([_moved(record.ignored, placement)[0], objects[~learned]])
    seen = (regions[:, 2:] > regions[:, :2]).all(axis=1)
    return objects[learned], regions[seen]


def _moved(corners: Floats, placement: Placement) -> tuple[Floats, Floats]:
    """Corners in the sample, cut to the window, and the areas before the cut."""
    (a, _, x), (_, d, y) = placement.matrix.tolist()
    # Corners are at the edges of pixels, half a pixel from the centers that the matrix maps.
    along_x = a * (corners[:, [0, 2]] - 0.5) + x + 0.5
    along_y = d * (corners[:, [1, 3]] - 0.5) + y + 0.5
    along_x.sort(axis=1)
    areas = np.ptp(along_x, axis=1) * np.ptp(along_y, axis=1)
    left, top, right, bottom = _window_corners(placement.window)[0]
    along_x, along_y = along_x.clip(left, right), along_y.clip(top, bottom)
    moved = np.stack([along_x[:, 0], along_y[:, 0], along_x[:, 1], along_y[:, 1]], axis=1)
    return moved.astype(np.float32), areas.astype(np.float32)


def _window_corners(window: tuple[int, int, int, int]) -> Floats:
    x, y, width, height = window
    return np.array([[x, y, x + width, y + height]], np.float32)
