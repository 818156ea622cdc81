"""Boxes of people, and the center and scale that define their crops.

Source: docs/spec/protocol.md, section 1.1. One unit of scale is 200 image pixels.
"""

import numpy as np
from numpy.typing import ArrayLike

from litehrnet.arrays import Floats, Floats32, Floats64, Mask
from litehrnet.errors import UserError

BODY_SHARE = 0.53
"""Average share of a person's box that the body covers: COCO's areas are areas of bodies."""

PIXEL_STD = 200.0
PADDING = 1.25


def centers_and_scales(
    boxes: Floats, input_size_wh: tuple[int, int], padding: float = PADDING
) -> tuple[Floats32, Floats32]:
    """Compute the center and padded scale of each box, enlarged to the aspect ratio of the network's input.

    Args:
        boxes: (people, 4): (x, y, width, height) in image pixels.
        input_size_wh: Width and height of the network's input; only their ratio matters.
        padding: Factor applied to the enlarged box.

    Returns:
        Centers (people, 2) in image pixels and scales (people, 2): width and height of the enlarged and padded
        box, divided by 200 pixels. Rounded to float32 at the same steps as in the reference implementation.
    """
    aspect = input_size_wh[0] / input_size_wh[1]
    x, y, width, height = np.asarray(boxes, dtype=np.float64).reshape(-1, 4).T
    centers = np.stack([x + width / 2, y + height / 2], axis=1).astype(np.float32)
    grown = np.stack([np.maximum(width, aspect * height), np.maximum(height, width / aspect)], axis=1)
    return centers, (grown / PIXEL_STD).astype(np.float32) * np.float32(padding)


def clean_box(
    box: tuple[float, float, float, float], image_size_wh: tuple[int, int]
) -> tuple[float, float, float, float] | None:
    """Clean an annotated COCO box as the reference implementation does; return None if nothing remains.

    The result is one pixel smaller than the annotation. A box that begins left of the image (or above it) is
    moved inside, not clipped: its width does not shrink by the part outside. Boxes are (x, y, width, height) in image
    pixels.
    """
    x, y, width, height = box
    x1, y1 = max(0, x), max(0, y)
    x2 = min(image_size_wh[0] - 1, x1 + max(0, width - 1))
    y2 = min(image_size_wh[1] - 1, y1 + max(0, height - 1))
    return (x1, y1, x2 - x1, y2 - y1) if x2 > x1 and y2 > y1 else None


def pairwise_iou(boxes: Floats, others: Floats) -> Floats64:
    """Compute the intersection over union, float64 (m, n), 0..1, of every box (m, 4) with every other box (n, 4).

    Boxes are (x, y, width, height), with an area above 0.
    """
    ours, theirs = (np.asarray(each, np.float64).reshape(-1, 2, 2) for each in (boxes, others))
    first = np.maximum(ours[:, None, 0], theirs[None, :, 0])
    last = np.minimum(ours[:, None].sum(axis=2), theirs[None].sum(axis=2))
    shared = np.prod(np.maximum(last - first, 0), axis=2)
    areas = np.prod(ours[:, 1], axis=1)[:, None] + np.prod(theirs[:, 1], axis=1)[None]
    return np.asarray(shared / (areas - shared))


def check_boxes(boxes: ArrayLike, image_size_wh: tuple[int, int], name: str, first: int = 0) -> Floats32:
    """Check a user's boxes for one photo and convert them to an array; an empty list means no people.

    Args:
        boxes: (people, 4): (x, y, width, height) in image pixels.
        image_size_wh: Width and height of the photo.
        name: Name for error messages, such as the photo's file.
        first: Number of the first box in error messages.

    Returns:
        float32 (people, 4).

    Raises:
        UserError: The shape is wrong, or a box is not finite, has no area or is outside the photo.
    """
    wanted = "expected one (x, y, width, height) in pixels per person"
    try:
        given = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{name}: boxes are not a table of numbers ({wanted})") from error
    if given.shape == (0,):
        given = given.reshape(0, 4)
    if given.ndim != 2 or given.shape[1] != 4:
        raise UserError(f"{name}: boxes have the shape {given.shape} ({wanted})")
    with np.errstate(over="ignore"):
        checked = given.astype(np.float32)
    x, y, width, height = checked.astype(np.float64).T
    image_width, image_height = image_size_wh
    # Sides below the smallest normal number become 0 when they are divided by 200.
    least = np.finfo(np.float32).tiny
    overlaps = (x < image_width) & (y < image_height) & (x + width > 0) & (y + height > 0)
    _refuse(~np.all(np.isfinite(checked), axis=1), given, name, first, "expected finite numbers")
    _refuse((width < least) | (height < least), given, name, first, "expected a width and height above 0")
    _refuse(~overlaps, given, name, first, f"expected to overlap the image of {image_width}x{image_height} pixels")
    return checked


def _refuse(wrong: Mask, boxes: Floats64, name: str, first: int, wanted: str) -> None:
    if wrong.any():
        index = int(wrong.argmax())
        values = ", ".join(f"{value:g}" for value in boxes[index])
        raise UserError(f"{name}: box {first + index} (counted from 0) is x, y, width, height = {values} ({wanted})")
