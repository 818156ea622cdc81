"""COCO keypoint annotations and detections as records (docs/spec/protocol.md, section 1.1)."""

import functools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.annotations import id_key, normalized
from litehrnet.data.records import PeopleToEvaluate, Record, mapped, read_json
from litehrnet.data.settings import DataConfig, EvalConfig
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.keypoints.boxes import centers_and_scales, clean_box
from litehrnet.keypoints.sides import part_key
from litehrnet.keypoints.skeletons import find_keypoint_set
from litehrnet.poses import KeypointSet

PERSON_CATEGORY = 1


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
        """Return the annotations of a photo in the category with the keypoints; a file's only category is meant."""
        entries = self.by_image[image_id]
        if len(self.categories) <= 1:
            return entries
        return [entry for entry in entries if entry.get("category_id", self.category) == self.category]

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
    annotations = _checked(path, load(path), category)
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
        moved = [
            n for n, key in zip(names, keys, strict=True) if key in wanted and keys.index(key) != wanted.index(key)
        ]
        if moved:
            expected = ", ".join(keypoint_set.keypoint_names)
            raise UserError(f"{annotations.path}: keypoints are {', '.join(names)} (expected {expected}, in any order)")
        return annotations
    places = [3 * keys.index(key) + part for key in wanted for part in range(3)]
    by_image = {
        number: [_reordered(entry, places) for entry in annotations.people(number)] for number in annotations.by_image
    }
    return replace(annotations, by_image=by_image, keypoint_names=keypoint_set.keypoint_names)


def _reordered(entry: dict[str, Any], places: list[int]) -> dict[str, Any]:
    flat = entry.get("keypoints")
    return {**entry, "keypoints": [flat[place] for place in places]} if flat and len(flat) == len(places) else entry


def _checked(path: Path, content: Any, wanted: str | None) -> CocoAnnotations:
    own = normalized(path, content)
    say_once(own.note)
    images = {image["id"]: image for image in own.images}
    by_image: dict[int, list[dict[str, Any]]] = {number: [] for number in images}
    for annotation in own.annotations:
        by_image[annotation["image_id"]].append(annotation)
    categories = _category_names(content.get("categories"))
    names, category = _keypoint_names(path, content.get("categories"), wanted)
    if category is None and len(categories) == 1:
        category = next(iter(categories))
    return CocoAnnotations(path, images, by_image, names, categories, category, own.original_ids)


@functools.cache
def say_once(note: str | None) -> None:
    """Log a note about a file that is read several times, such as for validation and test."""
    if note is not None:
        logging.getLogger(__name__).warning("note: %s", note)


def _category_names(categories: Any) -> dict[Any, str]:
    return {each["id"]: str(each["name"]) for each in _dicts(categories) if id_key(each.get("id")) and "name" in each}


def _keypoint_names(path: Path, categories: Any, wanted: str | None) -> tuple[tuple[str, ...] | None, Any]:
    """Keypoint names and id of the wanted category, or of the first that has some; None where there is none."""
    having = [each for each in _dicts(categories) if isinstance(each.get("keypoints"), list) and each["keypoints"]]
    own = [each for each in having if wanted in (None, each.get("name"))]
    if wanted is not None and not own:
        known = ", ".join(str(each.get("name")) for each in having) or "a category with keypoint names"
        raise UserError(f"{path}: no category {wanted} has keypoint names (expected one of: {known})")
    return (tuple(map(str, own[0]["keypoints"])), own[0].get("id")) if own else (None, None)


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def read_coco_people(
    config: DataConfig,
    keypoint_set: KeypointSet,
    input_size_wh: tuple[int, int],
    load: Callable[[Path], Any] = read_json,
) -> list[Record]:
    """Read the people of a file to train on.

    Args:
        config: Annotation file and folder of photos.
        keypoint_set: Keypoints of the result, matched by name.
        input_size_wh: (width, height) of the crops in pixels.
        load: See ``read_annotations``.

    Raises:
        UserError: A file is missing or broken, or has none of the keypoints.
    """
    annotations = read_annotations(Path(config.annotations), config.only, config.without, load, config.category)
    if config.keypoints:
        names = find_keypoint_set(config.keypoints).keypoint_names
    else:
        names = annotations.keypoint_names or keypoint_set.keypoint_names
    records = ground_truth_records(annotations, Path(config.images), len(names), input_size_wh)
    return mapped(records, names, keypoint_set, config.annotations)


