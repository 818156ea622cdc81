"""Photos of several drawn figures with their boxes, written as a set of COCO's form."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.figure import draw_figure

from litehrnet import write_image

SIZE_WH = (192, 160)


def write_figure_scenes(folder: Path, scenes: int, seed: int = 0) -> None:
    """Write ``images`` and ``annotations.json``: every scene shows up to three figures of different sizes."""
    (folder / "images").mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(1, scenes + 1):
        rng = np.random.default_rng([seed, number])
        scene, boxes = draw_scene(rng)
        name = f"{number:04}.png"
        write_image(folder / "images" / name, scene)
        images.append({"id": number, "file_name": name, "width": SIZE_WH[0], "height": SIZE_WH[1]})
        for box in boxes:
            entry = {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "bbox": box}
            annotations.append(entry)
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "annotations.json").write_text(json.dumps(content))


def draw_scene(rng: np.random.Generator) -> tuple[NDArray[np.uint8], list[list[float]]]:
    """Draw a scene and return (x, y, width, height) of its figures; each has its own column, some are empty."""
    import cv2

    width, height = SIZE_WH
    noise = rng.uniform(60, 190, (5, 6, 3)).astype(np.float32)
    scene = cv2.resize(noise, SIZE_WH, interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    boxes = []
    for column in range(3):
        if rng.random() < 0.3:
            continue
        tall = int(rng.integers(60, 150))
        picture, _, (x, y, w, h) = draw_figure((tall * 3 // 4, tall), int(rng.integers(1000)))
        margin = int(rng.integers(2, 6))
        left, top = max(0, int(x) - margin), max(0, int(y) - margin)
        cut = picture[top : int(y + h) + margin, left : int(x + w) + margin][:, : width // 3]
        corner_x = column * (width // 3) + int(rng.integers(0, width // 3 - cut.shape[1] + 1))
        corner_y = int(rng.integers(0, height - cut.shape[0] + 1))
        scene[corner_y : corner_y + cut.shape[0], corner_x : corner_x + cut.shape[1]] = cut
        seen = min(float(w), cut.shape[1] - (float(x) - left))
        boxes.append([corner_x + float(x) - left, corner_y + float(y) - top, seen, float(h)])
    return scene, boxes
