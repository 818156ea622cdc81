"""How the pixels of a person's crop vary, beyond what is published: background, blur, colors, hidden parts.

What is drawn (``draw_appearance``) is apart from what is done with it: no draw depends on the photo. All of it happens
on the uint8 crop and moves nothing, so that labels stay.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.color_jitter import Colors, draw_colors, recolor
from litehrnet.data.settings import AugmentationConfig
from litehrnet.keypoints.crop import inverse_matrices

Crop = NDArray[np.uint8]

BLUR_SIGMA = (0.5, 2.5)
"""In pixels of the crop. Enlarging k times blurs by k / 2: a pixel is a square of k, which bilinear weights spread by a
triangle of 2k, and k**2 / 12 + k**2 / 6 = (k / 2)**2. So this is what persons look like that are enlarged one to five
times, which small ones are, and about as much as a phone's camera out of focus; a heatmap's cell is four pixels."""
CUTOUT_SIDE = (0.1, 0.4)
"""Of a hidden rectangle: least and largest side, as a part of the crop's."""


@dataclass(frozen=True)
class Background:
    """Another photo to fill with.

    Attributes:
        index: Of its record in the training set.
        place: Which part of it is seen, 0..1 from left or top to right or bottom, along the side that is cut.
    """

    index: int
    place: float


@dataclass(frozen=True)
class Cutout:
    """A rectangle of one color, all of it 0..1.

    Attributes:
        size: Width and height as parts of the crop's.
        place: Parts of the room beside it that are to the left and above.
        color: RGB.
    """

    size: tuple[float, float]
    place: tuple[float, float]
    color: tuple[float, float, float]


@dataclass(frozen=True)
class Appearance:
    """One draw of how a crop looks; None for what stays.

    Attributes:
        background: What is seen outside the photo.
        blur_sigma: Of a Gaussian, in pixels of the crop.
        colors: How they change.
        cutout: What hides a part.
    """

    background: Background | None = None
    blur_sigma: float | None = None
    colors: Colors | None = None
    cutout: Cutout | None = None


def draw_appearance(rng: np.random.Generator, settings: AugmentationConfig, index: int, records: int) -> Appearance:
    """Draw how one crop looks; what the settings do not ask for draws nothing.

    Args:
        rng: Where numbers come from.
        settings: Probabilities and ranges.
        index: Of the crop's record.
        records: Of the training set: the background is any other one's photo.
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
    """A crop blurred, recolored and hidden in part; the background is ``filled``'s.

    Args:
        crop: uint8 (height, width, 3), RGB; left as it is.
        appearance: What was drawn.
    """
    import cv2

    if appearance.blur_sigma is not None:
        crop = np.asarray(cv2.GaussianBlur(crop, (0, 0), appearance.blur_sigma), np.uint8)
    if appearance.colors is not None:
        crop = recolor(crop, appearance.colors)
    if appearance.cutout is not None:
        crop = hidden(crop, appearance.cutout)
    return crop


def hidden(crop: Crop, cutout: Cutout) -> Crop:
    """A crop with a rectangle of one color in it, of one pixel at least."""
    height, width = crop.shape[:2]
    columns, rows = (max(1, round(part * side)) for part, side in zip(cutout.size, (width, height), strict=True))
    x, y = round(cutout.place[0] * (width - columns)), round(cutout.place[1] * (height - rows))
    crop = crop.copy()
    crop[y : y + rows, x : x + columns] = [round(255 * level) for level in cutout.color]
    return crop


def outside(matrix: NDArray[np.float64], image_size_wh: tuple[int, int], crop_size_wh: tuple[int, int]) -> Crop | None:
    """Which pixels of a crop lie beyond the centers of a picture's outermost ones, where black begins to mix in.

    Args:
        matrix: (2, 3), pixels of the picture -> pixels of the crop.
        image_size_wh: Width and height of the picture.
        crop_size_wh: Width and height of the crop.

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


def covering_matrix(image_size_wh: tuple[int, int], crop_size_wh: tuple[int, int], place: float) -> NDArray[np.float64]:
    """Matrix (2, 3), pixels of a picture -> pixels of a crop, that enlarges or shrinks it to cover the whole crop.

    A pixel more is covered to each side: black mixes into the outermost of a picture that is decoded at a part of its
    size.

    Args:
        image_size_wh: Width and height of the picture.
        crop_size_wh: Width and height of the crop.
        place: Which part is seen along the side that is cut, 0..1.
    """
    last = np.maximum(np.array(image_size_wh) - 1, 1)
    wanted = np.array(crop_size_wh) + 1
    factor = (wanted / last).max()
    x, y = -1 - place * (factor * last - wanted)
    return np.array([[factor, 0, x], [0, factor, y]])


def filled(crop: Crop, mask: Crop, background: Crop) -> Crop:
    """A crop with another one's pixels where the mask is not 0, and its own elsewhere."""
    import cv2

    return np.asarray(cv2.copyTo(background, mask, crop.copy()), np.uint8)
