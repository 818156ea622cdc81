"""Random appearance of a person's crop: background, blur, colors and hidden parts.

Random numbers are drawn first (``draw_appearance``) and applied afterward: no draw depends on the photo. The changes
only affect pixels of the uint8 crop, so labels stay.
"""

from dataclasses import dataclass

import numpy as np

from litehrnet.arrays import Floats64, Image
from litehrnet.data.color_jitter import Colors, draw_colors, recolor
from litehrnet.data.settings import AugmentationConfig
from litehrnet.keypoints.crop import inverse_matrices

Crop = Image

BLUR_SIGMA = (0.5, 2.5)
"""Range of the blur in pixels of the crop.

Enlarging k times blurs by k / 2. A pixel becomes a square of k, and bilinear weights spread it by a triangle of 2k:
the variance is k**2 / 12 + k**2 / 6 = (k / 2)**2. Small people, enlarged one to five times, have this blur. A phone's
camera out of focus blurs as much; a cell of the heatmap is four pixels.
"""
CUTOUT_SIDE = (0.1, 0.4)
"""Smallest and largest side of a hidden rectangle, as a part of the crop's side."""


@dataclass(frozen=True)
class Background:
    """Another photo as the background.

    Attributes:
        index: Index of its record in the training set.
        place: Visible part along the cropped side, 0..1 from left or top to right or bottom.
    """

    index: int
    place: float


@dataclass(frozen=True)
class Cutout:
    """A rectangle of one color; all values are 0..1.

    Attributes:
        size: Width and height, as parts of those of the crop.
        place: Parts of the free space to the left and above.
        color: RGB color.
    """

    size: tuple[float, float]
    place: tuple[float, float]
    color: tuple[float, float, float]


@dataclass(frozen=True)
class Appearance:
    """One random appearance of a crop; None for parts that stay.

    Attributes:
        background: Background outside the photo.
        blur_sigma: Standard deviation of a Gaussian blur, in pixels of the crop.
        colors: Change of the colors.
        cutout: Rectangle that hides a part.
    """

    background: Background | None = None
    blur_sigma: float | None = None
    colors: Colors | None = None
    cutout: Cutout | None = None


def draw_appearance(rng: np.random.Generator, settings: AugmentationConfig, index: int, records: int) -> Appearance:
    """Draw the appearance of the crop of record ``index``; settings that are off draw no numbers.

    The background is the photo of another one of the ``records`` records of the training set.
    """
    background, blur_sigma, colors, cutout = None, None, None, None
    if _happens(rng, settings.background_probability) and records > 1:
        background = Background((index + int(rng.integers(1, records))) % records, rng.random())
    if _happens(rng, settings.blur_probability):
        blur_sigma = rng.uniform(*BLUR_SIGMA)
    if settings.brightness or settings.contrast or settings.saturation:
        colors = draw_colors(rng, settings)
    if _happens(rng, settings.cutout_probability):
        size = rng.uniform(*CUTOUT_SIDE), rng.uniform(*CUTOUT_SIDE)
        cutout = Cutout(size, (rng.random(), rng.random()), (rng.random(), rng.random(), rng.random()))
    return Appearance(background, blur_sigma, colors, cutout)


def _happens(rng: np.random.Generator, probability: float) -> bool:
    return probability > 0 and rng.random() < probability


def altered(crop: Crop, appearance: Appearance) -> Crop:
    """Blur, recolor and partly hide a crop, uint8 (height, width, 3), which stays; ``filled`` does the background."""
    import cv2

    if appearance.blur_sigma is not None:
        crop = np.asarray(cv2.GaussianBlur(crop, (0, 0), appearance.blur_sigma), np.uint8)
    if appearance.colors is not None:
        crop = recolor(crop, appearance.colors)
    if appearance.cutout is not None:
        crop = hidden(crop, appearance.cutout)
    return crop


def hidden(crop: Crop, cutout: Cutout) -> Crop:
    """Hide a rectangle of at least one pixel behind one color."""
    height, width = crop.shape[:2]
    columns, rows = (max(1, round(part * side)) for part, side in zip(cutout.size, (width, height), strict=True))
    x, y = round(cutout.place[0] * (width - columns)), round(cutout.place[1] * (height - rows))
    crop = crop.copy()
    crop[y : y + rows, x : x + columns] = [round(255 * level) for level in cutout.color]
    return crop


def outside(matrix: Floats64, image_size_wh: tuple[int, int], crop_size_wh: tuple[int, int]) -> Crop | None:
    """Find the pixels of a crop outside a picture: beyond the centers of its outermost pixels, where black mixes in.

    ``matrix`` is (2, 3), pixels of the picture -> pixels of the crop; the sizes are theirs.

    Returns:
        uint8 (height, width), 255 outside and 0 inside; None where all are inside.
    """
    import cv2

    (width, height), back = crop_size_wh, inverse_matrices(matrix[None])[0]
    last = np.array(image_size_wh) - 1
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]]) @ back.T
    if ((corners >= 0) & (corners <= last)).all():
        return None
    x, y = (
        np.add.outer((b * np.arange(height) + shift).astype(np.float32), (a * np.arange(width)).astype(np.float32))
        for a, b, shift in back
    )
    inside = cv2.inRange(x, 0.0, float(last[0])) & cv2.inRange(y, 0.0, float(last[1]))
    return np.asarray(cv2.bitwise_not(inside), np.uint8)


def covering_matrix(image_size_wh: tuple[int, int], crop_size_wh: tuple[int, int], place: float) -> Floats64:
    """Compute a matrix (2, 3), pixels of a picture -> pixels of a crop, that scales the picture to cover the crop.

    It covers one pixel more on each side, because black mixes into the outermost pixels of a reduced picture.
    ``place`` is the visible part along the cropped side, 0..1.
    """
    last = np.maximum(np.array(image_size_wh) - 1, 1)
    wanted = np.array(crop_size_wh) + 1
    factor = (wanted / last).max()
    x, y = -1 - place * (factor * last - wanted)
    return np.array([[factor, 0, x], [0, factor, y]])


def filled(crop: Crop, mask: Crop, background: Crop) -> Crop:
    """Replace the pixels of a crop by those of the background where the mask is not 0."""
    import cv2

    return np.asarray(cv2.copyTo(background, mask, crop.copy()), np.uint8)
