"""JPEG files that lack nothing but their end marker."""

import logging
from functools import lru_cache

import numpy as np

from litehrnet.arrays import Image

END = b"\xff\xd9"
MOST_PIXELS = 200_000_000  # more are not decoded to look
_COEFFICIENTS = 64


class ScanCoverage:
    """Record of the coefficients that the scans of a JPEG contain, per component (ITU-T T.81, annex G).

    Attributes:
        scans: Number of scans.
    """

    def __init__(self) -> None:
        self.scans = 0
        self._progressive = False
        self._components = b""
        self._missing_bits: dict[tuple[int, int], int] = {}

    def add_frame(self, segment: bytes, progressive: bool) -> None:
        """Note the components of a frame; ``segment`` begins with its length."""
        self._progressive, self._components = progressive, segment[8 : 8 + 3 * segment[7] : 3]

    def add_scan(self, segment: bytes) -> None:
        """Note what a scan contains; ``segment`` begins with its length."""
        end = 3 + 2 * segment[2]
        first, last, bits = segment[end : end + 3] if self._progressive else (0, _COEFFICIENTS - 1, 0)
        places = range(first, min(last, _COEFFICIENTS - 1) + 1)
        self._missing_bits |= {(each, place): bits & 15 for each in segment[3:end:2] for place in places}
        self.scans += 1

    def is_complete(self) -> bool:
        """Return whether no scan is missing, whatever the last one lacks."""
        wanted = [(each, place) for each in self._components for place in range(_COEFFICIENTS)]
        return bool(wanted) and not any(self._missing_bits.get(each, 1) for each in wanted)


def lacks_only_its_end(content: bytes, scans: int) -> bool:
    """Return whether a JPEG without an end marker has all of its pixels.

    If data were missing, the decoder would take other bytes in their place, and these would change pixels.

    Args:
        content: The file.
        scans: Number of its scans; the decoder waits for the end marker if there are several.
    """
    import cv2

    def decode(filling: bytes, end: bytes) -> Image | None:
        try:
            data = np.frombuffer(content.removesuffix(b"\xff") + filling + end, np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:
            return None
        return None if image is None else np.asarray(image, np.uint8)

    image = decode(b"", END)
    if image is None:
        return False
    random = np.random.default_rng(0)
    for _ in range(4):
        filling = random.integers(0, 255, 4096, np.uint8).tobytes()
        # Without an end the decoder does not complain about the filling.
        other = decode(filling, b"" if scans == 1 else END)
        if other is None or not np.array_equal(image, other):
            return False
    return True


@lru_cache(maxsize=1000)
def note_missing_end(name: str) -> None:
    """Print a warning, once for each file."""
    logging.getLogger(__name__).warning(
        "note: %s: lacks its end marker; all of its pixels are there, so it is used", name
    )
