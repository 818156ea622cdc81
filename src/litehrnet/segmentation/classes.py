"""Classes of a segmentation: their names, colors and ids in label images."""

import colorsys
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.arrays import Image
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes

IGNORED = 255
"""Value of pixels without a class: they are ignored in training and evaluation."""

_UNKNOWN = -1
_GOLDEN = 0.618033988749895  # steps of this part of the color circle keep hues far apart

Color = tuple[int, int, int]


@dataclass(frozen=True)
class ClassSet:
    """Classes that a pixel may belong to.

    Attributes:
        name: Short name, such as ``cityscapes``.
        class_names: One per class, in the order of the network's scores; at most 255.
        colors: Drawing color of each class, RGB, 0..255.
        label_ids: Value of each class in label images, 0..255.
        ignored_ids: Values of pixels without a class in label images.
    """

    name: str
    class_names: tuple[str, ...]
    colors: tuple[Color, ...]
    label_ids: tuple[int, ...]
    ignored_ids: tuple[int, ...] = (IGNORED,)

    def __len__(self) -> int:
        return len(self.class_names)

    def classes_of(self, label_ids: Image) -> Image:
        """Convert an image of label ids to classes, with ``IGNORED`` for pixels without a class.

        Args:
            label_ids: uint8, any shape.

        Raises:
            UserError: A value is neither the id of a class nor an ignored one.
        """
        table = np.full(256, _UNKNOWN, np.int16)
        table[list(self.ignored_ids)] = IGNORED
        table[list(self.label_ids)] = np.arange(len(self))
        present = np.flatnonzero(np.bincount(label_ids.ravel(), minlength=256))
        unknown = present[table[present] == _UNKNOWN]
        if len(unknown):
            known = ", ".join(map(str, sorted({*self.label_ids, *self.ignored_ids})))
            raise UserError(
                f"class ids {', '.join(map(str, unknown))}, which {self.name} does not have (expected {known})"
            )
        return table.astype(np.uint8)[label_ids]

    def label_ids_of(self, classes: Image) -> Image:
        """Convert predicted classes to label ids, the values in label images.

        Args:
            classes: uint8, any shape, each below the number of classes.
        """
        return np.array(self.label_ids, np.uint8)[classes]


def find_class_set(name_or_path: str) -> ClassSet:
    """Look up a class set by name (cityscapes), or read one from a .toml or .json file.

    Raises:
        UserError: The name is unknown, or the file cannot be read or is invalid.
    """
    if name_or_path == CITYSCAPES.name:
        return CITYSCAPES
    path = Path(name_or_path)
    if path.suffix.lower() not in (".toml", ".json"):
        raise UserError(f"{name_or_path}: unknown class set (expected {CITYSCAPES.name} or a .toml or .json file)")
    try:
        text = read_bytes(path).decode("utf-8-sig")
        fields = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a list of classes ({error})") from error
    return class_set_from_dict(fields, str(path), path.stem)


def class_set_from_dict(fields: Any, source: str, name: str = "") -> ClassSet:
    """Create a class set from the plain values of a parsed file.

    Args:
        fields: ``classes``, their names in order. Optional are ``name``, ``colors`` (``[red, green, blue]``, 0..255,
            per class), ``label_ids`` (per class; default 0, 1, 2, ...) and ``ignored_ids`` (default 255).
        source: File name for error messages.
        name: Name of the set if the fields have none.

    Raises:
        UserError: A field is missing, unknown or invalid.
    """
    if not isinstance(fields, Mapping) or "classes" not in fields:
        raise UserError(f'{source}: has no classes (expected classes = ["road", "car", ...])')
    fields = {"colors" if key == "colours" else key: value for key, value in fields.items()}  # files from before 0.1.0
    unknown = sorted(fields.keys() - {"name", "classes", "colors", "label_ids", "ignored_ids"})
    if unknown:
        raise UserError(f"{source}: unknown key {unknown[0]} (expected name, classes, colors, label_ids, ignored_ids)")
    names = fields["classes"]
    if not isinstance(names, Sequence) or not all(isinstance(each, str) and each for each in names):
        raise UserError(f"{source}: classes is {names!r} (expected a list of names)")
    if not 2 <= len(names) <= 255 or len(set(names)) != len(names):
        raise UserError(f"{source}: {len(names)} classes, {len(set(names))} different ones (expected 2 to 255)")
    count = len(names)
    ids = _bytes(fields.get("label_ids", list(range(count))), count, "label_ids", source)
    ignored = tuple(i for i in _bytes(fields.get("ignored_ids", [IGNORED]), None, "ignored_ids", source))
    if len(set(ids)) != count or set(ids) & set(ignored):
        raise UserError(f"{source}: a label id is used twice (expected each once in label_ids and ignored_ids)")
    colors = fields.get("colors", [_color(index) for index in range(count)])
    if not isinstance(colors, Sequence) or len(colors) != count:
        raise UserError(f"{source}: colors is {colors!r} (expected a list of {count}, one per class)")
    red_green_blue = [_bytes(color, 3, "colors", source) for color in colors]
    rgb = tuple((red, green, blue) for red, green, blue in red_green_blue)
    return ClassSet(str(fields.get("name") or name), tuple(names), rgb, ids, ignored)


def class_set_to_dict(class_set: ClassSet) -> dict[str, Any]:
    """Convert a class set to plain values, the inverse of ``class_set_from_dict``."""
    fields = asdict(class_set)
    return {"name": fields.pop("name"), "classes": fields.pop("class_names"), **fields}


def unnamed_classes(count: int) -> ClassSet:
    """Create ``count`` classes without known names, called "0", "1", ..."""
    return class_set_from_dict({"name": "unnamed", "classes": [str(index) for index in range(count)]}, "unnamed")


def _bytes(values: Any, count: int | None, name: str, source: str) -> tuple[int, ...]:
    whole = isinstance(values, Sequence) and all(type(value) is int and 0 <= value <= 255 for value in values)
    if not whole or (count is not None and len(values) != count):
        wanted = "whole numbers" if count is None else f"{count} whole numbers"
        raise UserError(f"{source}: {name} has {values!r} (expected {wanted} from 0 to 255)")
    return tuple(values)


def _color(index: int) -> Color:
    value = (0.95, 0.65)[index % 2]
    red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN % 1, 0.75, value)
    return round(255 * red), round(255 * green), round(255 * blue)


# Cityscapes: training and evaluation use 19 of its 35 labels (Cordts et al., CVPR 2016; its label table).
# fmt: off
_CLASSES = (  # name, label id, color, in the order of the train ids
    ("road", 7, (128, 64, 128)), ("sidewalk", 8, (244, 35, 232)), ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)), ("fence", 13, (190, 153, 153)), ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)), ("traffic sign", 20, (220, 220, 0)), ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)), ("sky", 23, (70, 130, 180)), ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)), ("car", 26, (0, 0, 142)), ("truck", 27, (0, 0, 70)), ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)), ("motorcycle", 32, (0, 0, 230)), ("bicycle", 33, (119, 11, 32)),
)
# fmt: on

# Unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground, parking, rail track, guard rail,
# bridge, tunnel, polegroup, caravan, trailer. Other tools write 255. License plates (-1) occur in no label image.
_IGNORED_IDS = (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, 255)

CITYSCAPES = ClassSet(
    "cityscapes",
    tuple(name for name, _, _ in _CLASSES),
    tuple(color for _, _, color in _CLASSES),
    tuple(label_id for _, label_id, _ in _CLASSES),
    _IGNORED_IDS,
)
