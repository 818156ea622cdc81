"""SimCC: one row of bins per keypoint and axis, whose highest bin is the position.

Li et al., "SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation" (ECCV 2022). Rows are kept
as one array: the bins along x, then those along y. Scores and the flip test follow MMPose.
"""

import numpy as np

from litehrnet.arrays import Floats32, Indices


def decode_simcc(rows: Floats32, columns: int) -> tuple[Floats32, Floats32]:
    """Find the highest bin along each axis (the first of equal ones), and the smaller of their two values.

    Args:
        rows: float32 (people, keypoints, bins): ``columns`` bins along x, then those along y. Values that are not
            finite count as 0.
        columns: Number of bins along x.

    Returns:
        Positions in bins float32 (people, keypoints, 2), or (-1, -1) if the score is not above 0; and scores float32
        (people, keypoints), finite. Networks are trained to reach about 1, and may exceed it.
    """
    rows = np.where(np.isfinite(rows), rows, np.float32(0))
    axes = (rows[..., :columns], rows[..., columns:])
    scores = np.minimum(*(axis.max(axis=2) for axis in axes))
    bins = np.stack([axis.argmax(axis=2) for axis in axes], axis=2)
    return np.where(scores[..., None] > 0, bins, -1).astype(np.float32), scores


def merge_flipped_simcc(rows: Floats32, flipped_rows: Floats32, flip_order: Indices, columns: int) -> Floats32:
    """Average the rows of an image with those of its mirror image, whose bins along x are in reverse order.

    Args:
        rows: float32 (people, keypoints, bins), see ``decode_simcc``.
        flipped_rows: float32 (people, keypoints, bins), the network's output for the mirrored image.
        flip_order: (keypoints,) indices that reorder mirrored keypoints (``KeypointSet.flip_order``).
        columns: Number of bins along x.

    Returns:
        float32 (people, keypoints, bins).
    """
    mirrored = flipped_rows[:, flip_order]
    mirrored[..., :columns] = mirrored[..., :columns][..., ::-1].copy()
    with np.errstate(invalid="ignore", over="ignore"):
        merged: Floats32 = (rows + mirrored) * np.float32(0.5)
    return merged
