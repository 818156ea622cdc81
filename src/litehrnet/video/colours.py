"""Which matrix turns a video's colours into RGB, and back."""

HIGH_DEFINITION = 720
"""Lines from which on a video that does not say its matrix is taken for BT.709, else for BT.601, as players do it."""

_UNSPECIFIED = 2


def matrix_of(colourspace: int, height: int) -> int:
    """The number of a video's matrix, the same for FFmpeg's files and for its scaler.

    Args:
        colourspace: As the file says it.
        height: Lines of the picture.
    """
    if colourspace == _UNSPECIFIED:
        return 1 if height >= HIGH_DEFINITION else 5
    return colourspace
