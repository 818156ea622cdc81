"""The form into which every tool's annotations are read, and the grouping of loose keypoints into objects."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

Point = tuple[float, float, int]
"""x and y in pixels of the photo, and the visibility: 1 hidden, 2 visible."""
Box = tuple[float, float, float, float]
"""x, y, width and height in pixels of the photo."""

UNNAMED = "object"
"""Category of objects for which a tool has no name."""


@dataclass(frozen=True)
class Category:
    """One kind of object.

    Attributes:
        name: Name of the objects.
        keypoint_names: Names of its keypoints in order.
        limbs: Pairs of names that a drawing joins.
        flip_pairs: Pairs of names that change places in a mirrored photo; None if the tool does not say.
    """

    name: str
    keypoint_names: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...] = ()
    flip_pairs: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True)
class LabeledObject:
    """One object in a photo.

    Attributes:
        category: Name of its category.
        keypoints: Labeled keypoints by name; the others are missing.
        box: Annotated box, or None.
    """

    category: str
    keypoints: Mapping[str, Point]
    box: Box | None = None


@dataclass(frozen=True)
class LabeledPhoto:
    """One photo.

    Attributes:
        file_name: Path relative to the project's photos, with slashes.
        size_wh: (width, height) in pixels of the upright photo; None if the tool does not say.
        objects: Annotated objects.
        split: Part of the set, such as ``train``; empty for a tool without parts.
    """

    file_name: str
    size_wh: tuple[int, int] | None
    objects: tuple[LabeledObject, ...]
    split: str = ""


@dataclass(frozen=True)
class Project:
    """Annotations of one tool.

    Attributes:
        images: Folder of the photos, as far as the tool's layout says.
        categories: Kinds of objects that have keypoints.
        photos: Photos in the tool's order.
        left_out: Counts of what was not read.
    """

    images: Path
    categories: tuple[Category, ...]
    photos: tuple[LabeledPhoto, ...]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class LoosePoint:
    """A keypoint that the tool stores as a separate region.

    Attributes:
        name: Name of the keypoint.
        point: Place and visibility.
        group: Key of the box or group that it belongs to; None for none.
    """

    name: str
    point: Point
    group: Hashable | None


def grouped(
    points: Iterable[LoosePoint], boxes: Mapping[Hashable, tuple[str, Box | None]], left_out: Counter[str]
) -> list[LabeledObject]:
    """Join the loose keypoints of one photo into objects.

    Keypoints without a group belong to the only box, or to one object where the photo has no box. With several boxes
    they are left out, as nobody can tell whose they are.

    Args:
        points: Keypoints of the photo.
        boxes: Category and box by the key of their group.
        left_out: Counts, which grow.
    """
    groups: dict[Hashable, list[LoosePoint]] = {key: [] for key in boxes}
    only = next(iter(boxes)) if len(boxes) == 1 else None
    for point in points:
        if point.group is None and len(boxes) > 1:
            left_out["keypoints that belong to none of several boxes"] += 1
        else:
            groups.setdefault(only if point.group is None else point.group, []).append(point)
    objects = []
    for key, members in groups.items():
        category, box = boxes.get(key, (UNNAMED, None))
        keypoints = {member.name: member.point for member in members}
        if len(keypoints) < len(members):
            left_out["objects with two keypoints of one name"] += 1
        else:
            objects.append(LabeledObject(category, keypoints, box))
    return objects


def with_one_name(photos: Iterable[LabeledPhoto]) -> tuple[LabeledPhoto, ...]:
    """Give objects without a name that of the others, if there is only one other name."""
    photos = tuple(photos)
    names = {each.category for photo in photos for each in photo.objects} - {UNNAMED}
    if len(names) != 1:
        return photos
    (name,) = names
    return tuple(
        replace(photo, objects=tuple(replace(each, category=name) for each in photo.objects)) for photo in photos
    )


def seen_categories(photos: Sequence[LabeledPhoto]) -> tuple[Category, ...]:
    """Collect categories and their keypoints from the objects, for tools that list neither; in order of appearance."""
    names: dict[str, dict[str, None]] = {}
    for photo in photos:
        for each in photo.objects:
            names.setdefault(each.category, {}).update(dict.fromkeys(each.keypoints))
    return tuple(Category(category, tuple(keypoints)) for category, keypoints in names.items() if keypoints)
