import gzip
import json
import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from litehrnet.engine.programfile import FlatProgram
from litehrnet.engine.webfile import MAGIC, pack, rounded


@given(st.lists(st.floats(2**-14, 65000, width=32), min_size=1), st.booleans())
def test_numbers_are_rounded_as_float16_rounds_them(values: list[float], negative: bool) -> None:
    numbers = np.array(values, np.float32) * (-1 if negative else 1)
    np.testing.assert_array_equal(rounded(numbers), numbers.astype(np.float16).astype(np.float32))


def test_numbers_too_small_for_float16_keep_their_bits_and_zero_stays_zero() -> None:
    numbers = np.array([0.0, -0.0, 1e-20, -3e-30], np.float32)
    np.testing.assert_allclose(rounded(numbers), numbers, rtol=2**-11)


def test_a_file_has_the_description_and_every_number_by_planes() -> None:
    flats = [
        FlatProgram(np.array([1, 2, -3 * count], np.int32), np.arange(count, dtype=np.float32), ["step"])
        for count in (3, 5)
    ]
    packed = pack({"name": "two"}, flats)
    assert packed == pack({"name": "two"}, flats)
    content = gzip.decompress(packed)
    (length,) = struct.unpack("<I", content[8:12])
    assert content[:8] == MAGIC
    counts = [{"numbers": 3, "constants": 3}, {"numbers": 3, "constants": 5}]
    assert json.loads(content[12 : 12 + length]) == {"name": "two", "programs": counts}
    rest = content[12 + length :]
    for flat in flats:
        for array in (flat.numbers, flat.constants):
            planes, rest = rest[: array.nbytes], rest[array.nbytes :]
            bytes_of_numbers = np.frombuffer(planes, np.uint8).reshape(4, -1).T
            np.testing.assert_array_equal(np.ascontiguousarray(bytes_of_numbers).view(array.dtype)[:, 0], array)
    assert rest == b""
