"""COCO keypoint annotations and detections as records (docs/spec/protocol.md, section 1.1)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.records import Record, read_json
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.keypoints.boxes import centers_and_scales, clean_box

PERSON_CATEGORY = 1


@dataclass(frozen=True)
class CocoAnnotations:
    """A parsed annotation file, its structure checked.

    Attributes:
        path: The file.
        images: Entries of ``images`` by id, in file order.
        by_image: Entries of ``annotations`` by image id, in file order.
        keypoint_names: Of the first category that has keypoints; None where none has.
        categories: Names of the categories by id, in file order.
    """

    path: Path
    images: dict[int, dict[str, Any]]
    by_image: dict[int, list[dict[str, Any]]]
    keypoint_names: tuple[str, ...] | None
    categories: dict[int, str]


def read_annotations(path: Path, only: str | None = None, without: str | None = None) -> CocoAnnotations:
    """Read an annotation file in COCO's form.

    Args:
        path: The file.
        only: File of numbers of photos (``read_photo_list``): all others are left out.
        without: File of numbers of photos that are left out.

    Raises:
        UserError: The file is missing, no JSON, or an entry lacks what every entry has; a list is missing, broken or of
            other photos.
    """
    annotations = _read_all(path)
    for listed, keep in ((only, True), (without, False)):
        if listed is not None:
            annotations = _chosen(annotations, Path(listed), keep)
    return annotations


def read_photo_list(path: Path) -> frozenset[int]:
    """Numbers of photos: a text file with one in a line; what follows ``#`` is a comment.

    Raises:
        UserError: The file is missing, has no number, or something else in a line.
    """
    lines = [line.partition(b"#")[0].strip() for line in read_bytes(path).splitlines()]
    for number, line in enumerate(lines, start=1):
        if line and not line.isdigit():
            raise UserError(f"{path}, line {number}: no number of a photo (expected digits, or # and a comment)")
    if not any(lines):
        raise UserError(f"{path}: has no numbers of photos (expected one in a line)")
    return frozenset(int(line) for line in lines if line)


def refuse_photo_lists(annotations: str, only: str | None, without: str | None) -> None:
    """Refuse lists of photos for annotations in MPII's format, which gives photos no numbers.

    Raises:
        UserError: There is a list.
    """
    if only is not None or without is not None:
        raise UserError(f"{annotations}: only COCO annotations number their photos (expected no only and no without)")


def photo_number(image: dict[str, Any]) -> int:
    """Number of the photo that an entry of ``images`` is of: a crop's ``coco_image_id``, otherwise the ``id``."""
    number: int = image.get("coco_image_id", image["id"])
    return number


def _chosen(annotations: CocoAnnotations, listed: Path, keep: bool) -> CocoAnnotations:
    numbers = read_photo_list(listed)
    known = {photo_number(image) for image in annotations.images.values()}
    if not numbers & known:
        raise UserError(f"{listed}: none of its photos is in {annotations.path} (expected coco_image_id or id of some)")
    images = {key: image for key, image in annotations.images.items() if (photo_number(image) in numbers) == keep}
    return replace(annotations, images=images, by_image={key: annotations.by_image[key] for key in images})


def _read_all(path: Path) -> CocoAnnotations:
    content = read_json(path)
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in ("images", "annotations")):
        raise UserError(f"{path}: not COCO annotations (expected an object with lists 'images' and 'annotations')")
    images = {}
    for index, image in enumerate(content["images"]):
        if not isinstance(image, dict) or not all(key in image for key in ("id", "file_name", "width", "height")):
            raise UserError(f"{path}: image {index} is incomplete (expected id, file_name, width and height)")
        images[image["id"]] = image
    by_image: dict[int, list[dict[str, Any]]] = {number: [] for number in images}
    for index, annotation in enumerate(content["annotations"]):
        if not isinstance(annotation, dict) or annotation.get("image_id") not in by_image:
            raise UserError(f"{path}: annotation {index} belongs to no image of the file")
        by_image[annotation["image_id"]].append(annotation)
    categories = content.get("categories")
    return CocoAnnotations(path, images, by_image, _keypoint_names(categories), _category_names(categories))


def _category_names(categories: Any) -> dict[int, str]:
    entries = categories if isinstance(categories, list) else []
    return {
        each["id"]: str(each["name"]) for each in entries if isinstance(each, dict) and {"id", "name"} <= each.keys()
    }


def _keypoint_names(categories: Any) -> tuple[str, ...] | None:
    for category in categories if isinstance(categories, list) else []:
        if isinstance(category, dict) and isinstance(category.get("keypoints"), list):
            return tuple(map(str, category["keypoints"]))
    return None


def ground_truth_records(
    annotations: CocoAnnotations, images: Path, num_keypoints: int, input_size_wh: tuple[int, int]
) -> list[Record]:
    """Records of all annotated persons, boxes cleaned as published.

    Args:
        annotations: What ``read_annotations`` gave.
        images: Folder of the photos.
        num_keypoints: Keypoints that every person must have.
        input_size_wh: (width, height) of the crop: the boxes are grown to its shape.

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
        )
        for image in annotations.images.values()
        for box_id, (box, keypoints) in enumerate(_persons(annotations, image, num_keypoints))
        for center, scale in [centers_and_scales(np.array([box]), input_size_wh)]
    ]


def _persons(
    annotations: CocoAnnotations, image: dict[str, Any], num_keypoints: int
) -> Iterator[tuple[tuple[float, float, float, float], NDArray[np.float64]]]:
    """Clean boxes and keypoints (keypoints, 3) of the persons in a photo that the published code keeps."""
    for annotation in annotations.by_image[image["id"]]:
        flat = annotation.get("keypoints")
        if annotation.get("iscrowd", 0) or annotation.get("bbox") is None or annotation.get("area", 1) <= 0:
            continue
        box = clean_box(tuple(annotation["bbox"]), (image["width"], image["height"]))
        if box is None or not flat or max(flat) == 0 or annotation.get("num_keypoints") == 0:
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
    """Records of a detector's person boxes, taken as they are.

    Args:
        annotations: Of the same photos.
        detections: File in COCO's results format: image_id, category_id, bbox, score.
        images: Folder of the photos.
        num_keypoints: Number of (unknown) joints in each record.
        input_size_wh: (width, height) of the crop.
        min_score: Boxes with a lower score are left out.

    Raises:
        UserError: The file has no boxes, a box of an unknown image, or one that is not finite or has no area.
    """
    entries = read_json(detections)
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{detections}: has no boxes (expected a list of image_id, category_id, bbox and score)")
    kept = [entry for i, entry in enumerate(entries) if _is_person(entry, i, detections, annotations, min_score)]
    return box_records(kept, annotations, images, num_keypoints, input_size_wh)


def box_records(
    entries: Sequence[dict[str, Any]],
    annotations: CocoAnnotations,
    images: Path,
    num_keypoints: int,
    input_size_wh: tuple[int, int],
) -> list[Record]:
    """Records of a detector's entries of persons: image_id, bbox, score; see ``detection_records``."""
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
        raise UserError(f"{path}: entry {index} is no box (expected image_id, category_id, bbox and score)") from error
    if image_id not in annotations.images:
        raise UserError(f"{path}: entry {index} is of image {image_id}, which {annotations.path} does not have")
    if not (math.isfinite(x) and math.isfinite(y) and 0 < width < math.inf and 0 < height < math.inf):
        raise UserError(f"{path}: entry {index} has the box {entry['bbox']} (expected finite numbers and an area)")
    return True
