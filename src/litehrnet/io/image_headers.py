"""Headers of image files, and a check that a file is complete before it is decoded.

Decoders fill the missing part of a truncated file with gray or refuse it, depending on format and version.
So each container is walked to its end here first, without allocating memory or decoding pixels. Only a JPEG without
its end marker is decoded, to see whether pixels are missing.

Sources: ITU-T T.81 annex B (JPEG markers), the W3C's PNG specification, section 5 (chunks), RFC 9649 (WebP),
the BITMAPINFOHEADER of Windows (BMP), TIFF 6.0, section 2, and CIPA DC-008 (Exif) for the orientation.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from litehrnet.errors import UserError
from litehrnet.io.heif_headers import heif_format, read_heif
from litehrnet.io.unfinished_jpeg import MOST_PIXELS, ScanCoverage, lacks_only_its_end, note_missing_end

EXPECTED = "expected JPEG, PNG, WebP, BMP, TIFF, HEIC or AVIF"


@dataclass(frozen=True)
class ImageHeader:
    """Header of a complete image file.

    Attributes:
        format: ``JPEG``, ``PNG``, ``WebP``, ``BMP``, ``TIFF``, ``HEIC`` or ``AVIF``.
        width: Pixels in a stored row, before the orientation is applied.
        height: Number of stored rows.
        orientation: 1 to 8 as in Exif (1 is upright); 1 if the file has no valid one.
        zero_is_white: Gray samples run from white to black (some TIFF files).
        lacks_end: Only the end marker is missing (JPEG).
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    zero_is_white: bool = False
    lacks_end: bool = False

    @property
    def upright_wh(self) -> tuple[int, int]:
        """(width, height) of the picture with its orientation applied."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_header(content: bytes, name: str) -> ImageHeader:
    """Recognize an image by its first bytes and walk its container to the end.

    Args:
        content: The whole file; bytes after the image's end are ignored.
        name: File name for error messages.

    Raises:
        UserError: The file is empty, truncated, structurally damaged, or of an unsupported format.
    """
    if not content:
        raise UserError(f"{name}: is empty ({EXPECTED})")
    known = [(image_format, walk) for magic, image_format, walk in _FORMATS if magic.match(content)]
    if not known and (phone_format := heif_format(content)):
        known = [(phone_format, lambda content: ImageHeader(phone_format, *read_heif(content)))]
    if not known:
        raise UserError(f"{name}: not an image ({EXPECTED})")
    image_format, walk = known[0]
    try:
        header = walk(content)
    except (EOFError, ValueError, LookupError, struct.error) as error:
        raise UserError(f"{name}: is cut short or damaged (expected a whole {image_format} file)") from error
    if header.lacks_end:
        note_missing_end(name)
    return header


def critical_png_chunks(content: bytes) -> bytes:
    """Reduce a PNG to the chunks that define its pixels, without color profiles, text or animation."""
    chunks = (content[start:end] for kind, start, end in _png_chunks(content) if kind[:1].isupper())
    return content[:8] + b"".join(chunks)


# After 0xFF: 0x00 is a byte of a scan, 0xD0..0xD7 restart a scan, and 0xFF is padding. Anything else is a marker.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = {0x01, 0xD8}


def header_of_start(start: bytes) -> ImageHeader | None:
    """Read size and orientation from the first bytes of a JPEG or PNG file; None if they do not reach far enough."""
    try:
        if start.startswith(b"\xff\xd8\xff"):
            return _jpeg(start, only_start=True)
        if start.startswith(b"\x89PNG"):
            return _png(start, only_start=True)
    except (EOFError, ValueError, struct.error):
        pass
    return None


def _jpeg(content: bytes, only_start: bool = False) -> ImageHeader:
    width = height = orientation = 0
    coverage = ScanCoverage()
    position = 2
    while True:
        found = _JPEG_MARKER.search(content, position)
        if found is None:
            whole = 0 < width * height <= MOST_PIXELS and coverage.is_complete()
            if not whole or not lacks_only_its_end(content, coverage.scans):
                raise EOFError
            return ImageHeader("JPEG", width, height, orientation or 1, lacks_end=True)
        position, marker = found.end(), content[found.end() - 1]
        if marker == 0xD9:
            break
        if marker in _JPEG_BARE:
            continue
        (length,) = struct.unpack_from(">H", content, position)
        if marker in _JPEG_FRAMES and not coverage.scans:
            coverage.add_frame(content[position : position + length], progressive=marker == 0xC2)
            height, width = struct.unpack_from(">HH", content, position + 3)
        elif marker == 0xDA:
            coverage.add_scan(content[position : position + length])
            if only_start:
                break
        elif marker == 0xE1 and not orientation:
            orientation = _exif_orientation(content[position + 2 : position + length])
        # A thumbnail inside a segment has its own markers: the length skips them.
        position += length
    if not coverage.scans:
        raise ValueError("no scan")
    return ImageHeader("JPEG", width, height, orientation or 1)


def _png_chunks(content: bytes, only_start: bool = False) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end offset of every chunk up to IEND, with verified checksums.

    ``only_start`` stops at the pixels, and does not verify.
    """
    view, start, kind = memoryview(content), 8, b""
    while kind != (b"IDAT" if only_start else b"IEND"):
        length, kind = struct.unpack_from(">I4s", content, start)
        end = start + 12 + length
        if not only_start and zlib.crc32(view[start + 4 : end - 4]) != struct.unpack_from(">I", content, end - 4)[0]:
            raise ValueError("checksum")
        yield kind, start, end
        start = end