def read_coco_test(
    test: EvalConfig,
    keypoint_set: KeypointSet,
    input_size_wh: tuple[int, int],
    weights: Path,
    load: Callable[[Path], Any] = read_json,
) -> PeopleToEvaluate:
    """Read the people of a file to evaluate on: the annotated boxes, or the boxes of a detection file.

    Args:
        test: Annotation file, folder of photos and boxes.
        keypoint_set: Keypoints of the network.
        input_size_wh: (width, height) of the crops in pixels.
        weights: Weights file, for the error message.
        load: See ``read_annotations``.

    Raises:
        UserError: A file is missing or broken, or its people have another number of keypoints.
    """
    path, images, count = Path(test.annotations), Path(test.images), len(keypoint_set)
    annotations = read_test_annotations(test, keypoint_set, weights, load)
    if test.boxes is None:
        records, source = ground_truth_records(annotations, images, count, input_size_wh), f"ground truth ({path})"
    else:
        boxes = Path(test.boxes)
        records = detection_records(annotations, boxes, images, count, input_size_wh, test.min_box_score)
        source = f"detections ({boxes})"
    return PeopleToEvaluate(records, source, frozenset(annotations.images))


def read_test_annotations(
    test: EvalConfig, keypoint_set: KeypointSet, weights: Path, load: Callable[[Path], Any] = read_json
) -> CocoAnnotations:
    """Read the annotations of an evaluation, with keypoints in the network's order; arguments as ``read_coco_test``.

    Raises:
        UserError: See ``read_annotations``; or people have another number of keypoints, or others.
    """
    path = Path(test.annotations)
    annotations = read_annotations(path, test.only, test.without, load, test.category)
    check_keypoint_count(keypoint_set, annotated_keypoints(annotations), path, weights)
    return in_order_of(annotations, keypoint_set)


def check_keypoint_count(keypoint_set: KeypointSet, annotated: int, annotations: Path, weights: Path) -> None:
    """Refuse annotations with another number of keypoints than the weights have.

    Raises:
        UserError: The numbers differ.
    """
    if len(keypoint_set) != annotated:
        raise UserError(
            f"{annotations}: people have {annotated} keypoints (expected {len(keypoint_set)}, the number in {weights})"
        )


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


def ground_truth_records(
    annotations: CocoAnnotations, images: Path, num_keypoints: int, input_size_wh: tuple[int, int]
) -> list[Record]:
    """Make records of all annotated people, with boxes cleaned as in the reference implementation.

    Args:
        annotations: Annotations from ``read_annotations``.
        images: Folder of the photos.
        num_keypoints: Number of keypoints that every person must have.
        input_size_wh: (width, height) of the crop in pixels; boxes grow to its aspect ratio.

    Raises:
        UserError: A person has another number of keypoints.
    """
    return [
        Record(
            image_file=images / image["file_name"],
            image_id=image["id"],
            box_id=box_id,
            center=center[0],
            scale=scale[0],
            box_score=1.0,
            joints_xy=keypoints[:, :2].astype(np.float32),
            visible=np.minimum(1, keypoints[:, 2]).astype(np.float32),
            box_wh=np.array(box[2:], np.float64),
            image_wh=(image["width"], image["height"]),
        )
        for image in annotations.images.values()
        for box_id, (box, keypoints) in enumerate(_persons(annotations, image, num_keypoints))
        for center, scale in [centers_and_scales(np.array([box]), input_size_wh)]
    ]


