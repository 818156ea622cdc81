"""What every detector returns."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DetectedBoxes:
    """Objects found in a photo, the highest score first.

    Attributes:
        boxes: float32 (objects, 4): (x, y, width, height) in image pixels, within the photo.
        scores: float32 (objects,), 0..1.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


class Detector(Protocol):
    """Finds the objects in a photo: people, or whatever it was trained for."""

    def detect(self, image: NDArray[np.uint8]) -> DetectedBoxes:
        """Boxes of the objects in a photo, which may be none.

        Args:
            image: uint8 (H, W, 3), RGB, of any size.
        """
        ...
