"""Reading and writing images as upright uint8 RGB arrays."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from litehrnet.arrays import Image
from litehrnet.errors import UserError
from litehrnet.io import files, unfinished_jpeg
from litehrnet.io.archives import read_data_file
from litehrnet.io.image_headers import ImageHeader, critical_png_chunks, read_header
from litehrnet.optional import require

MAX_PIXELS = 200_000_000
"""Largest image, in pixels (600 MB as RGB). Larger ones are refused before memory is allocated."""

LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".heic", ".heif", ".hif", ".avif"})
IMAGE_SUFFIXES = LOSSY_SUFFIXES | {".png", ".webp", ".bmp", ".tif", ".tiff"}
WRITTEN_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def read_image(path: str | Path) -> Image:
    """Read a photo from a file, as ``decode_image`` does.

    Args:
        path: A JPEG, PNG, WebP, BMP, TIFF, HEIC or AVIF file, recognized by content, not by suffix.

    Returns:
        uint8 (height, width, 3), RGB, upright.

    Raises:
        UserError: The file cannot be read or is not a complete image of at most ``MAX_PIXELS``.

    Example:
        >>> from litehrnet import read_image
        >>> from litehrnet.cli.demo import PHOTO
        >>> read_image(PHOTO).shape
        (400, 1141, 3)
    """
    return decode_image(read_data_file(Path(path)), str(path))


def decode_image(content: bytes, name: str, reduction: int = 1, header: ImageHeader | None = None) -> Image:
    """Decode the content of an image file to an upright RGB image.

    ====================  =====================================================================
    in the file           in the array
    ====================  =====================================================================
    8 bits                as stored; color profiles are ignored
    16 bits               the upper 8 bits, rounded down: 65535 is 255, 255 is 0
    10 or 12 bits         scaled to 8 bits (HEIC, AVIF)
    1, 2 or 4 bits        stretched to 0..255
    float, 32-bit         an error
    gray                  three equal channels
    palette               its colors
    transparency          dropped: the colors as stored under it
    CMYK (JPEG)           RGB by OpenCV's conversion, which assumes inverted inks, as Adobe stores them
    Exif orientation      applied (JPEG, PNG and WebP; in TIFF the tag of the same number, in HEIC and AVIF their own)
    animation, pages      the first frame or page; an error if OpenCV is older than 4.11 and it is WebP
    ====================  =====================================================================

    A truncated file is always an error, unless only the end marker of a JPEG is missing. So is a wrong checksum (PNG).
    Other damage in formats without checksums leads to an error or to wrong pixels, which libjpeg reports on the
    standard error stream. HEIC needs the package pillow-heif.

    Args:
        content: The whole file.
        name: File name for error messages.
        reduction: 1, or for JPEG also 2, 4 or 8: both sides are divided by it and rounded up. Each pixel is
            about the mean of a square of that many stored pixels, counted from the first stored corner.
        header: Result of ``read_header`` for ``content``, if known.

    Returns:
        uint8 (height, width, 3), RGB, contiguous.

    Raises:
        UserError: The content is not a complete image of these formats, has no pixels or more than ``MAX_PIXELS``,
            or cannot be decoded; or it is HEIC and pillow-heif is not installed.
    """
    header = header or read_header(content, name)
    _check_size(header, name)
    if header.format == "PNG":
        # Faulty color profiles are common, change nothing here, and make libpng print warnings.
        content = critical_png_chunks(content)
    if header.lacks_end:
        content = content.removesuffix(b"\xff") + unfinished_jpeg.END
    image = _decode_heic(content, name) if header.format == "HEIC" else _decode(content, header, name, reduction)
    if header.format not in ("TIFF", "HEIC"):  # whose decoders rotate, whatever their flags say
        image = _upright(image, header.orientation)
    return np.ascontiguousarray(image)


def write_image(path: str | Path, image_rgb: Image, quality: int = 92) -> None:
    """Write an image in one step: a reader finds the old file or the new one, never half of one.

    Args:
        path: File to write. The suffix chooses the format: ``.jpg``, ``.jpeg``, ``.png`` or ``.webp``.
        image_rgb: uint8 (height, width, 3), RGB.
        quality: 1..100 for JPEG and WebP; PNG is lossless.

    Raises:
        UserError: The suffix is unknown, the image is too large for the format, or the file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from litehrnet import read_image, write_image
        >>> from litehrnet.cli.demo import PHOTO
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(Path(folder) / "small.png", read_image(PHOTO)[::4, ::4])
        ...     read_image(Path(folder) / "small.png").shape
        (100, 286, 3)
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITTEN_SUFFIXES:
        raise UserError(f"{path}: unknown suffix for an image (expected {', '.join(WRITTEN_SUFFIXES)})")
    files.write_bytes(path, encode_image(image_rgb, suffix, quality, str(path)))


