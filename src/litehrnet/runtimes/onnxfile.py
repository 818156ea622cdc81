"""Metadata and checksum of our ONNX models.

ONNX has no checksum of its own. Ours is stored in the model's metadata as 64 hexadecimal digits: the SHA-256 of the
whole file with those digits replaced by zeros.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from litehrnet.errors import UserError
from litehrnet.weights.weights_file import METADATA_KEY, WeightsInfo, info_from_json

DIGEST_KEY = "litehrnet_sha256"
BLANK_DIGEST = "0" * 64

PRODUCER = "litehrnet"
"""Producer name at the beginning of our models; a file with this name and no metadata is truncated."""

# Fields of ONNX's ModelProto; a metadata entry has a key (field 1) and a value (field 2).
_PRODUCER_FIELD, _METADATA_FIELD = 2, 14
# The graph in ModelProto, a node in GraphProto, the names of an input and of the operator in NodeProto.
_GRAPH_FIELD, _NODE_FIELD, _INPUT_FIELD, _OPERATOR_FIELD = 7, 1, 1, 4


def stamp(content: bytes) -> bytes:
    """Return a serialized model with its blank checksum filled in."""
    start, _ = _metadata(content)[DIGEST_KEY]
    return content[:start] + digest_around(content, start) + content[start + 64 :]


def read_info(content: bytes, path: Path) -> WeightsInfo | None:
    """Read our metadata from a serialized model; None for models of others.

    Raises:
        UserError: The file is not an ONNX model, or does not match its checksum.
    """
    try:
        metadata = _metadata(content)
        ours = _is_ours(content)
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path}: not an ONNX model, or damaged") from error
    if not ours and METADATA_KEY not in metadata and DIGEST_KEY not in metadata:
        return None
    if METADATA_KEY not in metadata or DIGEST_KEY not in metadata:
        raise UserError(f"{path}: damaged (part of its metadata is missing)")
    start, stored = metadata[DIGEST_KEY]
    if stored.encode() != digest_around(content, start):
        raise UserError(f"{path}: damaged (its contents do not match the checksum stored with them)")
    return info_from_json(metadata[METADATA_KEY][1], str(path))


def operators_on(content: bytes, name: str) -> set[str]:
    """Return the names of the operators in a serialized model's graph that read the array ``name``.

    Args:
        content: A model that a runtime has loaded.
        name: Name of an array, such as the graph's input.
    """
    found = set()
    for start, end in _parts(content, 0, len(content), _GRAPH_FIELD):
        for node in _parts(content, start, end, _NODE_FIELD):
            inputs, operators = (
                {content[s:e].decode() for s, e in _parts(content, *node, field)}
                for field in (_INPUT_FIELD, _OPERATOR_FIELD)
            )
            if name in inputs:
                found |= operators
    return found


def _parts(content: bytes, start: int, end: int, field: int) -> list[tuple[int, int]]:
    return [(s, e) for number, s, e in _fields(content, start, end) if number == field]


def digest_around(content: bytes, start: int) -> bytes:
    """Compute the checksum of a file that stores it, as 64 digits at ``start``, which count as zeros."""
    digest = hashlib.sha256(content[:start])
    digest.update(BLANK_DIGEST.encode())
    digest.update(content[start + 64 :])
    return digest.hexdigest().encode()


def _is_ours(content: bytes) -> bool:
    return any(
        number == _PRODUCER_FIELD and content[start:end] == PRODUCER.encode()
        for number, start, end in _fields(content, 0, len(content))
    )


def _metadata(content: bytes) -> dict[str, tuple[int, str]]:
    """Read a model's metadata: key -> (offset of the value in the file, value).

    Raises:
        IndexError, UnicodeDecodeError, ValueError: The content is not a protocol buffer, or not of this kind.
    """
    entries = {}
    for number, start, end in _fields(content, 0, len(content)):
        if number == _METADATA_FIELD:
            parts = {n: (s, content[s:e].decode()) for n, s, e in _fields(content, start, end)}
            if set(parts) != {1, 2}:
                raise ValueError("metadata without key or value")
            entries[parts[1][1]] = parts[2]
    return entries


def _fields(content: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each length-delimited field of a protocol buffer message; skip the others."""
    fixed_sizes = {1: 8, 5: 4}
    while position < end:
        tag, position = _varint(content, position)
        kind = tag & 7
        if kind == 0:
            _, position = _varint(content, position)
        elif kind == 2:
            length, start = _varint(content, position)
            position = start + length
            if position > end:
                raise ValueError("field beyond the end")
            yield tag >> 3, start, position
        else:
            position += fixed_sizes.get(kind, end)
    if position != end:
        raise ValueError("field beyond the end")


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("number too long")
