"""Fitting a photo of any size into the input of a detector, and mapping boxes back to the photo."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from litehrnet.keypoints.crop import MEAN_COLOR


@dataclass(frozen=True)
class Letterbox:
    """Network input with a scaled photo in its middle.

    Attributes:
        pixels: uint8 (height, width, 3), RGB: the photo in the middle, the mean color around it.
        scale_xy: float64 (2,): pixels of the input per pixel of the photo.
        shift_xy: float64 (2,): the photo's top left corner in the input.
    """

    pixels: NDArray[np.uint8]
    scale_xy: NDArray[np.float64]
    shift_xy: NDArray[np.float64]

    def to_photo(self, corners: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert corners (objects, 4) in pixels of the input to float32 corners in pixels of the photo."""
        moved = (corners.reshape(-1, 2, 2) - self.shift_xy) / self.scale_xy
        return moved.reshape(-1, 4).astype(np.float32)


def letterbox(image: NDArray[np.uint8], size_wh: tuple[int, int]) -> Letterbox:
    """Scale a photo to the largest size that fits, and put it in the middle of the input.

    Args:
        image: uint8 (height, width, 3), RGB, of any size.
        size_wh: Width and height of the input.
    """
    import cv2

    photo, target = np.array(image.shape[1::-1]), np.array(size_wh)
    scaled = np.clip(np.rint(photo * (target / photo).min()).astype(int), 1, target)
    shift = (target - scaled) // 2
    # Bilinear shrinking would skip most pixels of a large photo.
    method = cv2.INTER_AREA if (scaled < photo).any() else cv2.INTER_LINEAR
    pixels = np.empty((size_wh[1], size_wh[0], 3), np.uint8)
    pixels[:] = MEAN_COLOR
    (x, y), (width, height) = shift.tolist(), scaled.tolist()
    pixels[y : y + height, x : x + width] = cv2.resize(image, (width, height), interpolation=method)
    return Letterbox(pixels, scaled / photo, shift.astype(np.float64))
