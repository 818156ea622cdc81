"""Write a data set that shows how weights handle real backgrounds: held-out crops in the middle of other crops.

Run: ``python -m benchmarks.heldout_backgrounds DATA OUT``. DATA contains ``coco_train_crops``. Then run
``litehrnet test WEIGHTS --annotations OUT/annotations.json --images OUT/images``.

The crops are cut closely around their people, so a network's input is mostly black around the person, in training too.
An evaluation on such crops does not show how the network handles real backgrounds. Here every held-out crop is in the
middle of another crop, enlarged until it fills the network's input. People in that crop are not annotated.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.data.appearance import covering_matrix
from litehrnet.data.coco import read_photo_list
from litehrnet.io.files import new_folder
from litehrnet.io.images import read_image, write_image
from litehrnet.keypoints.crop import warp

HELD_OUT = Path(__file__).parent.parent / "configs/own/heldout_coco_image_ids.txt"
SIDE = 1.7
"""Side of the whole picture divided by the crop's longer side: a network's crop is 1.25 boxes, enlarged to 3:4."""


def main() -> None:
    """Write the photos and their annotations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    folder = options.data / "coco_train_crops"
    annotations = json.loads((folder / "annotations.json").read_text())
    held_out = read_photo_list(HELD_OUT)
    others = [image for image in annotations["images"] if image["coco_image_id"] not in held_out]
    images = [image for image in annotations["images"] if image["coco_image_id"] in held_out]
    rng = np.random.default_rng(0)
    moves = {}
    with new_folder(options.out) as out:
        (out / "images").mkdir()
        for image in images:
            background = folder / "images" / others[rng.integers(len(others))]["file_name"]
            moves[image["id"]] = _compose(folder / "images", background, image, out / "images")
        moved = [_moved(a, *moves[a["image_id"]]) for a in annotations["annotations"] if a["image_id"] in moves]
        (out / "annotations.json").write_text(json.dumps(annotations | {"images": images, "annotations": moved}))
    print(f"{len(moved)} people in {len(images)} photos: {options.out}")


def _compose(folder: Path, background: Path, image: dict[str, Any], out: Path) -> tuple[int, int]:
    """Write one photo, update the size in its record, and return how far the crop moved to the right and down."""
    crop, other = read_image(folder / image["file_name"]), read_image(background)
    height, width = crop.shape[:2]
    side = int(np.ceil(SIDE * max(width, height)))
    covering = covering_matrix((other.shape[1], other.shape[0]), (side, side), 0.5)
    picture = warp(other, covering, (side, side))
    x, y = (side - width) // 2, (side - height) // 2
    picture[y : y + height, x : x + width] = crop
    write_image(out / image["file_name"], picture, quality=95)
    image["width"] = image["height"] = side
    return x, y


def _moved(annotation: dict[str, Any], x: int, y: int) -> dict[str, Any]:
    keypoints = np.array(annotation["keypoints"]).reshape(-1, 3)
    keypoints[keypoints[:, 2] > 0, :2] += (x, y)
    left, top, width, height = annotation["bbox"]
    return annotation | {"keypoints": keypoints.ravel().tolist(), "bbox": [left + x, top + y, width, height]}


if __name__ == "__main__":
    main()
