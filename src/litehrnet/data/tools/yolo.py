"""Reader of YOLO-pose data sets: ``data.yaml``, and a text file of labels for each photo."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litehrnet.data.tools.project import Box, Category, LabeledObject, LabeledPhoto, Point, Project
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.io.image_headers import read_header
from litehrnet.optional import require

SPLITS = ("train", "val", "test")
DATA_FILES = ("data.yaml", "data.yml", "dataset.yaml")

_PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
_ROOM = 1.01  # largest coordinate, divided by the side of the photo


def read_yolo(path: Path) -> Project:
    """Read the parts of a data set.

    Args:
        path: ``data.yaml``, or its folder.

    Raises:
        UserError: A file is missing or broken, a photo is broken, or a line is not a box with keypoints.
    """
    require("yaml", "tools", f"{path}: reading this format")
    import yaml

    path = data_file(path) or path
    try:
        data = yaml.safe_load(read_bytes(path).decode("utf-8-sig"))
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML ({str(error).splitlines()[0]})") from error
    shape = data.get("kpt_shape") if isinstance(data, dict) else None
    if not isinstance(shape, list) or len(shape) != 2 or shape[1] not in (2, 3) or type(shape[0]) is not int:
        raise UserError(f"{path}: kpt_shape is {shape} (expected the number of keypoints, and 2 or 3)")
    found = [(split, photo) for split in SPLITS for photo in _photo_files(path, data, split)]
    if not found:
        raise UserError(f"{path}: train, val and test name no photo (expected folders or lists of photos)")
    images = Path(os.path.commonpath([photo.parent for _, photo in found]))
    categories = _categories(path, data, shape[0])
    photos = tuple(_photo(photo, images, split, categories, shape[1]) for split, photo in found)
    return Project(images, categories, photos, Counter())


def data_file(path: Path) -> Path | None:
    """Return the ``data.yaml`` at this path or in this folder, or None."""
    if path.is_dir():
        return next((path / name for name in DATA_FILES if (path / name).is_file()), None)
    return path if path.suffix.lower() in (".yaml", ".yml") else None


def _categories(path: Path, data: dict[str, Any], count: int) -> tuple[Category, ...]:
    classes = data.get("names")
    classes = dict(enumerate(classes)) if isinstance(classes, list) else classes
    if not isinstance(classes, dict) or sorted(classes) != list(range(len(classes))) or not classes:
        raise UserError(f"{path}: names is {classes} (expected a name for each class, from 0)")
    flip = data.get("flip_idx")
    if flip is not None and (not isinstance(flip, list) or sorted(flip) != list(range(count))):
        raise UserError(f"{path}: flip_idx is {flip} (expected each of {count} keypoints once)")
    own = data.get("kpt_names") or {}
    categories = []
    for index in range(len(classes)):
        names = own.get(index) if isinstance(own, dict) else own
        names = tuple(map(str, names)) if names else tuple(map(str, range(count)))
        if len(set(names)) != count or len(names) != count:
            raise UserError(f"{path}: kpt_names is {list(names)} (expected {count} different names)")
        pairs = None if flip is None else tuple((names[a], names[b]) for a, b in enumerate(flip) if a < b)
        categories.append(Category(str(classes[index]), names, flip_pairs=pairs))
    return tuple(categories)


def _photo_files(path: Path, data: dict[str, Any], split: str) -> Iterator[Path]:
    """Photos of a part, in order: a folder, a text file with a path in each line, or a list of these."""
    folder = path.absolute().parent
    root = folder / str(data.get("path") or "")
    root = root if root.is_dir() else folder
    places = data.get(split) or []
    for place in places if isinstance(places, list) else [places]:
        target = root / str(place)
        if not target.exists() and str(place).startswith("../"):
            target = root / str(place)[3:]  # Roboflow names the folders beside data.yaml so
        if target.is_dir():
            yield from sorted(each for each in target.rglob("*") if each.suffix.lower() in _PHOTO_SUFFIXES)
        else:
            lines = read_bytes(target).decode("utf-8-sig").split("\n")
            yield from (target.parent / line.strip() for line in lines if line.strip())


def _photo(photo: Path, images: Path, split: str, categories: tuple[Category, ...], numbers: int) -> LabeledPhoto:
    size = read_header(read_bytes(photo), str(photo)).upright_wh
    labels = _label_file(photo)
    lines = read_bytes(labels).decode("utf-8-sig").splitlines() if labels.is_file() else []
    objects = tuple(
        _object(f"{labels}, line {number}", line, size, categories, numbers)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    )
    return LabeledPhoto(photo.relative_to(images).as_posix(), size, objects, split)


def _label_file(photo: Path) -> Path:
    """Replace the last folder ``images`` of a path by ``labels``, and the suffix by ``.txt``."""
    parts = list(photo.parts)
    for index in reversed(range(len(parts) - 1)):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _object(
    place: str, line: str, size_wh: tuple[int, int], categories: tuple[Category, ...], numbers: int
) -> LabeledObject:
    words = line.split()
    count = len(categories[0].keypoint_names)
    try:
        index, values = int(words[0]), [float(word) for word in words[1:]]
    except ValueError as error:
        raise UserError(f"{place}: not numbers (expected a class, a box and keypoints)") from error
    if len(values) != 4 + count * numbers:
        raise UserError(f"{place}: has {len(words)} numbers (expected {5 + count * numbers}, as kpt_shape says)")
    if not 0 <= index < len(categories):
        raise UserError(f"{place}: is of class {index} (expected 0 to {len(categories) - 1})")
    rows = [values[start : start + numbers] for start in range(4, len(values), numbers)]
    if not max(values[:4] + [value for row in rows for value in row[:2]]) <= _ROOM:
        raise UserError(f"{place}: has places beyond 1 (expected fractions of the photo)")
    width, height = size_wh
    x, y, box_width, box_height = values[:4]
    box: Box = (x - box_width / 2) * width, (y - box_height / 2) * height, box_width * width, box_height * height
    keypoints: dict[str, Point] = {}
    for name, row in zip(categories[index].keypoint_names, rows, strict=True):
        # Without a third number, (0, 0) and negative places mean that a keypoint is not labeled.
        visibility = row[2] if numbers == 3 else 2 * (row[0] > 0 or row[1] > 0) * (min(row) >= 0)
        if visibility > 0:
            keypoints[name] = row[0] * width, row[1] * height, 1 if visibility == 1 else 2
    return LabeledObject(categories[index].name, keypoints, box)
