"""A drawn person with known keypoints, for tests without photos."""

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

# All tables are in pixels of a canvas of this size. The person is 7.5 heads tall and waves with the left hand;
# the lengths of the limbs are those of anthropometric tables (the upper arm 0.19 of the height, and so on).
CANVAS_WH, HORIZON = (480, 640), 400


class Shape(NamedTuple):
    """Part of the body: a row of circles (x, y, radius) with their connections, or a smooth outline (x, y)."""

    color: str
    points: tuple[tuple[float, ...], ...]
    roundness: float  # how far from its edge the surface still bends away


class View(NamedTuple):
    """Position of the canvas in a picture: magnified by ``scale``, its corner at ``shift`` (x, y)."""

    size_wh: tuple[int, int]
    scale: float
    shift: NDArray[np.float64]


# fmt: off
JOINTS = {
    "nose": (243, 106), "left_eye": (254, 94), "right_eye": (231, 94), "left_ear": (270, 100), "right_ear": (214, 100),
    "left_shoulder": (293, 172), "right_shoulder": (189, 172), "left_elbow": (371, 215), "right_elbow": (158, 262),
    "left_wrist": (389, 136), "right_wrist": (163, 341), "left_hip": (271, 337), "right_hip": (211, 337),
    "left_knee": (281, 455), "right_knee": (202, 455), "left_ankle": (280, 571), "right_ankle": (184, 568),
}
COLORS = {
    "skin": (222, 172, 140), "lips": (184, 96, 88), "hair": (74, 48, 34), "white": (240, 238, 234),
    "iris": (58, 40, 30), "shirt": (178, 58, 52), "trousers": (62, 78, 116), "shoe": (72, 58, 52),
}
TEXTURE = {"shirt": 0.02, "trousers": 0.03, "hair": 0.07}  # by how much brightness varies
SHAPES = (  # from back to front
    Shape("white", ((184, 592, 12), (170, 602, 11)), 6), Shape("white", ((282, 594, 12), (294, 604, 11)), 6),
    Shape("shoe", ((186, 574, 12), (178, 590, 14), (170, 598, 12)), 12),
    Shape("shoe", ((280, 577, 12), (286, 593, 14), (294, 600, 12)), 12),
    Shape("trousers", (
        (192, 325), (184, 350), (180, 400), (182, 455), (177, 490), (171, 560), (170, 570), (176, 572), (196, 574),
        (202, 573), (204, 564), (213, 490), (223, 455), (236, 400), (241, 374), (248, 400), (260, 455), (265, 492),
        (264, 566), (265, 576), (271, 577), (290, 577), (297, 575), (298, 565), (303, 492), (302, 455), (304, 400),
        (300, 350), (291, 325)), 22),
    Shape("skin", ((163, 345, 9), (164, 366, 11), (167, 380, 8), (169, 391, 5)), 9),
    Shape("skin", ((167, 352, 6), (178, 367, 5), (180, 378, 4)), 5),
    Shape("skin", ((188, 182, 16), (172, 222, 15), (159, 262, 12), (158, 285, 13), (163, 341, 9)), 13),
    Shape("skin", ((300, 178, 16), (337, 199, 15), (371, 216, 12), (379, 188, 13), (389, 136, 9)), 13),
    Shape("skin", ((242, 122, 17), (241, 158, 19)), 16),
    Shape("shirt", (
        (221, 147), (206, 154), (188, 158), (176, 168), (167, 190), (154, 224), (154, 230), (159, 233), (180, 240),
        (186, 240), (189, 234), (195, 214), (194, 250), (196, 290), (189, 334), (188, 345), (196, 349), (241, 351),
        (286, 349), (294, 345), (293, 334), (287, 290), (289, 250), (291, 210), (322, 215), (328, 214), (332, 208),
        (343, 187), (344, 181), (339, 177), (308, 163), (294, 158), (276, 154), (261, 147), (254, 157), (241, 162),
        (228, 157)), 20),
    Shape("shirt", ((223, 150, 2), (230, 157, 2), (241, 161, 2), (252, 157, 2), (259, 150, 2)), 3),
    Shape("skin", ((390, 128, 9), (391, 112, 13), (391, 104, 13)), 10),
    *(Shape("skin", finger, 4.5) for finger in (
        ((383, 120, 5), (370, 109, 4), (363, 99, 3.5)), ((381, 104, 4.5), (374, 86, 4), (371, 74, 3.5)),
        ((388, 100, 4.5), (385, 80, 4), (384, 66, 3.5)), ((395, 100, 4.5), (397, 80, 4), (398, 67, 3.5)),
        ((401, 104, 4.5), (407, 88, 4), (410, 77, 3.5)))),
    Shape("skin", ((215, 95, 5), (217, 107, 4)), 5), Shape("skin", ((269, 95, 5), (267, 107, 4)), 5),
    Shape("skin", (
        (242, 58), (262, 64), (270, 88), (267, 110), (258, 127), (247, 135), (237, 135), (226, 127), (217, 110),
        (214, 88), (222, 64)), 30),
    Shape("hair", (
        (211, 97), (207, 77), (214, 58), (228, 48), (246, 46), (262, 51), (274, 62), (277, 79), (272, 98), (268, 85),
        (266, 74), (252, 68), (240, 74), (226, 72), (218, 80), (215, 88)), 14),
    Shape("white", ((228, 94, 2.4), (234, 94, 2.4)), 3), Shape("white", ((251, 94, 2.4), (257, 94, 2.4)), 3),
    Shape("iris", ((231, 94, 2.6), (231, 94, 2.6)), 4), Shape("iris", ((254, 94, 2.6), (254, 94, 2.6)), 4),
    Shape("hair", ((224, 87, 0.9), (230, 85.6, 1.4), (237, 86.4, 1)), 2),
    Shape("hair", ((248, 86.4, 1), (255, 85.6, 1.4), (261, 87, 0.9)), 2),
    Shape("skin", ((242, 93, 1.5), (242.5, 100, 2.5), (243, 106, 4.4)), 4),
    Shape("lips", ((232, 116, 0.8), (237, 118.6, 1.8), (243, 119.6, 2.3), (249, 118.6, 1.8), (254, 116, 0.8)), 3),
)
SKY, MEADOW = ((128, 172, 220), (222, 230, 232)), ((150, 164, 112), (98, 116, 66))
HILLS = ((60, 95, 0.5, (158, 178, 184)), (28, 60, 2.0, (112, 138, 112)))  # rise, length, phase, color
SHADOWS = ((262, 606, 120, 14), (180, 604, 34, 8), (290, 606, 34, 8))  # x, y, half width, half depth
# fmt: on


