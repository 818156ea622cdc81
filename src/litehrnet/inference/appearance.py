"""Colors that people wear, by which somebody who comes back is recognized: one color for each limb of the skeleton."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from litehrnet.poses import Poses

_ALONG = np.linspace(0.15, 0.85, 5)  # where on a limb its color is read; its ends are near the outline
_FULL_SCORE = 0.5  # keypoints of this score and more count fully
_BRIGHTNESS = 0.5  # how much a difference in brightness counts, compared with one in hue: light changes


@dataclass(frozen=True)
class Appearance:
    """What people look like.

    Attributes:
        colors: float64 (people, limbs, 3): brightness, red less green, yellow less blue, in 0..1 and -1..1.
        weights: float64 (people, limbs), 0 and more: how surely each limb was seen, summed over frames.
    """

    colors: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __getitem__(self, index: int) -> "Appearance":
        """One of the people."""
        return Appearance(self.colors[index : index + 1], self.weights[index : index + 1])


def limb_colors(image: NDArray[np.uint8], poses: Poses) -> Appearance:
    """Read the colors along the limbs of the people in a picture.

    Args:
        image: uint8 (H, W, 3), RGB.
        poses: People of the picture.
    """
    ends = np.array(poses.keypoint_set.limbs)
    start, stop = poses.keypoints[:, ends[:, 0]], poses.keypoints[:, ends[:, 1]]
    points = start[:, :, None] + (stop - start)[:, :, None] * _ALONG[:, None]
    last = np.array(image.shape[1::-1]) - 1
    x, y = np.moveaxis(np.rint(points.clip(0, last)).astype(np.intp), -1, 0)
    red, green, blue = np.moveaxis(image[y, x].mean(axis=2, dtype=np.float64) / 255, -1, 0)
    colors = np.stack([_BRIGHTNESS * (red + green + blue) / 3, red - green, (red + green) / 2 - blue], axis=-1)
    scores = (poses.scores.astype(np.float64) / _FULL_SCORE).clip(0, 1)
    inside = ((points >= 0) & (points <= last)).all(axis=(2, 3))
    return Appearance(colors, inside * scores[:, ends[:, 0]] * scores[:, ends[:, 1]])
