"""Photos for crops: read once for people who share them, and decoded no larger than a crop needs."""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from litehrnet.arrays import Floats64, Image
from litehrnet.errors import UserError
from litehrnet.io.archives import find_member, inside_archive, read_data_file
from litehrnet.io.image_headers import ImageHeader, header_of_start, read_header
from litehrnet.io.images import decode_image

CACHE_BYTES = 64_000_000
REDUCTIONS = (8, 4, 2)

# Ends of complete files. Some have further bytes after the mark: a file without it in its tail is read completely.
_END_MARKS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG": b"IEND"}
_START_BYTES = _TAIL_BYTES = 4096
_NAMED = 100  # faults that one error names

Size = tuple[float, float]
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class HeldPhoto:
    """A picture file that was read but not decoded.

    Attributes:
        path: Path of the file.
        content: Its bytes.
        header: Its parsed header.
    """

    path: Path
    content: bytes
    header: ImageHeader

    @property
    def size_wh(self) -> tuple[int, int]:
        """(width, height) of the upright picture in pixels."""
        return self.header.upright_wh


class PhotoCache:
    """Cache of recently used photos, one for each process that makes samples.

    It changes how long a sample takes, never the sample.

    Args:
        max_bytes: Largest size of the files and decoded pictures in the cache.
    """

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[tuple[Path, int], tuple[Any, int]] = OrderedDict()
        self._bytes = 0

    def photo(self, path: Path) -> HeldPhoto:
        """Return a photo, read if it is not in the cache.

        Raises:
            UserError: The file is missing or is not a complete picture.
        """

        def read() -> tuple[HeldPhoto, int]:
            content = read_data_file(path)
            return HeldPhoto(path, content, read_header(content, str(path))), len(content)

        return self._get((path, 0), read)

    def image(self, photo: HeldPhoto, reduction: int = 1) -> Image:
        """Return the pixels of a photo, decoded if they are not in the cache; they must not be changed.

        Args:
            photo: A photo from ``photo``.
            reduction: See ``decode_image``.

        Raises:
            UserError: The photo cannot be decoded.
        """

        def decode() -> tuple[Image, int]:
            image = decode_image(photo.content, str(photo.path), reduction, photo.header)
            return image, image.nbytes

        return self._get((photo.path, reduction), decode)

    def _get(self, key: tuple[Path, int], make: Callable[[], tuple[_Value, int]]) -> _Value:
        if key in self._held:
            self._held.move_to_end(key)
            held: _Value = self._held[key][0]
            return held
        value, size = make()
        self._held[key] = value, size
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, (_, freed) = self._held.popitem(last=False)
            self._bytes -= freed
        return value


def check_photos(photos: Iterable[tuple[Path, Size | None]], source: str) -> None:
    """Refuse photos that are missing, broken or of another size; one error names all of them.

    Args:
        photos: Paths, and (width, height) in the annotations, None where they have none; each path is checked once.
        source: File that names them, for the error message.

    Raises:
        UserError: A photo is missing, broken or of another size.
    """
    fault, _ = broken_photos(photos, source)
    if fault is not None:
        raise UserError(fault)


def broken_photos(photos: Iterable[tuple[Path, Size | None]], source: str) -> tuple[str | None, bool]:
    """Name photos that ``check_photos`` refuses in one sentence, None without any; and tell whether all are so."""
    each = dict(photos)
    faults = [fault for path, size_wh in each.items() if (fault := photo_fault(path, size_wh))]
    if not faults:
        return None, False
    named = "; ".join(faults[:_NAMED]) + ("; ..." if len(faults) > _NAMED else "")
    sentence = f"{named} ({len(faults)} of the {len(each)} photos of {source} cannot be used)"
    return sentence, len(faults) == len(each)


def size_fault(path: Path, header: ImageHeader, size_wh: Size | None) -> str | None:
    """Say that the size of a photo is not that of its annotations; None if it is, or if they have none."""
    stored, upright = (header.width, header.height), header.upright_wh
    if size_wh is None or tuple(size_wh) == upright:
        return None
    is_size, said = "{:g}x{:g}".format(*upright), "{:g}x{:g}".format(*size_wh)
    if tuple(size_wh) == stored:
        turned = f"is {is_size} once it is turned by its Exif orientation"
        return f"{path}: {turned} (expected {said}, as in the annotations, which are of the stored pixels)"
    return f"{path}: is {is_size} (expected {said}, as in the annotations)"


def photo_fault(path: Path, size_wh: Size | None = None) -> str | None:
    """Find a fault of a picture file without decoding it; None for a good file.

    This is fast enough for all files of a data set: usually only the beginning and the end are read.

    Args:
        path: The file; in an archive, its size is not compared.
        size_wh: (width, height) in the annotations; None to compare nothing.
    """
    inside = inside_archive(path)
    try:
        if inside:
            find_member(*inside)  # its contents have a checksum
            return None
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            tail = file.read()
    except UserError as error:
        return str(error)
    except OSError:
        start, tail = b"", b""
    header = None
    if any(start.startswith(magic) and end in tail for magic, end in _END_MARKS.items()):
        header = header_of_start(start)
        if size_wh is None:
            return None
    try:
        header = header or read_header(read_data_file(path), str(path))
    except UserError as error:
        return str(error)
    return size_fault(path, header, size_wh)


def reduction_for(photo: HeldPhoto, matrix: Floats64) -> int:
    """Find the strongest reduction of a photo at which the crop is not enlarged: 1, 2, 4 or 8; 1 unless it is a JPEG.

    ``matrix`` is (2, 3), image_xy -> crop_xy.
    """
    if photo.header.format != "JPEG":
        return 1
    (a, b, _), (c, d, _) = matrix.tolist()
    shrink = abs(a * d - b * c) ** -0.5
    return next((reduction for reduction in REDUCTIONS if shrink >= reduction), 1)


def whole_from_reduced(photo: HeldPhoto, reduction: int) -> Floats64:
    """Compute the matrix (3, 3): pixels of the reduced picture -> pixels of the whole one.

    A pixel of the reduced picture covers a square of the stored one, counted from its first corner. The last column and
    row may cover less; they come first in a picture that is stored rotated or mirrored.
    """
    orientation = photo.header.orientation
    first = np.array([orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)])
    surplus = np.where(first, -np.array(photo.size_wh) % reduction, 0)
    shift = (reduction - 1) / 2 - surplus
    return np.array([[reduction, 0, shift[0]], [0, reduction, shift[1]], [0, 0, 1]])
