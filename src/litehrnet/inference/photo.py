"""Photos for the pose network: pixels from files, bytes, arrays or PIL images, and one box per person."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from litehrnet.detectors.detections import Detector
from litehrnet.errors import UserError
from litehrnet.io.images import decode_image, read_image
from litehrnet.keypoints.boxes import check_boxes

EXPECTED = "expected a file's name or content, a PIL image, or a uint8 array (H, W, 3) in RGB"


class Readable(Protocol):
    """An open file, such as ``io.BytesIO``."""

    def read(self) -> bytes:
        """Read the rest of the file."""
        ...


class PilImage(Protocol):
    """The part of ``PIL.Image.Image`` that is used here; Pillow itself is not needed."""

    mode: str

    def convert(self, mode: str) -> Any:
        """Convert to another mode."""
        ...


ImageLike = NDArray[np.uint8] | str | os.PathLike[str] | bytes | bytearray | memoryview | Readable | PilImage
"""What ``as_rgb`` accepts."""


@dataclass(frozen=True)
class Photo:
    """A photo and the boxes of its people.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        boxes: float32 (persons, 4): (x, y, width, height) in pixels.
        box_scores: float32 (persons,), 0..1.
        name: Name for errors and results.
        detected: Whether a detector found the boxes, so that two of them may show the same person.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    box_scores: NDArray[np.float32]
    name: str
    detected: bool = False


def make_photo(
    image: ImageLike,
    boxes: ArrayLike | None = None,
    box_scores: ArrayLike | None = None,
    name: str | None = None,
    detector: Detector | None = None,
    max_persons: int | None = None,
) -> Photo:
    """Check a photo and its boxes; without boxes and detector, the whole picture is one person's box.

    Args:
        image: See ``as_rgb``.
        boxes: (persons, 4): (x, y, width, height) in pixels; an empty list means no people.
        box_scores: (persons,), 0..1; None for 1.
        name: Name for errors and results; None for the file's name.
        detector: Finds the boxes if none are given.
        max_persons: Number of boxes to keep, those with the highest scores, in their order; None for all.

    Raises:
        UserError: The image cannot be used (see ``as_rgb``); a box is not finite, empty or outside the photo.
    """
    name = name or (os.fspath(image) if isinstance(image, str | os.PathLike) else "image")
    pixels = as_rgb(image, name)
    height, width = pixels.shape[:2]
    detected = boxes is None and detector is not None
    if boxes is None and detector is not None:
        found = detector.detect(pixels)
        boxes, box_scores = found.boxes, found.scores
    checked = check_boxes([[0, 0, width, height]] if boxes is None else boxes, (width, height), name)
    scores = np.ones(len(checked), np.float32) if box_scores is None else np.asarray(box_scores, np.float32)
    if scores.shape != (len(checked),) or not np.isfinite(scores).all():
        raise UserError(f"{name}: box scores of shape {scores.shape} (expected {len(checked)} finite numbers)")
    if max_persons is not None:
        best = np.sort(np.argsort(-scores, kind="stable")[:max_persons])
        checked, scores = checked[best], scores[best]
    return Photo(pixels, checked, scores, name, detected)


def as_rgb(image: ImageLike, name: str) -> NDArray[np.uint8]:
    """Read an image from anything that holds one.

    Args:
        image: A file's name, its content, an open binary file, a PIL image, or a uint8 array. The Exif orientation of
            PIL images is ignored. Arrays are (H, W, 3) in RGB, (H, W, 4) in RGBA, or (H, W) or (H, W, 1) in gray. Alpha
            is dropped.
        name: Name for errors.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        UserError: Anything else, an image without pixels, or one that cannot be read.
    """
    if isinstance(image, np.ndarray):
        return _from_array(image, name)
    if isinstance(image, str | os.PathLike):
        return read_image(Path(image))
    if isinstance(image, bytes | bytearray | memoryview):
        return decode_image(bytes(image), name)
    if hasattr(image, "mode") and hasattr(image, "convert"):
        return _from_pil(cast(PilImage, image), name)
    content = image.read() if hasattr(image, "read") else None
    if not isinstance(content, bytes):
        raise UserError(f"{name}: {type(image).__name__} ({EXPECTED})")
    return decode_image(content, name)


def _from_array(image: NDArray[Any], name: str) -> NDArray[np.uint8]:
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or channels not in (1, 3, 4) or image.size == 0:
        raise UserError(f"{name}: {image.dtype} array of shape {image.shape} ({EXPECTED})")
    if channels == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def _from_pil(image: PilImage, name: str) -> NDArray[np.uint8]:
    if image.mode.startswith(("I", "F")):  # more than 8 bits, which convert() would clip instead of scaling
        raise UserError(f"{name}: a PIL image of mode {image.mode} (expected 8 bits per channel)")
    try:
        return _from_array(np.asarray(image.convert("RGB")), name)
    except (OSError, ValueError) as error:  # PIL decodes only now
        raise UserError(f"{name}: a PIL image that cannot be decoded ({error})") from error
