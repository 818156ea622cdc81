"""Random poses of two keypoints."""

import numpy as np

from litehrnet.poses import KeypointSet, Poses

PAIR = KeypointSet("pair", ("left_eye", "right_eye"), ((0, 1),), ((0, 1),), (0.025, 0.025))


def random_poses(people: int) -> Poses:
    """Return poses that depend on the number of people only."""
    rng = np.random.default_rng(people)
    return Poses(
        keypoints=rng.normal(size=(people, 2, 2)).astype(np.float32),
        scores=rng.random((people, 2), np.float32),
        boxes=rng.random((people, 4), np.float32),
        box_scores=rng.random(people, np.float32),
        keypoint_set=PAIR,
    )
