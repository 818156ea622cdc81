"""Metadata and checksum of our LiteRT models (``.tflite``), read without LiteRT.

A LiteRT model is a FlatBuffer, which has no checksum. Ours has two entries of metadata, each a name and a buffer: the
description of the weights, and the SHA-256 of the whole file with those 64 digits replaced by zeros.
"""

import struct
from pathlib import Path

from litehrnet.errors import UserError
from litehrnet.runtimes.onnxfile import DIGEST_KEY, digest_around
from litehrnet.weights.weights_file import METADATA_KEY, WeightsInfo, info_from_json

SUFFIX = ".tflite"
IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of every LiteRT model."""

# Fields of the tables Model, Metadata and Buffer in LiteRT's schema.
_BUFFERS_FIELD, _METADATA_FIELD = 4, 6
_NAME_FIELD, _BUFFER_FIELD = 0, 1
_DATA_FIELD = 0


def stamp(content: bytes) -> bytes:
    """Return a serialized model with its blank checksum filled in."""
    start, end = _metadata(content)[DIGEST_KEY]
    return content[:start] + digest_around(content, start) + content[end:]


def read_info(content: bytes, path: Path) -> WeightsInfo:
    """Read our metadata from a serialized model.

    Raises:
        UserError: The file is not a LiteRT model, was not written by litehrnet, or does not match its checksum.
    """
    try:
        spans = _metadata(content)
        texts = {name: content[start:end].decode() for name, (start, end) in spans.items() if name in _OUR_KEYS}
    except (struct.error, IndexError, ValueError) as error:
        raise UserError(f"{path}: not a LiteRT model, or damaged") from error
    if set(texts) != _OUR_KEYS:
        raise UserError(f"{path}: has no description (expected a LiteRT model that litehrnet export wrote)")
    if texts[DIGEST_KEY].encode() != digest_around(content, spans[DIGEST_KEY][0]):
        raise UserError(f"{path}: damaged (its contents do not match the checksum stored with them)")
    return info_from_json(texts[METADATA_KEY], str(path))


_OUR_KEYS = {METADATA_KEY, DIGEST_KEY}


def _metadata(content: bytes) -> dict[str, tuple[int, int]]:
    """Read a model's metadata: name -> (start, end) of its buffer in the file.

    Raises:
        struct.error, IndexError, ValueError: The content is not a FlatBuffer of this kind.
    """
    if content[4:8] != IDENTIFIER:
        raise ValueError("another kind of file")
    model = _target(content, 0)
    buffers = _tables(content, model, _BUFFERS_FIELD)
    found = {}
    for entry in _tables(content, model, _METADATA_FIELD):
        start, end = _bytes(content, entry, _NAME_FIELD)
        number = _field(content, entry, _BUFFER_FIELD)
        if number is not None:
            buffer = buffers[struct.unpack_from("<I", content, number)[0]]
            found[content[start:end].decode()] = _bytes(content, buffer, _DATA_FIELD)
    return found


def _target(content: bytes, position: int) -> int:
    """Follow a reference: what is stored at ``position`` is the distance to its target."""
    distance: int = struct.unpack_from("<I", content, position)[0]
    return position + distance


def _field(content: bytes, table: int, field: int) -> int | None:
    """Return the position of a field's value; None if the table does not have it."""
    layout = table - struct.unpack_from("<i", content, table)[0]
    if layout < 0:
        raise ValueError("a table's layout before the file")
    if 4 + 2 * field >= struct.unpack_from("<H", content, layout)[0]:
        return None
    offset: int = struct.unpack_from("<H", content, layout + 4 + 2 * field)[0]
    return table + offset if offset else None


def _bytes(content: bytes, table: int, field: int) -> tuple[int, int]:
    """Return start and end of a string, or of a vector of bytes; the same twice if it is absent."""
    position = _field(content, table, field)
    if position is None:
        return 0, 0
    start = _target(content, position)
    length: int = struct.unpack_from("<I", content, start)[0]
    if start + 4 + length > len(content):
        raise ValueError("bytes beyond the end")
    return start + 4, start + 4 + length


def _tables(content: bytes, table: int, field: int) -> list[int]:
    position = _field(content, table, field)
    if position is None:
        return []
    start = _target(content, position)
    count: int = struct.unpack_from("<I", content, start)[0]
    if start + 4 + 4 * count > len(content):
        raise ValueError("a vector beyond the end")
    return [_target(content, start + 4 + 4 * index) for index in range(count)]