def draw_figure(size_wh: tuple[int, int] = (480, 640), seed: int = 0) -> tuple[NDArray[np.uint8], Array, Array]:
    """Draw a person who stands in a landscape and waves.

    Args:
        size_wh: Width and height of the picture in pixels; the figure has the largest size that fits.
        seed: Random seed of the textures of clothes, skin and meadow.

    Returns:
        The picture, uint8 (height, width, 3), RGB; the 17 keypoints in COCO's order, float32 (17, 2), (x, y)
        in its pixels; and the box around the figure, float32 (4,), (x, y, width, height).
    """
    import cv2

    rng = np.random.default_rng(seed)
    oversampling = int(np.clip(1280 // max(size_wh), 1, 4))
    view = _fit((size_wh[0] * oversampling, size_wh[1] * oversampling))
    picture = _landscape(view, rng)
    body = np.zeros(picture.shape[:2], np.float32)
    for shape in SHAPES:
        _paint(picture, body, shape, view, rng)
    picture *= 1 + 0.015 * rng.standard_normal((*body.shape, 1), np.float32)
    small, inside = (cv2.resize(each, size_wh, interpolation=cv2.INTER_AREA) for each in (picture, body))
    box = np.array(cv2.boundingRect((inside > 0.5).astype(np.uint8)), np.float32)
    keypoints = _place(list(JOINTS.values()), _fit(size_wh)).astype(np.float32)
    return np.rint(small).clip(0, 255).astype(np.uint8), keypoints, box


def _fit(size_wh: tuple[int, int]) -> View:
    scale = min(size_wh[0] / CANVAS_WH[0], size_wh[1] / CANVAS_WH[1])
    return View(size_wh, scale, (np.array(size_wh) - np.array(CANVAS_WH) * scale) / 2)


def _place(canvas_xy: Any, view: View) -> NDArray[np.float64]:
    # Pixel centers are integers in the canvas and in the picture: what scales are distances to the corner.
    return np.asarray((np.array(canvas_xy) + 0.5) * view.scale + view.shift - 0.5)


def _landscape(view: View, rng: np.random.Generator) -> Array:
    """Draw sky, hills, and a meadow with the figure's shadow: float32 (height, width, 3), 0..255."""
    import cv2

    y, x = np.ogrid[: view.size_wh[1], : view.size_wh[0]]
    x, y = ((each[..., None] - shift) / view.scale for each, shift in zip((x, y), view.shift, strict=True))
    picture = _blend(*SKY, y / HORIZON)
    for rise, length, phase, color in HILLS:
        ridge = HORIZON - rise * (1 + 0.5 * np.sin(x / length + phase) + 0.2 * np.sin(x / length * 2.7))
        picture = _blend(picture, color, (y - ridge) / 4)
    meadow = _blend(*MEADOW, (y - HORIZON) / 240) * (1 + 0.03 * _smooth_noise(picture.shape, 5 * view.scale, rng))
    picture = _blend(picture, meadow, (y - HORIZON) / 3)
    for x0, y0, across, depth in SHADOWS:
        picture *= 1 - 0.55 * np.exp(-(((x - x0) / across) ** 2) - ((y - y0) / depth) ** 2)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.2 * view.scale), np.float32)


