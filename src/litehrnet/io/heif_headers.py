"""Headers of HEIC and AVIF files: size, orientation, and a check that no byte of the picture is missing.

Sources: ISO/IEC 14496-12 (boxes, meta, iloc, clap) and ISO/IEC 23008-12 (pitm, ispe, irot, imir). An Exif orientation
counts for nothing in these files: irot and imir say how they are turned.
"""

import struct
from collections.abc import Iterator

HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})

_FULL = 4  # bytes of version and flags
# Exif's numbers of irot's quarter turns, for no mirroring and for imir's axis 0 and 1 after the turn.
_ORIENTATIONS = {None: (1, 8, 3, 6), 0: (4, 5, 2, 7), 1: (2, 7, 4, 5)}


def heif_format(content: bytes) -> str | None:
    """Return ``HEIC`` or ``AVIF`` by the brands at the beginning of a file, or None for other files."""
    if content[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(content[:4]), 256)
    brands = {content[8:12], *(content[start : start + 4] for start in range(16, end, 4))}
    if content[8:12] not in HEIC_BRANDS | AVIF_BRANDS:
        return None  # a video may have a cover
    return "AVIF" if brands & AVIF_BRANDS else "HEIC"


def read_heif(content: bytes) -> tuple[int, int, int]:
    """Read width and height in pixels before the orientation is applied, and the orientation, 1 to 8 as in Exif.

    Raises:
        EOFError: A part of the file is missing.
        ValueError: The file has no picture, or a box is damaged.
        struct.error: As ``ValueError``.
    """
    meta = next((box for kind, box in _boxes(memoryview(content)) if kind == b"meta"), None)
    if meta is None:
        raise ValueError("no meta box")
    parts = dict(_boxes(meta[_FULL:]))
    if _last_byte(parts[b"iloc"]) > len(content):
        raise EOFError
    properties = dict(_boxes(parts[b"iprp"]))
    held = list(_boxes(properties[b"ipco"]))
    primary = int.from_bytes(parts[b"pitm"][_FULL : _FULL + (4 if parts[b"pitm"][0] else 2)])
    own = dict(held[number - 1] for number in _associated(properties[b"ipma"], primary) if number)
    width, height = struct.unpack_from(">II", own[b"ispe"], _FULL)
    if b"clap" in own and heif_format(content) == "HEIC":  # which libheif heeds and OpenCV's reader of AVIF does not
        wide, wide_by, high, high_by = struct.unpack_from(">IIII", own[b"clap"])
        if not wide_by or not high_by:
            raise ValueError("clap")
        width, height = wide // wide_by, high // high_by
    turns = own[b"irot"][0] & 3 if b"irot" in own else 0
    axis = own[b"imir"][0] & 1 if b"imir" in own else None
    return width, height, _ORIENTATIONS[axis][turns]


def _boxes(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the kind and the content of box after box."""
    position = 0
    while position < len(content):
        size, kind = struct.unpack_from(">I4s", content, position)
        begin = position + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, begin)
            begin += 8
        end = position + size if size else len(content)
        if end > len(content):
            raise EOFError
        if end < begin:
            raise ValueError("box")
        yield kind, content[begin:end]
        position = end


def _last_byte(iloc: memoryview) -> int:
    """Return the end of the last part of any item in the file."""
    version, sizes = iloc[0], struct.unpack_from(">BB", iloc, _FULL)
    offset_size, length_size, base_size, index_size = (size >> shift & 15 for size in sizes for shift in (4, 0))
    position, last = _FULL + 2, 0

    def number(size: int) -> int:
        nonlocal position
        if position + size > len(iloc):
            raise EOFError
        position += size
        return int.from_bytes(iloc[position - size : position])

    for _ in range(number(4 if version == 2 else 2)):
        number(4 if version == 2 else 2)  # item
        method = number(2) & 15 if version else 0
        number(2)  # file
        base = number(base_size)
        for _ in range(number(2)):
            number(index_size if version else 0)
            start = base + number(offset_size)
            end = start + number(length_size)
            last = max(last, end if method == 0 else 0)  # others are inside the meta box
    return last


def _associated(ipma: memoryview, item: int) -> list[int]:
    """Return the numbers, from 1, of the properties of an item."""
    wide_item, wide_index = ipma[0] > 0, ipma[3] & 1
    (count,) = struct.unpack_from(">I", ipma, _FULL)
    position = _FULL + 4
    for _ in range(count):
        (number,) = struct.unpack_from(">I" if wide_item else ">H", ipma, position)
        position += 4 if wide_item else 2
        associations = ipma[position]
        indices = struct.unpack_from(f">{associations}{'H' if wide_index else 'B'}", ipma, position + 1)
        if number == item:
            return [index & (0x7FFF if wide_index else 0x7F) for index in indices]
        position += 1 + associations * (2 if wide_index else 1)
    return []
