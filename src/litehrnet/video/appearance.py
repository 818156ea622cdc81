"""Colors of people's clothes, one per limb of the skeleton, to recognize people who come back."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from litehrnet.arrays import Floats64, Image
from litehrnet.poses import Poses

_ALONG = np.linspace(0.15, 0.85, 5)  # positions on a limb where its color is read; its ends are near the outline
_FULL_SCORE = 0.5  # keypoints with at least this score count fully
_LEAST_LIMBS = 2.0  # seen of both people, to compare them
_DARK = 0.1  # added to colors (0..1) before the logarithm, to suppress noise in dark areas
_BRIGHTNESS = 0.5  # weight of a difference in brightness, compared with one in hue: light changes
_MOST = 0.3  # largest difference of one limb: some are hidden, or in front of the background


@dataclass(frozen=True)
class Appearance:
    """Appearance of people.

    Attributes:
        colors: float64 (people, limbs, 4): logarithms of red, green and blue minus their mean; a share of that mean.
        weights: float64 (people, limbs), 0 or more: confidence that each limb was seen, summed over frames.
    """

    colors: Floats64
    weights: Floats64

    def __getitem__(self, index: int) -> "Appearance":
        """Return the appearance of one of the people."""
        return Appearance(self.colors[index : index + 1], self.weights[index : index + 1])


def limb_colors(image: Image, poses: Poses) -> Appearance:
    """Read the colors along the limbs of the people in a picture.

    Args:
        image: uint8 (H, W, 3), RGB.
        poses: People in the picture.
    """
    ends = np.array(poses.keypoint_set.limbs, np.intp).reshape(-1, 2)  # also without limbs
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
    """Update the appearance of one person with another sighting; it averages about ``count`` sightings."""
    kept = look.weights.clip(0, count)
    seen = Appearance(seen.colors, seen.weights.clip(0, 1))
    weights = kept + seen.weights
    colors = kept[..., None] * look.colors + seen.weights[..., None] * seen.colors
    return Appearance(colors / np.maximum(weights, 1e-9)[..., None], weights)


def color_differences(looks: Sequence[Appearance | None], others: Sequence[Appearance | None]) -> Floats64:
    """Compute mean color distances over the limbs that were seen of both people.

    Returns:
        float64 (looks, others), 0 or more; infinite if too few limbs were seen of both.
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


def _stacked(looks: Sequence[Appearance | None]) -> tuple[Floats64, Floats64]:
    known = [look for look in looks if look is not None]
    return np.concatenate([look.colors for look in known]), np.concatenate([look.weights for look in known])
