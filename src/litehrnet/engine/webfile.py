"""Programs for browsers: a compact file with a description and one or two programs.

The file is compressed by gzip. Unpacked, it has 8 magic bytes, the length of the description in bytes (uint32) and the
description as JSON. Then every program follows: its whole numbers (int32, see ``programfile``) and its constants
(float32). Constants are rounded to 11 bits, as many as float16 has. All numbers are little-endian and stored by planes:
the lowest byte of every number comes first, then the next ones. So the rounded bits compress to almost nothing.
"""

import gzip
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Floats32
from litehrnet.engine.programfile import FlatProgram

SUFFIX = ".litehrnet"
"""Suffix of the files."""
MAGIC = b"lhrnweb\x01"
_ROUNDED_BITS = 13


def pack(description: Mapping[str, Any], programs: Sequence[FlatProgram]) -> bytes:
    """Pack programs for a browser.

    Args:
        description: Values for JSON. ``programs``, the counts of numbers and constants of each program, is added.
        programs: Programs for RGB images.

    Returns:
        Content of the file; the same for the same arguments.
    """
    counts = [{"numbers": len(flat.numbers), "constants": len(flat.constants)} for flat in programs]
    text = json.dumps({**description, "programs": counts}).encode()
    arrays = [(flat.numbers.astype("<i4"), rounded(flat.constants).astype("<f4")) for flat in programs]
    planes = [_planes(array) for pair in arrays for array in pair]
    return gzip.compress(b"".join([MAGIC, struct.pack("<I", len(text)), text, *planes]), 9, mtime=0)


def rounded(constants: Floats32) -> Floats32:
    """Round float32 numbers to 11 bits, ties to even, as float16 does for numbers that are neither tiny nor huge."""
    bits = constants.astype(np.float32).view(np.uint32)
    half = np.uint32((1 << (_ROUNDED_BITS - 1)) - 1) + (bits >> np.uint32(_ROUNDED_BITS) & np.uint32(1))
    return ((bits + half) & np.uint32(0xFFFFFFFF << _ROUNDED_BITS & 0xFFFFFFFF)).view(np.float32)


def _planes(array: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(array.view(np.uint8).reshape(-1, 4).T).tobytes()
