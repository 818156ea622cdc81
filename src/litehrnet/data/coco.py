"""COCO-style annotation files, normalized (docs/spec/protocol.md, section 1.1)."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from litehrnet.data.annotations import Normalized, id_key, normalized
from litehrnet.data.records import read_json
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.io.notes import say_once
from litehrnet.keypoints.sides import part_key
from litehrnet.poses import KeypointSet


@dataclass(frozen=True)
class CocoAnnotations:
    """A parsed annotation file, normalized (see ``annotations.normalized``).

    Attributes:
        path: Annotation file.
        images: Entries of ``images`` by integer id, in file order.
        by_image: Entries of ``annotations`` by image id, in file order.
        keypoint_names: Keypoints of the first category that has any; None where none has.
        categories: Names of the categories by id, in file order.
        category: Id of the category with the keypoints, or of the only category; None where neither is there.
        original_ids: Ids of the images as the file has them, by their integers.
    """

    path: Path
    images: dict[int, dict[str, Any]]
    by_image: dict[int, list[dict[str, Any]]]
    keypoint_names: tuple[str, ...] | None
    categories: dict[Any, str]
    category: Any
    original_ids: dict[int, Any]

    def people(self, image_id: int) -> list[dict[str, Any]]:
        """Return the annotations of a photo in the category with the keypoints."""
        return [entry for entry in self.by_image[image_id] if self.is_person(entry)]

    def is_person(self, entry: dict[str, Any]) -> bool:
        """Whether an annotation is in the category with the keypoints; a file's only category is meant."""
        return len(self.categories) <= 1 or entry.get("category_id", self.category) == self.category

    @functools.cached_property
    def numbers(self) -> dict[str, int]:
        """Integer ids of the images, by ``id_key`` of the ids in this file and in files of results."""
        return {
            str(id_key(original)): number for number, original in self.original_ids.items() if number in self.images
        }


def read_annotations(
    path: Path,
    only: str | None = None,
    without: str | None = None,
    load: Callable[[Path], Any] = read_json,
    category: str | None = None,
) -> CocoAnnotations:
    """Read an annotation file in COCO's format.

    Args:
        path: Annotation file.
        only: File with the numbers of the photos to keep (``read_photo_list``); None for all photos.
        without: File with the numbers of the photos to leave out.
        load: Function that parses the file into COCO's object; other formats have their own.
        category: Name of the category with the keypoints; None for the first that has any.

    Raises:
        UserError: The file is missing, is not JSON, or an entry has no safe meaning; a list is missing, broken or names
            other photos; no category with keypoints has the name.
    """
    content = load(path)
    annotations = collected(path, content, normalized(path, content), category)
    for listed, keep in ((only, True), (without, False)):
        if listed is not None:
            annotations = _chosen(annotations, Path(listed), keep)
    return annotations


def read_photo_list(path: Path) -> frozenset[int]:
    """Read numbers of photos from a text file: one number a line, comments after ``#``.

    Raises:
        UserError: The file is missing, has no numbers, or a line is not a number.
    """
    lines = [line.partition(b"#")[0].strip() for line in read_bytes(path).splitlines()]
    for number, line in enumerate(lines, start=1):
        if line and not line.isdigit():
            raise UserError(f"{path}, line {number}: not a number of a photo (expected digits, or # and a comment)")
    if not any(lines):
        raise UserError(f"{path}: has no numbers of photos (expected one in a line)")
    return frozenset(int(line) for line in lines if line)


def photo_number(image: dict[str, Any]) -> int:
    """Number of the photo of an entry of ``images``: a crop's ``coco_image_id``, otherwise the ``id``."""
    number: int = image.get("coco_image_id", image["id"])
    return number


def _chosen(annotations: CocoAnnotations, listed: Path, keep: bool) -> CocoAnnotations:
    numbers = read_photo_list(listed)
    known = {photo_number(image) for image in annotations.images.values()}
    if not numbers & known:
        raise UserError(f"{listed}: none of its photos is in {annotations.path} (expected its id or coco_image_id)")
    images = {key: image for key, image in annotations.images.items() if (photo_number(image) in numbers) == keep}
    return replace(annotations, images=images, by_image={key: annotations.by_image[key] for key in images})


