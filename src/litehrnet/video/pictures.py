"""Convert decoded pictures to upright RGB arrays."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Image

if TYPE_CHECKING:
    import av

HIGH_DEFINITION = 720
"""Height from which a video without a color matrix is read as BT.709, otherwise as BT.601, as in players."""

UNSPECIFIED = 2
"""FFmpeg's number for a color matrix that the file does not state."""

_AS_STORED = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], np.int32)


class Pictures:
    """Converts decoded pictures to upright RGB; it reuses FFmpeg's converter."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._display: NDArray[np.int32] | None = None

    def image(self, decoded: "av.VideoFrame") -> Image:
        """Convert a picture to uint8 (H, W, 3), RGB."""
        matrix = matrix_of(decoded.colorspace, decoded.height)
        rgb = self._reformatter.reformat(decoded, format="rgb24", src_colorspace=matrix, threads=1)
        if self._display is None:
            # Read from the first frame only: reading it makes a frame refer to itself, which keeps it in memory until
            # the garbage collector runs.
            data: Any = decoded.side_data.get("DISPLAYMATRIX")
            self._display = _AS_STORED if data is None else np.frombuffer(bytes(data), np.int32)
        return upright(np.asarray(rgb.to_ndarray(), np.uint8), self._display)


def upright(image: Image, matrix: NDArray[np.int32]) -> Image:
    """Rotate by quarter turns and mirror a picture as its file demands.

    Args:
        image: uint8 (H, W, 3).
        matrix: int32 (9,), as in MP4 files: a pixel at (x, y) is shown at (x m0 + y m3, x m1 + y m4).
    """
    import cv2

    m0, m1, m3, m4 = (int(matrix[i]) for i in (0, 1, 3, 4))
    if abs(m0) + abs(m4) < abs(m1) + abs(m3):
        image = np.asarray(cv2.transpose(image), np.uint8)
        m0, m4 = m3, m1
    if m0 < 0 or m4 < 0:
        image = np.asarray(cv2.flip(image, -1 if m0 < 0 and m4 < 0 else 1 if m0 < 0 else 0), np.uint8)
    return image


def matrix_of(colorspace: int, height: int) -> int:
    """Return the number of a video's color matrix, for FFmpeg's files and for its scaler.

    Args:
        colorspace: Number in the file.
        height: Height of the picture in pixels.
    """
    if colorspace == UNSPECIFIED:
        return 1 if height >= HIGH_DEFINITION else 5
    return colorspace
