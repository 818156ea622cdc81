"""Drawn scenes to segment: discs, squares and triangles of 40 pixels or more on textured backgrounds."""

import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

CLASS_NAMES = ("background", "disc", "square", "triangle")
LABEL_IDS = (10, 20, 30, 40)
_HUES = {1: 0, 2: 60, 3: 120}  # of 180: OpenCV's


def draw_scene(seed: int, side: int = 256) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image, uint8 (side, side, 3), and its label ids, uint8 (side, side)."""
    rng = np.random.default_rng(seed)
    image = _texture(rng, side, 90 + 0.15 * rng.uniform(60, 200, 3) + rng.uniform(0, 30))
    labels = np.full((side, side), LABEL_IDS[0], np.uint8)
    for _ in range(int(rng.integers(4, 7))):
        kind = int(rng.integers(1, len(CLASS_NAMES)))
        mask = np.zeros((side, side), np.uint8)
        radius = round(rng.uniform(22, 45) * side / 256)
        center = rng.integers(radius, side - radius, 2)
        if kind == 1:
            cv2.circle(mask, center.tolist(), radius, 255, -1)
        else:
            corners = {2: 4, 3: 3}[kind]
            angles = rng.uniform(0, 2 * np.pi) + np.arange(corners) * 2 * np.pi / corners
            points = center + 1.3 * radius * np.column_stack([np.cos(angles), np.sin(angles)])
            cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], 255)
        hsv = [[[(_HUES[kind] + rng.integers(-20, 21)) % 180, rng.integers(90, 220), rng.integers(110, 230)]]]
        color = cv2.cvtColor(np.array(hsv, np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
        paint = _texture(rng, side, color)
        image[mask > 0], labels[mask > 0] = paint[mask > 0], LABEL_IDS[kind]
    return image, labels


def _texture(rng: np.random.Generator, side: int, color: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A color with smooth shades and grain."""
    shades = cv2.resize(rng.normal(0, 18, (8, 8)), (side, side), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 10, (side, side))
    return np.asarray((color + (shades + grain)[..., None]).clip(0, 255), np.uint8)


def write_scenes(folder: Path, count: int, side: int = 256, first: int = 0) -> Path:
    """Write ``images``, ``labels`` and ``classes.json`` to a folder, which is returned."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for number in range(first, first + count):
        image, labels = draw_scene(number, side)
        cv2.imwrite(str(folder / "images" / f"{number:03}.png"), image[..., ::-1])
        cv2.imwrite(str(folder / "labels" / f"{number:03}.png"), labels)
    content = {"name": "shapes", "classes": CLASS_NAMES, "label_ids": LABEL_IDS}
    (folder / "classes.json").write_text(json.dumps(content))
    return folder
