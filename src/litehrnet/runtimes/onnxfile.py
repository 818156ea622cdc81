"""What our ONNX models carry besides the graph: the description of the weights and a checksum of the file.

ONNX has no checksum of its own. Ours stands in the model's metadata as 64 hexadecimal digits; it is the SHA-256 of the
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
"""Stands at the beginning of our models: one that has it and no metadata was cut short."""

# Fields of ONNX's ModelProto; the entries of the latter have a key (field 1) and a value (field 2).
_PRODUCER_FIELD, _METADATA_FIELD = 2, 14
# Of ModelProto the graph, of GraphProto a node, of NodeProto an input's name and the operator's.
_GRAPH_FIELD, _NODE_FIELD, _INPUT_FIELD, _OPERATOR_FIELD = 7, 1, 1, 4


def stamp(content: bytes) -> bytes:
    """A serialized model with its blank checksum filled in."""
    start, _ = _metadata(content)[DIGEST_KEY]
    return content[:start] + _digest(content, start) + content[start + 64 :]


def read_info(content: bytes, path: Path) -> WeightsInfo | None:
    """The description in a serialized model, or None for one that is not ours.

    Raises:
        UserError: The file is no ONNX model, or its bytes do not match their checksum.
    """
    try:
        metadata = _metadata(content)
        ours = _is_ours(content)
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path}: not an ONNX model, or damaged") from error
    if not ours and METADATA_KEY not in metadata and DIGEST_KEY not in metadata:
        return None
    if METADATA_KEY not in metadata or DIGEST_KEY not in metadata:
        raise UserError(f"{path}: damaged (a part of its metadata is gone)")
    start, stored = metadata[DIGEST_KEY]
    if stored.encode() != _digest(content, start):
        raise UserError(f"{path}: damaged (its contents do not match the checksum stored with them)")
    return info_from_json(metadata[METADATA_KEY][1], str(path))


def operators_on(content: bytes, name: str) -> set[str]:
    """Names of the operators of a serialized model's graph that read the array ``name``.

    Args:
        content: A model that a runtime has loaded.
        name: Such as that of the graph's input.
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


def _digest(content: bytes, start: int) -> bytes:
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
    """Key -> (where the value starts in the file, value) of a model's metadata.

    Raises:
        IndexError, UnicodeDecodeError, ValueError: This is no protocol buffer, or not of this kind.
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
    """Number, start and end of each length-delimited field of a protocol buffer message; others are passed over."""
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