def in_order_of(annotations: CocoAnnotations, keypoint_set: KeypointSet) -> CocoAnnotations:
    """Bring the keypoints of all people into the order of a keypoint set, by their names; others are left out.

    Names that have nothing in common with the set's say nothing about the order, so nothing changes then.

    Raises:
        UserError: Some of the names are the set's, in another order, and others are not.
    """
    names = annotations.keypoint_names or ()
    keys, wanted = list(map(part_key, names)), list(map(part_key, keypoint_set.keypoint_names))
    if keys == wanted or len(keys) != len(wanted):
        return annotations
    if sorted(keys) != sorted(wanted) or len(set(keys)) != len(keys):
        if any(key in wanted and keys.index(key) != wanted.index(key) for key in keys):
            said, expected = ", ".join(names), ", ".join(keypoint_set.keypoint_names)
            raise UserError(f"{annotations.path}: keypoints are {said} (expected {expected}, in any order)")
        return annotations
    places = [3 * keys.index(key) + part for key in wanted for part in range(3)]
    by_image = {i: [_reordered(entry, places) for entry in annotations.people(i)] for i in annotations.by_image}
    return replace(annotations, by_image=by_image, keypoint_names=keypoint_set.keypoint_names)


def _reordered(entry: dict[str, Any], places: list[int]) -> dict[str, Any]:
    flat = entry.get("keypoints")
    return {**entry, "keypoints": [flat[place] for place in places]} if flat and len(flat) == len(places) else entry


def collected(path: Path, content: Any, own: Normalized, wanted: str | None = None) -> CocoAnnotations:
    """Group normalized annotations by photo.

    Args:
        path: Annotation file.
        content: Its parsed content, for its categories.
        own: Its normalized images and annotations.
        wanted: Name of the category with the keypoints; None for the first that has any.

    Raises:
        UserError: No category with keypoints has the name.
    """
    if own.note is not None:
        say_once(f"note: {own.note}")
    images = {image["id"]: image for image in own.images}
    by_image: dict[int, list[dict[str, Any]]] = {number: [] for number in images}
    for annotation in own.annotations:
        by_image[annotation["image_id"]].append(annotation)
    categories = _category_names(content.get("categories"))
    names, category = _keypoint_names(path, content.get("categories"), wanted)
    if category is None and len(categories) == 1:
        category = next(iter(categories))
    return CocoAnnotations(path, images, by_image, names, categories, category, own.original_ids)


def _category_names(categories: Any) -> dict[Any, str]:
    return {each["id"]: str(each["name"]) for each in dicts(categories) if id_key(each.get("id")) and "name" in each}


def _keypoint_names(path: Path, categories: Any, wanted: str | None) -> tuple[tuple[str, ...] | None, Any]:
    """Return keypoint names and id of the wanted category, by default of the first with keypoints, or two None."""
    having = [each for each in dicts(categories) if isinstance(each.get("keypoints"), list) and each["keypoints"]]
    own = [each for each in having if wanted in (None, each.get("name"))]
    if wanted is not None and not own:
        known = ", ".join(str(each.get("name")) for each in having) or "a category with keypoint names"
        raise UserError(f"{path}: no category {wanted} has keypoint names (expected one of: {known})")
    return (tuple(map(str, own[0]["keypoints"])), own[0].get("id")) if own else (None, None)


def dicts(values: Any) -> list[dict[str, Any]]:
    """Return the objects of a list, and nothing of anything else."""
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def check_keypoint_count(keypoint_set: KeypointSet, annotated: int, annotations: Path, weights: Path) -> None:
    """Refuse annotations with another number of keypoints than the weights have.

    Raises:
        UserError: The numbers differ.
    """
    if len(keypoint_set) != annotated:
        expected = f"expected {len(keypoint_set)}, the number in {weights}"
        raise UserError(f"{annotations}: people have {annotated} keypoints ({expected})")


def annotated_keypoints(annotations: CocoAnnotations) -> int:
    """Number of keypoints that every annotated person has.

    Raises:
        UserError: Nobody has keypoints, or the numbers differ.
    """
    people = [each for image_id in annotations.images for each in annotations.people(image_id)]
    counts = {len(each["keypoints"]) // 3 for each in people if each.get("keypoints")}
    if not counts:
        raise UserError(f"{annotations.path}: nobody has keypoints (expected annotations with keypoints)")
    if len(counts) != 1:
        raise UserError(f"{annotations.path}: people have {sorted(counts)} keypoints (expected one number for all)")
    return counts.pop()
