"""Drawing poses on a photo, legible at any size and on any background."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.poses import KeypointSet, Poses

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

# Orange against blue stays apart for colour-blind eyes too.
SIDE_COLOURS: dict[str, Colour] = {"left": (255, 140, 0), "right": (30, 160, 255), "centre": (240, 240, 225)}
OUTLINE: Colour = (25, 25, 25)
FAINTEST = 0.15
_FRACTION_BITS = 4  # of OpenCV's fixed point: joints are placed to a sixteenth of a pixel


def draw_poses(image_rgb: Image, poses: Poses, *, min_score: float = 0.2) -> Image:
    """Draw skeletons: limbs and joints of the person's left in orange, right in blue, the others white.

    A joint scored ``min_score`` or more is drawn in full. A weaker one fades in proportion to its score,
    to an opacity of ``FAINTEST`` at 0: weak joints look weak but do not vanish. A limb is as faint as the
    weaker of its ends. Joints that are not finite are left out, and so are their limbs. Lines widen with
    the person's box, from a lower limit that widens with the picture.

    Args:
        image_rgb: uint8 (height, width, 3); it is not changed.
        poses: Persons in pixels of this image; joints may lie outside it.
        min_score: Score, 0..1, from which a joint is drawn in full.

    Returns:
        uint8 (height, width, 3), a copy with the poses drawn in.
    """
    image = image_rgb.copy()
    for points, scores, box in zip(poses.keypoints, poses.scores, poses.boxes, strict=True):
        opacity = _opacity(scores, min_score)
        _draw_person(image, points, opacity, _line_width(box, image.shape), poses.keypoint_set)
    return image


def _opacity(scores: NDArray[np.float32], min_score: float) -> NDArray[np.float64]:
    if min_score <= 0:
        return np.ones(scores.shape)
    share = np.nan_to_num(scores).clip(0, min_score) / np.float64(min_score)
    return FAINTEST + (1 - FAINTEST) * share


def _line_width(box: NDArray[np.float32], shape_hw: tuple[int, ...]) -> int:
    picture = max(shape_hw[:2])
    width, height = np.nan_to_num(box[2:]).clip(0, picture)
    return max(1, round(max(picture / 500, math.sqrt(width * height) / 75)))


def _draw_person(
    image: Image,
    points: NDArray[np.float32],
    opacity: NDArray[np.float64],
    width: int,
    keypoint_set: KeypointSet,
) -> None:
    sides = [_side(name) for name in keypoint_set.keypoint_names]
    finite = np.asarray(np.isfinite(points).all(axis=1))
    # OpenCV counts in 32 bits; so far outside, the direction of a limb no longer matters.
    reach = 4 * max(image.shape[:2]) + 100
    points = np.where(finite[:, None], points, 0).clip(-reach, reach)
    border = max(1, round(width / 4))
    for a, b in keypoint_set.limbs:
        if finite[a] and finite[b]:
            colour = SIDE_COLOURS[_limb_side(sides[a], sides[b])]
            _draw_line(image, points[a], points[b], width, border, colour, min(opacity[a], opacity[b]))
    for joint in np.flatnonzero(finite):
        point, colour = points[joint], SIDE_COLOURS[sides[joint]]
        _draw_line(image, point, point, 2 * width + 1, border, colour, opacity[joint])


def _side(keypoint_name: str) -> str:
    start = keypoint_name.partition("_")[0]
    return start if start in ("left", "right") else "centre"


def _limb_side(side: str, other: str) -> str:
    """The side that a limb belongs to: centre only where it joins two sides or none."""
    sides = {side, other} - {"centre"}
    return sides.pop() if len(sides) == 1 else "centre"


def _draw_line(
    image: Image, start: NDArray[Any], end: NDArray[Any], width: int, border: int, colour: Colour, opacity: float
) -> None:
    """Blend in a line with round ends and a dark border; a disc where both ends are one point."""
    import cv2

    margin = width / 2 + border + 2
    x1, y1 = (np.minimum(start, end) - margin).clip(0).astype(int)
    x2, y2 = (np.maximum(start, end) + margin).clip(0).astype(int) + 1
    patch = image[y1:y2, x1:x2]
    if patch.size == 0:
        return
    # A faint line is blended as a whole: a faint white one over a faint dark outline would be gone.
    layer = patch if opacity >= 1 else patch.copy()
    scale = 1 << _FRACTION_BITS
    first, last = (np.rint((point - (x1, y1)) * scale).astype(int).tolist() for point in (start, end))
    for thickness, paint in ((width + 2 * border, OUTLINE), (width, colour)):
        if first == last:
            cv2.circle(layer, first, thickness * scale // 2, paint, -1, cv2.LINE_AA, _FRACTION_BITS)
        else:
            cv2.line(layer, first, last, paint, thickness, cv2.LINE_AA, _FRACTION_BITS)
    if layer is not patch:
        patch[:] = cv2.addWeighted(layer, opacity, patch, 1 - opacity, 0)