def _blend(below: Any, above: Any, share: Any) -> Any:
    return below + np.subtract(above, below) * np.clip(share, 0, 1)


def _smooth_noise(shape_hw: tuple[int, ...], cell: float, rng: np.random.Generator) -> Array:
    """Draw noise (height, width, 1) of about unit variance that changes over ``cell`` pixels."""
    import cv2

    grid = rng.standard_normal([int(pixels / cell) + 3 for pixels in shape_hw[:2]]).astype(np.float32)
    return np.asarray(cv2.resize(grid, shape_hw[1::-1], interpolation=cv2.INTER_CUBIC)[..., None], np.float32)


def _polygons(shape: Shape) -> list[NDArray[Any]]:
    """Return outlines (points, 2) on the canvas whose union is the shape."""
    import cv2

    points = np.array(shape.points, np.float32)
    if points.shape[1] == 3:
        angles = np.linspace(0, 2 * np.pi, 48, dtype=np.float32)
        circles = [(x, y) + radius * np.stack([np.cos(angles), np.sin(angles)], 1) for x, y, radius in points]
        return [cv2.convexHull(np.concatenate(pair))[:, 0] for pair in itertools.pairwise(circles)]
    for _ in range(3):  # Chaikin's corner cutting
        ahead = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * ahead, 0.25 * points + 0.75 * ahead], 1).reshape(-1, 2)
    return [points]


def _paint(picture: Array, body: Array, shape: Shape, view: View, rng: np.random.Generator) -> None:
    """Paint a shape, lit from the upper left, with a soft shadow on the parts of ``body`` behind it."""
    import cv2

    polygons = [_place(polygon, view) for polygon in _polygons(shape)]
    edge, margin = np.concatenate(polygons), 12 * view.scale
    x1, y1 = (edge.min(axis=0) - margin).clip(0).astype(int)
    x2, y2 = (edge.max(axis=0) + margin).astype(int) + 1
    patch, behind = picture[y1:y2, x1:x2], body[y1:y2, x1:x2]
    mask = np.zeros(behind.shape, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.rint((polygon - (x1, y1)) * 16).astype(np.int32)], (255,), cv2.LINE_AA, 4)
    share = mask.astype(np.float32) / 255
    patch *= 1 - 0.4 * (cv2.GaussianBlur(share, (0, 0), 4 * view.scale) * behind)[..., None]
    noise = _smooth_noise(mask.shape, 7 * view.scale, rng)
    light = _light(mask, shape.roundness * view.scale) * (1 + TEXTURE.get(shape.color, 0.01) * noise)
    patch += share[..., None] * (light * np.array(COLORS[shape.color], np.float32) - patch)
    np.maximum(behind, share, out=behind)


def _light(mask: NDArray[np.uint8], roundness: float) -> Array:
    """Compute the brightness (height, width, 1) of a surface that rises from the mask's edge in a quarter circle."""
    import cv2

    rise = np.clip(cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 5) / roundness, 0, 1)
    height = cv2.GaussianBlur(roundness * np.sqrt(1 - (1 - rise) ** 2), (0, 0), 0.2 * roundness + 0.1)
    slope_y, slope_x = np.gradient(height)
    lambert = (0.45 * slope_x + 0.5 * slope_y + 0.74) / np.sqrt(slope_x**2 + slope_y**2 + 1)
    return np.asarray(0.5 + 0.68 * np.clip(lambert, 0, 1), np.float32)[..., None]