def encode_image(image_rgb: Image, suffix: str, quality: int, name: str = "image") -> bytes:
    """Encode an image as the content of a file with this suffix; arguments as for ``write_image``.

    A side has at most 65,500 pixels in JPEG and 16,383 in WebP, whose files are smaller at the same quality.

    Raises:
        UserError: The image, which has this name, is too large for the format.
    """
    import cv2

    options = {".png": [], ".webp": [cv2.IMWRITE_WEBP_QUALITY, quality]}
    bgr = cv2.cvtColor(np.ascontiguousarray(image_rgb), cv2.COLOR_RGB2BGR)
    try:
        with _silent_opencv():
            written, content = cv2.imencode(suffix, bgr, options.get(suffix, [cv2.IMWRITE_JPEG_QUALITY, quality]))
    except cv2.error:
        written = False
    if not written:
        height, width = image_rgb.shape[:2]
        raise UserError(f"{name}: {width} x {height} pixels are too many for this format (PNG allows more)")
    return content.tobytes()


def _check_size(header: ImageHeader, name: str) -> None:
    width, height = header.width, header.height
    if width <= 0 or height <= 0:
        raise UserError(f"{name}: has no pixels (its size is {width} x {height})")
    if width * height > MAX_PIXELS:
        raise UserError(
            f"{name}: {width} x {height} pixels are too many (expected at most {MAX_PIXELS // 10**6} million)"
        )


def _decode(content: bytes, header: ImageHeader, name: str, reduction: int) -> Image:
    import cv2

    # The orientation is applied by the caller, from the header: OpenCV's versions differ in the formats they rotate.
    whole = cv2.IMREAD_COLOR | (0 if header.format == "AVIF" else cv2.IMREAD_ANYDEPTH)  # it has up to 12 bits, not 16
    flags = whole if reduction == 1 else getattr(cv2, f"IMREAD_REDUCED_COLOR_{reduction}")
    flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        with _silent_opencv():
            bgr = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        bgr = None
    if bgr is None:
        raise UserError(
            f"{name}: cannot be decoded (a damaged {header.format} file, "
            f"or a kind that OpenCV {cv2.__version__} does not support)"
        )
    if bgr.dtype == np.uint16:
        bgr = (np.asarray(bgr, np.uint16) >> 8).astype(np.uint8)
        if header.zero_is_white:  # OpenCV respects this for up to 8 bits only
            bgr = 255 - bgr
    if bgr.dtype != np.uint8:
        raise UserError(f"{name}: has samples of type {bgr.dtype} (expected 8 or 16 bits)")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), np.uint8)


def _decode_heic(content: bytes, name: str) -> Image:
    require("pillow_heif", "heic", f"{name}: reading HEIC")
    import pillow_heif

    try:
        image = np.asarray(pillow_heif.open_heif(content))
    except (ValueError, LookupError, RuntimeError, OSError, SyntaxError, MemoryError) as error:
        raise UserError(f"{name}: cannot be decoded (a damaged HEIC file, or an unknown kind)") from error
    gray = image.ndim == 2
    return np.repeat(image[..., None], 3, axis=2) if gray else image[..., :3]


def _upright(image: Image, orientation: int) -> Image:
    """Undo an Exif orientation: 5 to 8 swap rows and columns, then either or both are reversed."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image


_silence = threading.Lock()
_silenced: list[int] = []  # the log level to restore, once for every call in progress


@contextlib.contextmanager
def _silent_opencv() -> Iterator[None]:
    """Silence OpenCV's log, whose messages become error messages here; the last of several threads restores it."""
    import cv2

    log = getattr(cv2.utils, "logging", cv2)  # where OpenCV 4.10 and 5.0 keep the two functions
    with _silence:
        _silenced.append(_silenced[-1] if _silenced else log.getLogLevel())
        log.setLogLevel(0)
    try:
        yield
    finally:
        with _silence:
            level = _silenced.pop()
            if not _silenced:
                log.setLogLevel(level)
