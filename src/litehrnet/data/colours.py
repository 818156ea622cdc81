"""How the colours of training images vary, of poses and of segmentation alike."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.settings import AugmentationConfig, DetectionConfig, SegmentationConfig


@dataclass(frozen=True)
class Colours:
    """One draw of how colours change.

    Attributes:
        brightness: Added to the grey levels, as a part of their range.
        contrast: Factor of their distance from the middle.
        saturation: Factor of the colours' distance from grey.
    """

    brightness: float
    contrast: float
    saturation: float


def draw_colours(
    rng: np.random.Generator, settings: AugmentationConfig | SegmentationConfig | DetectionConfig
) -> Colours:
    """Draw each uniformly in the range that the settings give; three draws."""
    return Colours(
        brightness=rng.uniform(-settings.brightness, settings.brightness),
        contrast=rng.uniform(1 - settings.contrast, 1 + settings.contrast),
        saturation=rng.uniform(1 - settings.saturation, 1 + settings.saturation),
    )


def recolour(image: NDArray[np.uint8], colours: Colours) -> NDArray[np.uint8]:
    """An image with brightness, contrast and saturation changed; grey levels beyond the range become its ends.

    Args:
        image: uint8 (height, width, 3), RGB.
        colours: How much of each.
    """
    import cv2

    levels = (np.arange(256) - 128.0) * colours.contrast + 128 + 255 * colours.brightness
    image = np.asarray(cv2.LUT(image, np.rint(levels).clip(0, 255).astype(np.uint8)), np.uint8)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    mixed = cv2.addWeighted(image, colours.saturation, grey, 1 - colours.saturation, 0)
    return np.asarray(mixed, np.uint8)