def _png(content: bytes, only_start: bool = False) -> ImageHeader:
    orientation = 0
    for number, (kind, start, end) in enumerate(_png_chunks(content, only_start)):
        if number == 0 and kind != b"IHDR":
            raise ValueError("no header")
        if kind == b"eXIf" and not orientation:
            orientation = _exif_orientation(content[start + 8 : end - 4])
    width, height = struct.unpack_from(">II", content, 16)
    return ImageHeader("PNG", width, height, orientation or 1)


def _webp(content: bytes) -> ImageHeader:
    sizes: list[tuple[int, int]] = []
    orientation, position = 1, 12
    end = 8 + int.from_bytes(content[4:8], "little")
    if end > len(content):
        raise EOFError
    while position < end:
        kind, length = struct.unpack_from("<4sI", content, position)
        position += 8
        if position + length > end:
            raise EOFError
        if kind == b"EXIF":
            orientation = _exif_orientation(content[position : position + length]) or 1
        elif kind in _WEBP_SIZES:
            sizes.append(_WEBP_SIZES[kind](content[position : position + 10]))
        position += length + length % 2
    if not sizes:
        raise ValueError("no picture")
    return ImageHeader("WebP", *sizes[0], orientation)


def _vp8x_size(chunk: bytes) -> tuple[int, int]:
    return 1 + int.from_bytes(chunk[4:7], "little"), 1 + int.from_bytes(chunk[7:10], "little")


def _vp8_size(chunk: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", chunk, 6)
    return width & 0x3FFF, height & 0x3FFF


def _vp8l_size(chunk: bytes) -> tuple[int, int]:
    (bits,) = struct.unpack_from("<I", chunk, 1)
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)


_WEBP_SIZES: dict[bytes, Callable[[bytes], tuple[int, int]]] = {
    b"VP8X": _vp8x_size,
    b"VP8 ": _vp8_size,
    b"VP8L": _vp8l_size,
}


def _bmp(content: bytes) -> ImageHeader:
    pixels, header_size = struct.unpack_from("<II", content, 10)
    compression, packed_size = 0, 0
    if header_size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
    else:
        width, height, _, bits, compression, packed_size = struct.unpack_from("<iiHHII", content, 18)
    height = abs(height)  # negative if the top row is stored first
    run_length_coded = compression in (1, 2)
    size = packed_size if run_length_coded else (width * bits + 31) // 32 * 4 * height
    if pixels + size > len(content):
        raise EOFError
    return ImageHeader("BMP", width, height)


_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_PHOTOMETRIC, _TIFF_ORIENTATION = 256, 257, 262, 274
_TIFF_STRIPS, _TIFF_TILES = (273, 279), (324, 325)  # offsets, byte counts
_TIFF_SAMPLES = (258, 339)  # bits and kind of each sample, read only to check that they are complete
_TIFF_TAGS = {_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_PHOTOMETRIC, _TIFF_ORIENTATION}
_TIFF_TAGS |= {*_TIFF_STRIPS, *_TIFF_TILES, *_TIFF_SAMPLES}
_TIFF_INTEGERS = {3: "H", 4: "I"}


def _tiff(content: bytes) -> ImageHeader:
    tags = _tiff_tags(content)
    offsets, counts = (tags.get(tag, ()) for tag in (_TIFF_TILES if _TIFF_TILES[0] in tags else _TIFF_STRIPS))
    if not offsets or len(offsets) != len(counts):
        raise ValueError("no pixels")
    if any(start + size > len(content) for start, size in zip(offsets, counts, strict=True)):
        raise EOFError
    width, height = (tags.get(tag, (0,))[0] for tag in (_TIFF_WIDTH, _TIFF_HEIGHT))
    zero_is_white = tags.get(_TIFF_PHOTOMETRIC) == (0,)
    return ImageHeader("TIFF", width, height, _orientation(tags) or 1, zero_is_white)


def _tiff_tags(content: bytes) -> dict[int, tuple[int, ...]]:
    """Read the integers of the tags in ``_TIFF_TAGS`` from the first directory."""
    order = "<" if content[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    (entries,) = struct.unpack_from(f"{order}H", content, start)
    tags = {}
    for entry in range(start + 2, start + 2 + 12 * entries, 12):
        tag, kind, number = struct.unpack_from(f"{order}HHI", content, entry)
        if tag in _TIFF_TAGS and kind in _TIFF_INTEGERS and number:
            values = f"{order}{number}{_TIFF_INTEGERS[kind]}"
            place = entry + 8
            if struct.calcsize(values) > 4:
                (place,) = struct.unpack_from(f"{order}I", content, place)
            tags[tag] = struct.unpack_from(values, content, place)
    return tags


def _exif_orientation(block: bytes) -> int:
    """Read the orientation from an Exif block (a small TIFF); 0 if absent or damaged, as no pixel depends on it."""
    block = block.removeprefix(b"Exif\0\0")
    try:
        return _orientation(_tiff_tags(block)) if _TIFF_MAGIC.match(block) else 0
    except struct.error:
        return 0


def _orientation(tags: dict[int, tuple[int, ...]]) -> int:
    value = tags.get(_TIFF_ORIENTATION, (0,))[0]
    return value if 1 <= value <= 8 else 0


_TIFF_MAGIC = re.compile(rb"II\*\0|MM\0\*")
_FORMATS: tuple[tuple[re.Pattern[bytes], str, Callable[[bytes], ImageHeader]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), "JPEG", _jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG", _png),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WebP", _webp),
    (re.compile(rb"BM"), "BMP", _bmp),
    (_TIFF_MAGIC, "TIFF", _tiff),
)
