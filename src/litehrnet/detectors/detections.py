"""Protocol of detectors, and their result."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from litehrnet.arrays import Floats, Floats32, Image


@dataclass(frozen=True)
class DetectedBoxes:
    """Objects found in a photo, the highest score first.

    Attributes:
        boxes: float32 (objects, 4): (x, y, width, height) in image pixels, within the photo.
        scores: float32 (objects,), 0..1.

    Example:
        >>> from litehrnet import open_detector, read_image
        >>> from litehrnet.cli.demo import PHOTO
        >>> found = open_detector("person", min_score=0.5).detect(read_image(PHOTO))
        >>> bool((found.scores >= 0.5).all())
        True
    """

    boxes: Floats32
    scores: Floats32


def boxes_in_photo(corners: Floats, scores: Floats32, image: Image) -> DetectedBoxes:
    """Clip boxes to the photo and drop those with less than a pixel inside it.

    Args:
        corners: (objects, 4) or (objects, 2, 2): (x1, y1), (x2, y2) in pixels of the photo.
        scores: float32 (objects,).
        image: uint8 (H, W, 3), the photo.
    """
    cut = corners.reshape(-1, 2, 2).clip(0, image.shape[1::-1]).astype(np.float32)
    first, last = cut[:, 0], cut[:, 1]
    seen = (last - first >= 1).all(axis=1)
    return DetectedBoxes(np.concatenate([first, last - first], axis=1)[seen], scores[seen])


class Detector(Protocol):
    """Detector of people, or of the objects it was trained for."""

    def detect(self, image: Image) -> DetectedBoxes:
        """Find the objects in a photo; the result may be empty.

        Args:
            image: uint8 (H, W, 3), RGB, of any size.
        """
        ...
