"""Annotations of other tools as COCO's object, for one part of a data set."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litehrnet.data.tools.project import Category, LabeledObject, LabeledPhoto, Project
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.io.image_headers import read_header
from litehrnet.keypoints.sides import mirrored_pairs


@dataclass(frozen=True)
class Converted:
    """Annotations of one part of a data set.

    Attributes:
        split: Name of the part, such as ``train``; empty for a set without parts.
        content: COCO's object.
        keypoints: Number of labeled keypoints.
        notes: Counts of what was left out or made.
    """

    split: str
    content: dict[str, Any]
    keypoints: int
    notes: dict[str, int]


def converted(project: Project, images: Path) -> list[Converted]:
    """Convert each part of a project.

    Args:
        project: Annotations of another tool.
        images: Folder of the photos, from which sizes are read that the tool does not store.

    Raises:
        UserError: Nobody has keypoints, a name or place is invalid, or a photo is missing whose size is needed.
    """
    counts = Counter(photo.file_name for photo in project.photos)
    for name, count in counts.items():
        if count > 1 and len({photo.split for photo in project.photos if photo.file_name == name}) < count:
            raise UserError(f"{name}: is annotated {count} times (expected each photo once)")
    if not any(each.keypoints for photo in project.photos for each in photo.objects):
        raise UserError(f"{images}: no object has keypoints (expected annotations with labeled keypoints)")
    splits = dict.fromkeys(photo.split for photo in project.photos)
    return [_part(split, project, images) for split in splits]


def _part(split: str, project: Project, images: Path) -> Converted:
    numbers = {category.name: number for number, category in enumerate(project.categories, start=1)}
    notes: Counter[str] = Counter()
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for photo in project.photos:
        if photo.split != split:
            continue
        if photo.size_wh is None and not photo.objects and not (images / photo.file_name).is_file():
            notes["photos without objects left out, as they are not there and their size is not known"] += 1
            continue
        width, height = photo.size_wh or _size(images / photo.file_name)
        entries.append({"id": len(entries) + 1, "file_name": photo.file_name, "width": width, "height": height})
        for each in photo.objects:
            if not each.keypoints and (each.box is None or each.category not in numbers):
                notes["objects without keypoints left out"] += 1
                continue
            number = numbers[each.category]
            own = {"id": len(annotations) + 1, "image_id": len(entries), "category_id": number}
            annotations.append(own | _annotation(photo, each, project.categories[number - 1], notes))
    categories = [_category(category, numbers[category.name]) for category in project.categories]
    content = {"images": entries, "annotations": annotations, "categories": categories}
    return Converted(split, content, sum(each["num_keypoints"] for each in annotations), dict(notes))


def _annotation(photo: LabeledPhoto, each: LabeledObject, category: Category, notes: Counter[str]) -> dict[str, Any]:
    if unknown := sorted(each.keypoints.keys() - set(category.keypoint_names)):
        known = ", ".join(category.keypoint_names)
        raise UserError(f"{photo.file_name}: {category.name} has the keypoint {unknown[0]} (expected one of {known})")
    flat: list[float] = []
    for name in category.keypoint_names:
        flat += each.keypoints.get(name, (0, 0, 0))
    box = each.box
    if box is None:
        # A file in which some have boxes must have one for everybody; others are left out when it is read.
        notes["boxes made from keypoints"] += 1
        xs, ys = ([point[axis] for point in each.keypoints.values()] for axis in (0, 1))
        box = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    if not all(map(math.isfinite, (*flat, *box))):
        raise UserError(f"{photo.file_name}: a place is not finite (expected pixels of the photo)")
    return {"keypoints": flat, "num_keypoints": len(each.keypoints), "bbox": list(box), "iscrowd": 0}


def _category(category: Category, number: int) -> dict[str, Any]:
    names = category.keypoint_names
    limbs: Sequence[tuple[str, str]] = category.limbs
    skeleton = [[names.index(start) + 1, names.index(end) + 1] for start, end in limbs]
    entry: dict[str, Any] = {"id": number, "name": category.name, "keypoints": list(names), "skeleton": skeleton}
    if category.flip_pairs is not None:
        left_first = {(names[left], names[right]) for left, right in mirrored_pairs(names)}
        entry["flip_pairs"] = [[b, a] if (b, a) in left_first else [a, b] for a, b in category.flip_pairs]
    return entry


def _size(path: Path) -> tuple[int, int]:
    if not path.is_file():
        raise UserError(f"{path}: no such photo, and the annotations do not say its size (--images names their folder)")
    return read_header(read_bytes(path), str(path)).upright_wh
