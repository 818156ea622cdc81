"""Boxes for ``litehrnet predict`` from COCO files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litehrnet.data.records import read_json
from litehrnet.errors import UserError


@dataclass(frozen=True)
class PhotoBoxes:
    """The boxes of one photo: COCO's number of the photo, boxes (x, y, width, height) in pixels, scores 0..1."""

    image_id: int
    boxes: list[list[float]]
    scores: list[float]


def read_boxes(path: Path) -> "BoxFile":
    """Boxes from COCO annotations (an object with images and annotations) or results (a list with image_id).

    Raises:
        UserError: The file is missing or neither.
    """
    content = read_json(path)
    try:
        if isinstance(content, dict):
            names = {image["id"]: image["file_name"] for image in content["images"]}
            entries = [a for a in content["annotations"] if not a.get("iscrowd") and a.get("bbox")]
            return BoxFile(path, _group(entries), {Path(name).name: number for number, name in names.items()})
        entries = [entry for entry in content if entry.get("category_id", 1) == 1]
        return BoxFile(path, _group(entries), None)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"{path}: not boxes in COCO's form (expected annotations, or a list of image_id, bbox and score)"
        ) from error


@dataclass(frozen=True)
class BoxFile:
    """Boxes by photo.

    Attributes:
        path: The file they are from.
        photos: By COCO's number of the photo.
        numbers: The number by file name; None where the file names no photos, so that the number is read from the
            photo's name, as in 000000000785.jpg.
    """

    path: Path
    photos: Mapping[int, PhotoBoxes]
    numbers: Mapping[str, int] | None

    def of(self, photo: Path) -> PhotoBoxes:
        """The boxes of a photo; a photo that the file knows without boxes has none.

        Raises:
            UserError: The photo cannot be found in the file.
        """
        number = self.numbers.get(photo.name) if self.numbers is not None else number_of(photo)
        if number is None:
            wanted = "a photo that it lists" if self.numbers is not None else "a name like 000000000785.jpg"
            raise UserError(f"{photo}: its boxes cannot be found in {self.path} (expected {wanted})")
        return self.photos.get(number, PhotoBoxes(number, [], []))


def number_of(photo: Path) -> int | None:
    """COCO's number of a photo, if its name is one."""
    return int(photo.stem) if photo.stem.isascii() and photo.stem.isdigit() else None


def _group(entries: list[dict[str, Any]]) -> dict[int, PhotoBoxes]:
    photos: dict[int, PhotoBoxes] = {}
    for entry in entries:
        photo = photos.setdefault(int(entry["image_id"]), PhotoBoxes(int(entry["image_id"]), [], []))
        photo.boxes.append([float(value) for value in entry["bbox"]])
        photo.scores.append(float(entry.get("score", 1)))
    return photos
