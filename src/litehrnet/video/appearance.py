"""Colors that people wear, by which somebody who comes back is recognized: one color for each limb of the skeleton."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from litehrnet.poses import Poses

_ALONG = np.linspace(0.15, 0.85, 5)  # where on a limb its color is read; its ends are near the outline
_FULL_SCORE = 0.5  # keypoints of this score and more count fully
_LEAST_LIMBS = 2.0  # that must be seen of both to compare two people
_DARK = 0.1  # of 1, added to colors before the logarithm is taken: noise in the dark does not count
_BRIGHTNESS = 0.5  # how much a difference in brightness counts, compared with one in hue: light changes
_MOST = 0.3  # the difference that one limb contributes at most: some are hidden, or lie on the background


@dataclass(frozen=True)
class Appearance:
    """What people look like.

    Attributes:
        colors: float64 (people, limbs, 4): logarithms of red, green and blue less their mean, and a share of that mean.
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
    colors = np.log(image[y, x].mean(axis=2, dtype=np.float64) / 255 + _DARK)
    brightness = colors.mean(axis=-1, keepdims=True)
    colors = np.concatenate([colors - brightness, _BRIGHTNESS * brightness], axis=-1)
    scores = (poses.scores.astype(np.float64) / _FULL_SCORE).clip(0, 1)
    inside = ((points >= 0) & (points <= last)).all(axis=(2, 3))
    return Appearance(colors, inside * scores[:, ends[:, 0]] * scores[:, ends[:, 1]])


def add_sighting(look: Appearance, seen: Appearance, count: float) -> Appearance:
    """What one person looks like after another sighting: the average over ``count`` sightings, about."""
    kept = look.weights.clip(0, count)
    seen = Appearance(seen.colors, seen.weights.clip(0, 1))
    weights = kept + seen.weights
    colors = kept[..., None] * look.colors + seen.weights[..., None] * seen.colors
    return Appearance(colors / np.maximum(weights, 1e-9)[..., None], weights)


def color_differences(looks: Sequence[Appearance | None], others: Sequence[Appearance | None]) -> NDArray[np.float64]:
    """Mean distances of colors over the limbs that were seen of both.

    Returns:
        float64 (looks, others), 0 and more; infinite where too few limbs were seen of both.
    """
    differences = np.full((len(looks), len(others)), np.inf)
    rows, columns = ([i for i, look in enumerate(side) if look is not None] for side in (looks, others))
    if not rows or not columns:
        return differences
    (ours, weights), (theirs, their_weights) = (_stacked(side) for side in (looks, others))
    counts = np.minimum(weights[:, None], their_weights[None]).clip(0, 1)
    distances = np.sqrt(((ours[:, None] - theirs[None]) ** 2).sum(axis=-1)).clip(0, _MOST)
    seen = counts.sum(axis=-1)
    means = (distances * counts).sum(axis=-1) / np.maximum(seen, _LEAST_LIMBS)
    differences[np.ix_(rows, columns)] = np.where(seen >= _LEAST_LIMBS, means, np.inf)
    return differences


def _stacked(looks: Sequence[Appearance | None]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    known = [look for look in looks if look is not None]
    return np.concatenate([look.colors for look in known]), np.concatenate([look.weights for look in known])
