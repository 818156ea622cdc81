"""Photos for the pose network: pixels from files, bytes, arrays, tensors or PIL images, and one box per person."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from litehrnet.arrays import Floats, Floats32, Image
from litehrnet.detectors.detections import Detector
from litehrnet.errors import UserError
from litehrnet.io.images import decode_image, read_image
from litehrnet.keypoints.boxes import check_boxes

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage
    from torch import Tensor

EXPECTED = "expected a file's name or content, a PIL image, or an array (H, W, 3) of uint8 or floats"

Channels: TypeAlias = Literal["rgb", "bgr"]

_LEAST_BRIGHT = 8
"""Lowest maximum of a float image in 0..255. Images in 0..1 may exceed 1 a little after resizing, so values between are
unclear."""


ImageLike: TypeAlias = (
    "NDArray[Any] | str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | PilImage | Tensor"
)
"""What ``as_rgb`` accepts. The packages of the last two are not needed."""


@dataclass(frozen=True)
class Photo:
    """A photo and the boxes of its people.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        boxes: float32 (persons, 4): (x, y, width, height) in pixels.
        box_scores: float32 (persons,), 0..1.
        name: Name for errors and results.
        detected: Whether a detector found the boxes, so that two of them may show the same person.
        file: Name of the file; None for an image that is not from a file.
        from_detector: Whether the estimator's own detector found the boxes, in this photo or in an earlier frame.

    Example:
        >>> from litehrnet import make_photo
        >>> from litehrnet.cli.demo import PHOTO
        >>> photo = make_photo(PHOTO, boxes=[[408, 56, 231, 344]])
        >>> photo.image.shape, photo.boxes.shape, photo.detected
        ((400, 1141, 3), (1, 4), False)
    """

    image: Image
    boxes: Floats32
    box_scores: Floats32
    name: str
    detected: bool = False
    file: str | None = None
    from_detector: bool = False


def make_photo(
    image: ImageLike,
    boxes: ArrayLike | None = None,
    box_scores: ArrayLike | None = None,
    name: str | None = None,
    detector: Detector | None = None,
    max_persons: int | None = None,
    channels: Channels = "rgb",
) -> Photo:
    """Check a photo and its boxes; without boxes and detector, the whole picture is one person's box.

    Args:
        image: See ``as_rgb``.
        boxes: (persons, 4): (x, y, width, height) in pixels; an empty list means no people.
        box_scores: (persons,), 0..1; None for 1.
        name: Name for errors and results; None for the file's name.
        detector: Finds the boxes if none are given.
        max_persons: Number of boxes to keep, those with the highest scores, in their order; None for all.
        channels: See ``as_rgb``.

    Raises:
        UserError: The image cannot be used (see ``as_rgb``); a box is not finite, empty or outside the photo.

    Example:
        >>> from litehrnet import PoseEstimator, make_photo
        >>> from litehrnet.cli.demo import PHOTO
        >>> photo = make_photo(PHOTO, boxes=[[408, 56, 231, 344], [41, 8, 225, 392]])
        >>> for photo, poses in PoseEstimator().predict_many([photo]):
        ...     print(len(poses))
        2
    """
    name = name or name_of(image)
    pixels = as_rgb(image, name, channels)
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
    file = os.fspath(image) if isinstance(image, str | os.PathLike) else None
    return Photo(pixels, checked, scores, name, detected, file, from_detector=detected)


def name_of(image: ImageLike) -> str:
    """Return the name of an image for errors and results: that of its file, or ``image``."""
    return os.fspath(image) if isinstance(image, str | os.PathLike) else "image"


def as_rgb(image: ImageLike, name: str, channels: Channels = "rgb") -> Image:
    """Read an image from anything that holds one.

    Arrays are uint8, or floats in 0..1 or 0..255, which their largest value tells apart. Their shape is (H, W, 3),
    (H, W, 4) with alpha, or (H, W) or (H, W, 1) in gray. Alpha is dropped. Arrays and PyTorch tensors may also have
    their channels first. The Exif orientation of PIL images is ignored.

    Args:
        image: A file's name, its content, an open binary file, a PIL image, an array or a PyTorch tensor.
        name: Name for errors.
        channels: Order of the channels of arrays and tensors: ``rgb``, or ``bgr`` as OpenCV reads them.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        UserError: Anything else, an image without pixels, or one that cannot be read.
    """
    if channels not in ("rgb", "bgr"):
        raise UserError(f"channels {channels!r}: unknown order (expected rgb or bgr)")
    if isinstance(image, np.ndarray):
        return _from_array(image, name, channels)
    if isinstance(image, str | os.PathLike):
        return read_image(Path(image))
    if isinstance(image, bytes | bytearray | memoryview):
        return decode_image(bytes(image), name)
    if hasattr(image, "mode") and hasattr(image, "convert"):
        return _from_pil(cast("PilImage", image), name)
    if hasattr(image, "detach") and hasattr(image, "is_floating_point"):
        return _from_tensor(cast("Tensor", image), name, channels)
    content = image.read() if hasattr(image, "read") else None
    if not isinstance(content, bytes):
        raise UserError(f"{name}: {type(image).__name__} ({EXPECTED})")
    return decode_image(content, name)


def _from_array(image: NDArray[Any], name: str, channels: Channels = "rgb") -> Image:
    described = f"{name}: {image.dtype} array of shape {image.shape}"
    if image.ndim == 3 and not _counts_channels(image.shape[2]) and _counts_channels(image.shape[0]):
        image = image.transpose(1, 2, 0)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or not _counts_channels(image.shape[2]) or image.size == 0:
        raise UserError(f"{described} ({EXPECTED})")
    if np.issubdtype(image.dtype, np.floating):
        image = _from_floats(image, described)
    if image.dtype != np.uint8:
        raise UserError(f"{described} ({EXPECTED})")
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    return np.ascontiguousarray(image[..., 2::-1] if channels == "bgr" else image[..., :3])


def _counts_channels(length: int) -> bool:
    return length in (1, 3, 4)


def _from_floats(image: Floats, described: str) -> Image:
    lowest, highest = float(image.min()), float(image.max())
    if not (lowest >= 0 and (highest <= 1 or _LEAST_BRIGHT <= highest <= 255)):  # NaN fails both comparisons
        raise UserError(f"{described} with values of {lowest:g} to {highest:g} (expected 0..1 or 0..255)")
    pixels: Image = np.rint(image * 255 if highest <= 1 else image).astype(np.uint8)
    return pixels


def _from_tensor(image: "Tensor", name: str, channels: Channels) -> Image:
    try:
        # NumPy has no bfloat16.
        array = np.asarray((image.float() if image.is_floating_point() else image).detach().cpu())
    except (RuntimeError, TypeError, ValueError) as error:  # sparse, quantized, or without values
        raise UserError(f"{name}: a tensor that NumPy cannot read (expected a dense one)") from error
    if array.ndim == 3 and _counts_channels(array.shape[0]) and _counts_channels(array.shape[2]):
        raise UserError(f"{name}: a tensor of shape {array.shape} (expected one axis of 1, 3 or 4 channels)")
    return _from_array(array, name, channels)


def _from_pil(image: "PilImage", name: str) -> Image:
    if image.mode.startswith(("I", "F")):  # more than 8 bits, which convert() would clip instead of scaling
        raise UserError(f"{name}: a PIL image of mode {image.mode} (expected 8 bits per channel)")
    try:
        return _from_array(np.asarray(image.convert("RGB")), name)
    except (OSError, ValueError) as error:  # PIL decodes only now
        raise UserError(f"{name}: a PIL image that cannot be decoded ({error})") from error