def _persons(
    annotations: CocoAnnotations, image: dict[str, Any], num_keypoints: int
) -> Iterator[tuple[tuple[float, float, float, float], NDArray[np.float64]]]:
    """Clean boxes and keypoints (keypoints, 3) of the people that the reference implementation keeps."""
    for annotation in annotations.people(image["id"]):
        flat = annotation.get("keypoints")
        if not flat or annotation["iscrowd"] or annotation["bbox"] is None or annotation["area"] <= 0:
            continue
        box = clean_box(tuple(annotation["bbox"]), (image["width"], image["height"]))
        if box is None or annotation.get("num_keypoints") == 0:
            continue
        if len(flat) != 3 * num_keypoints:
            raise UserError(
                f"{annotations.path}: annotation {annotation.get('id')} has {len(flat) / 3:g} keypoints "
                f"(expected {num_keypoints})"
            )
        yield box, np.array(flat, np.float64).reshape(-1, 3)


def detection_records(
    annotations: CocoAnnotations,
    detections: Path,
    images: Path,
    num_keypoints: int,
    input_size_wh: tuple[int, int],
    min_score: float = 0.0,
) -> list[Record]:
    """Make records of a detector's boxes of people, which stay as they are.

    Args:
        annotations: Annotations of the same photos.
        detections: File in COCO's results format: image_id, category_id, bbox, score.
        images: Folder of the photos.
        num_keypoints: Number of (unknown) keypoints in each record.
        input_size_wh: (width, height) of the crop in pixels.
        min_score: Boxes with a lower score are left out.

    Raises:
        UserError: The file has no boxes, or a box is on an unknown image, not finite or without area.
    """
    entries = read_json(detections)
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{detections}: has no boxes (expected a list of image_id, category_id, bbox and score)")
    kept = [entry for i, entry in enumerate(entries) if _is_person(entry, i, detections, annotations, min_score)]
    kept = [entry | {"image_id": annotations.numbers[str(id_key(entry["image_id"]))]} for entry in kept]
    return box_records(kept, annotations, images, num_keypoints, input_size_wh)


def box_records(
    entries: Sequence[dict[str, Any]],
    annotations: CocoAnnotations,
    images: Path,
    num_keypoints: int,
    input_size_wh: tuple[int, int],
) -> list[Record]:
    """Make records of entries with image_id, bbox and score; see ``detection_records``."""
    boxes = np.array([entry["bbox"] for entry in entries], np.float64).reshape(-1, 4)
    centers, scales = centers_and_scales(boxes, input_size_wh)
    return [
        Record(
            image_file=images / annotations.images[entry["image_id"]]["file_name"],
            image_id=entry["image_id"],
            box_id=box_id,
            center=centers[box_id],
            scale=scales[box_id],
            box_score=float(entry["score"]),
            joints_xy=np.zeros((num_keypoints, 2), np.float32),
            visible=np.ones(num_keypoints, np.float32),
            image_wh=(annotations.images[entry["image_id"]]["width"], annotations.images[entry["image_id"]]["height"]),
        )
        for box_id, entry in enumerate(entries)
    ]


def _is_person(entry: Any, index: int, path: Path, annotations: CocoAnnotations, min_score: float) -> bool:
    try:
        if entry["category_id"] != PERSON_CATEGORY or not entry["score"] >= min_score:
            return False
        x, y, width, height = (float(value) for value in entry["bbox"])
        image_id = entry["image_id"]
    except (KeyError, TypeError, ValueError) as error:
        wanted = "image_id, category_id, bbox and score"
        raise UserError(f"{path}: entry {index} is not a box (expected {wanted})") from error
    if id_key(image_id) not in annotations.numbers:
        raise UserError(f"{path}: entry {index} is on image {image_id}, which {annotations.path} does not have")
    if not (math.isfinite(x) and math.isfinite(y) and 0 < width < math.inf and 0 < height < math.inf):
        raise UserError(f"{path}: entry {index} has the box {entry['bbox']} (expected finite numbers and an area)")
    return True
