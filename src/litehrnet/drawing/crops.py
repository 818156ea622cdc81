"""Cut people out of pictures."""

import numpy as np

from litehrnet.arrays import Floats32, Image

MARGIN = 0.1
"""Part of the box's width and height that is added on each side."""


def person_crop(image: Image, box: Floats32) -> Image | None:
    """Cut out a person's box and a margin around it, within the picture.

    Args:
        image: uint8 (height, width, 3).
        box: float32 (4,): (x, y, width, height) in pixels.

    Returns:
        uint8 (height, width, 3), a copy; None if the box is outside the picture or not finite.
    """
    x, y, width, height = box.tolist()
    corners = np.array([y - MARGIN * height, x - MARGIN * width, y + (1 + MARGIN) * height, x + (1 + MARGIN) * width])
    if not np.isfinite(corners).all():
        return None
    top, left, bottom, right = np.rint(corners.clip(0, np.tile(image.shape[:2], 2))).astype(int).tolist()
    crop = image[top:bottom, left:right].copy()
    return crop if crop.size else None
