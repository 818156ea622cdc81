"""Random color changes of training images, for every task."""

from dataclasses import dataclass

import numpy as np

from litehrnet.arrays import Image
from litehrnet.data.settings import AugmentationConfig, DetectionConfig, SegmentationConfig


@dataclass(frozen=True)
class Colors:
    """One random change of colors.

    Attributes:
        brightness: Value that is added to the gray levels, as a part of their range.
        contrast: Factor of their distance from the middle.
        saturation: Factor of the colors' distance from gray.
    """

    brightness: float
    contrast: float
    saturation: float


def draw_colors(
    rng: np.random.Generator, settings: AugmentationConfig | SegmentationConfig | DetectionConfig
) -> Colors:
    """Draw each value uniformly in the range of the settings; three draws."""
    return Colors(
        brightness=rng.uniform(-settings.brightness, settings.brightness),
        contrast=rng.uniform(1 - settings.contrast, 1 + settings.contrast),
        saturation=rng.uniform(1 - settings.saturation, 1 + settings.saturation),
    )


def recolor(image: Image, colors: Colors) -> Image:
    """Change brightness, contrast and saturation of an image (height, width, 3); gray levels are clipped."""
    import cv2

    levels = (np.arange(256) - 128.0) * colors.contrast + 128 + 255 * colors.brightness
    image = np.asarray(cv2.LUT(image, np.rint(levels).clip(0, 255).astype(np.uint8)), np.uint8)
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    mixed = cv2.addWeighted(image, colors.saturation, gray, 1 - colors.saturation, 0)
    return np.asarray(mixed, np.uint8)
