"""Draw poses on a photo, legible at any size and on any background."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from litehrnet.arrays import Floats32, Floats64, Image
from litehrnet.poses import KeypointSet, Poses

Color = tuple[int, int, int]

# Color-blind people can tell orange from blue.
SIDE_COLORS: dict[str, Color] = {"left": (255, 140, 0), "right": (30, 160, 255), "center": (240, 240, 225)}
OUTLINE: Color = (25, 25, 25)
FAINTEST = 0.15
HIDDEN_SCORE = 0.1
"""Lowest score of keypoints that the commands draw; most keypoints on background have less."""
DENSE_SET, DENSE_WIDTH = 40, 1 / 3
"""Sets of more keypoints show hands and faces: their lines have this part of the usual width."""
_FRACTION_BITS = 4  # of OpenCV's fixed-point numbers: joints are placed to a sixteenth of a pixel


@dataclass(frozen=True)
class DrawStyle:
    """Style of drawn poses.

    Attributes:
        full_score: Score from which keypoints are opaque, 0..1; weaker ones are fainter.
        hidden_score: Score below which keypoints and their limbs are not drawn, 0..1.
        line_width: Width of limbs in pixels; None to choose it by the person's box and the picture.
        left: RGB color, 0..255, of the person's left side.
        right: RGB color of the person's right side.
        center: RGB color of everything else.

    Example:
        >>> from litehrnet.drawing.skeletons import DrawStyle
        >>> DrawStyle(hidden_score=0.1, line_width=3).left
        (255, 140, 0)
    """

    full_score: float = 0.2
    hidden_score: float = 0.0
    line_width: int | None = None
    left: Color = SIDE_COLORS["left"]
    right: Color = SIDE_COLORS["right"]
    center: Color = SIDE_COLORS["center"]


DEFAULT_STYLE = DrawStyle()


def draw_poses(
    image_rgb: Image, poses: Poses, *, style: DrawStyle = DEFAULT_STYLE, labels: Sequence[str] | None = None
) -> Image:
    """Draw skeletons, by default with the person's left side in orange, the right side in blue, the rest in white.

    A joint with a score of ``style.full_score`` or more is opaque. The opacity of weaker joints falls with their score,
    to ``FAINTEST`` at 0; those below ``style.hidden_score`` are not drawn. A limb is as faint as the weaker of its
    ends. Joints that are not finite are left out, with their limbs. Lines are wider for larger boxes, with a minimum
    that depends on the picture, and thinner for sets with hands and a face.

    Args:
        image_rgb: uint8 (height, width, 3); it is not changed.
        poses: People in pixels of this image; joints may be outside of it.
        style: Scores, line width and colors.
        labels: A short ASCII text per person, written above the box.

    Returns:
        uint8 (height, width, 3), a copy with the poses.

    Example:
        >>> from litehrnet import PoseEstimator, draw_poses, read_image
        >>> from litehrnet.cli.demo import PHOTO
        >>> image = read_image(PHOTO)
        >>> draw_poses(image, PoseEstimator().predict(image), labels=["a", "b", "c"]).shape
        (400, 1141, 3)
    """
    image = image_rgb.copy()
    draw_onto(image, poses, style=style, labels=labels)
    return image


def draw_onto(
    image: Image, poses: Poses, *, style: DrawStyle = DEFAULT_STYLE, labels: Sequence[str] | None = None
) -> None:
    """Draw as ``draw_poses`` does, but into the given picture."""
    for points, scores, box in zip(poses.keypoints, poses.scores, poses.boxes, strict=True):
        drawn = np.isfinite(points).all(axis=1) & (np.nan_to_num(scores).clip(0) >= style.hidden_score)
        opacity = np.where(drawn, _opacity(scores, style.full_score), 0)
        width = style.line_width or line_width(box, image.shape, len(points))
        colors = _colors(poses.keypoint_set, style)
        _draw_person(image, points, opacity, width, poses.keypoint_set.limbs, colors)
    for box, label in zip(poses.boxes, labels, strict=True) if labels is not None else ():
        if label:
            write_label(image, label, box)


def joint_colors(keypoint_set: KeypointSet, style: DrawStyle) -> list[Color]:
    """Return the color of each joint."""
    return _colors(keypoint_set, style)[1]


def _opacity(scores: Floats32, full_score: float) -> Floats64:
    if full_score <= 0:
        return np.ones(scores.shape)
    share = np.nan_to_num(scores).clip(0, full_score) / np.float64(full_score)
    return FAINTEST + (1 - FAINTEST) * share


def line_width(box: Floats32, shape_hw: tuple[int, ...], keypoints: int) -> int:
    """Choose the width of limbs in pixels by a person's box, the picture's shape and the number of keypoints."""
    picture = max(shape_hw[:2])
    width, height = (0 if math.isnan(side) else min(max(side, 0), picture) for side in box[2:].tolist())
    usual = max(picture / 500, math.sqrt(width * height) / 75)
    return max(1, round(usual * (DENSE_WIDTH if keypoints > DENSE_SET else 1)))


def _draw_person(
    image: Image,
    points: Floats32,
    opacity: Floats64,
    width: int,
    limbs: Sequence[tuple[int, int]],
    colors: tuple[list[Color], list[Color]],
) -> None:
    """Draw one person, without the joints of opacity 0 and their limbs."""
    limb_colors, joint_colors = colors
    # OpenCV counts in 32 bits; this far outside, the direction of a limb no longer matters.
    reach = 4 * max(image.shape[:2]) + 100
    placed = np.where(opacity[:, None] > 0, points, 0).clip(-reach, reach) * (1 << _FRACTION_BITS)
    places, border = np.rint(placed).astype(int).tolist(), max(1, round(width / 4))
    opacities = opacity.tolist()
    for (a, b), color in zip(limbs, limb_colors, strict=True):
        if opacities[a] and opacities[b]:
            _draw_line(image, places[a], places[b], width, border, color, min(opacities[a], opacities[b]))
    for joint, color in enumerate(joint_colors):
        if opacities[joint]:
            _draw_line(image, places[joint], places[joint], 2 * width + 1, border, color, opacities[joint])


@functools.cache
def _colors(keypoint_set: KeypointSet, style: DrawStyle) -> tuple[list[Color], list[Color]]:
    """Choose the colors of the limbs and of the joints."""
    of_side = {"left": style.left, "right": style.right, "center": style.center}
    sides = [_side(name) for name in keypoint_set.keypoint_names]
    limbs = [of_side[_limb_side(sides[a], sides[b])] for a, b in keypoint_set.limbs]
    return limbs, [of_side[side] for side in sides]


def write_label(image: Image, label: str, box: Floats32) -> None:
    """Write above a box, or inside it if there is no room above."""
    import cv2

    size, thickness = max(0.5, max(image.shape[:2]) / 1400), max(1, round(max(image.shape[:2]) / 900))
    (width, height), below = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, size, thickness)
    x, y, across, _ = np.nan_to_num(box).clip(-1e6, 1e6).tolist()
    left = round(max(min(x + (across - width) / 2, image.shape[1] - width), 0))
    foot = round(max(min(y - below, image.shape[0] - below), height + below))
    cv2.rectangle(image, (left - below, foot - height - below), (left + width + below, foot + below), OUTLINE, -1)
    color = SIDE_COLORS["center"]
    cv2.putText(image, label, (left, foot), cv2.FONT_HERSHEY_SIMPLEX, size, color, thickness, cv2.LINE_AA)


def _side(keypoint_name: str) -> str:
    start = keypoint_name.partition("_")[0]
    return start if start in ("left", "right") else "center"


def _limb_side(side: str, other: str) -> str:
    """The side that a limb belongs to: center only where it joins two sides or none."""
    sides = {side, other} - {"center"}
    return sides.pop() if len(sides) == 1 else "center"


def _draw_line(
    image: Image, start: list[int], end: list[int], width: int, border: int, color: Color, opacity: float
) -> None:
    """Blend in a line with round ends and a dark border; a disc where both ends are one point.

    ``start`` and ``end`` are in OpenCV's fixed point.
    """
    import cv2

    if opacity >= 1:
        _paint_line(image, start, end, width, border, color)
        return
    # A faint line is blended as a whole: a faint white one over a faint dark outline would be gone.
    margin = width // 2 + border + 3
    x1, y1 = (max((min(pair) >> _FRACTION_BITS) - margin, 0) for pair in zip(start, end, strict=True))
    x2, y2 = (max((max(pair) >> _FRACTION_BITS) + margin + 1, 0) for pair in zip(start, end, strict=True))
    patch = image[y1:y2, x1:x2]
    if patch.size:
        layer, corner = patch.copy(), (x1 << _FRACTION_BITS, y1 << _FRACTION_BITS)
        start, end = ([x - corner[0], y - corner[1]] for x, y in (start, end))
        _paint_line(layer, start, end, width, border, color)
        patch[:] = cv2.addWeighted(layer, opacity, patch, 1 - opacity, 0)


def _paint_line(image: Image, start: list[int], end: list[int], width: int, border: int, color: Color) -> None:
    import cv2

    for thickness, paint in ((width + 2 * border, OUTLINE), (width, color)):
        if start == end:
            cv2.circle(image, start, (thickness << _FRACTION_BITS) // 2, paint, -1, cv2.LINE_AA, _FRACTION_BITS)
        else:
            cv2.line(image, start, end, paint, thickness, cv2.LINE_AA, _FRACTION_BITS)
