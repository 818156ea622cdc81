"""Photos with the boxes of their objects, to train and evaluate a detection network."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.coco import CocoAnnotations, read_annotations
from litehrnet.data.photos import check_photos
from litehrnet.data.records import read_json
from litehrnet.data.settings import DataConfig, DetectionConfig
from litehrnet.errors import UserError
from litehrnet.io.files import make_folder, write_bytes
from litehrnet.keypoints.boxes import pairwise_iou

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class DetectionRecord:
    """One photo with its objects.

    Attributes:
        image_file: Path of the photo.
        number: Position of the photo in its annotation file, from 0, since ids may have any type.
        corners: float32 (objects, 4): (x1, y1, x2, y2) in pixels of the photo, inside it.
        ignored: float32 (regions, 4): corners of crowds and unsure boxes, where nothing is learned.
        complete: Whether every object of the photo has a box. Otherwise a place without a box may show an object.
        image_wh: Width and height of the photo in the annotations; None where they have none.
    """

    image_file: Path
    number: int
    corners: Floats
    ignored: Floats
    complete: bool
    image_wh: tuple[float, float] | None = None


@dataclass(frozen=True)
class DetectionSet:
    """Everything that detection samples are made from.

    Attributes:
        records: Photos.
        input_size_wh: (width, height) of the network's input in pixels.
        settings: Variation of the samples.
        seed: Seed of all random numbers.
    """

    records: tuple[DetectionRecord, ...]
    input_size_wh: tuple[int, int]
    settings: DetectionConfig
    seed: int

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.records)


FindBoxes = Callable[[Path], tuple[Floats, Floats]]
"""Finds the objects in a photo file: corners (objects, 4) in its pixels, and scores (objects,)."""


def read_detection_set(
    data: Sequence[DataConfig],
    settings: DetectionConfig,
    input_size_wh: tuple[int, int],
    seed: int,
    *,
    skip_broken: bool = False,
) -> DetectionSet:
    """Read the photos of all annotation files, one file after another.

    Args:
        data: Annotation files in COCO's format and folders of photos.
        settings: Object class, and how samples vary.
        input_size_wh: (width, height) of the network's input in pixels.
        seed: Seed of all random numbers.
        skip_broken: Do not look at the photos, as broken ones are left out later.

    Raises:
        UserError: A file is missing or broken, has no box of the object class, or photos are missing or broken.
    """
    records: list[DetectionRecord] = []
    for config in data:
        annotations = read_annotations(Path(config.annotations), config.only, config.without)
        own = detection_records(annotations, Path(config.images), settings.objects)
        if config.boxes_complete is not None:
            own = [replace(record, complete=config.boxes_complete) for record in own]
        records += own
    files = ", ".join(config.annotations for config in data)
    # A photo with incomplete boxes teaches nothing where it has no box.
    kept = tuple(record for record in records if record.complete or len(record.corners))
    if not any(len(record.corners) for record in kept):
        raise UserError(f"{files}: no box of a {settings.objects} to train on (expected annotations with bbox)")
    if not skip_broken:
        check_photos(((record.image_file, record.image_wh) for record in kept), files)
    return DetectionSet(kept, input_size_wh, settings, seed)


def detection_records(annotations: CocoAnnotations, images: Path, objects: str) -> list[DetectionRecord]:
    """Make records of the photos of an annotation file, with the boxes of one category.

    Crowds (``iscrowd``) become ignored regions. ``boxes_complete`` of a photo tells whether every object has a box;
    without it the photo counts as complete.

    Args:
        annotations: Annotations from ``read_annotations``.
        images: Folder of the photos.
        objects: Name of the category; a file's only category is used whatever its name.

    Raises:
        UserError: The file has no such category.
    """
    category = category_of(annotations, objects)
    records = []
    for number, (image_id, image) in enumerate(annotations.images.items()):
        corners: list[list[float]] = []
        ignored: list[list[float]] = []
        for annotation in annotations.by_image[image_id]:
            if category is not None and annotation.get("category_id") != category:
                continue
            box = _corners(annotation, image)
            if box is not None:
                (ignored if annotation.get("iscrowd", 0) else corners).append(box)
        file, complete = images / image["file_name"], bool(image.get("boxes_complete", True))
        size = image["width"], image["height"]
        records.append(DetectionRecord(file, number, as_corners(corners), as_corners(ignored), complete, size))
    return records


def category_of(annotations: CocoAnnotations, objects: str) -> Any:
    """Find the id of the category ``objects``, or of a file's only category; None without categories.

    Raises:
        UserError: The file has several categories, and none has this name.
    """
    names = annotations.categories
    matching = [number for number, name in names.items() if name == objects]
    if matching:
        return matching[0]
    if len(names) > 1:
        raise UserError(f"{annotations.path}: has no category {objects} (expected one of {', '.join(names.values())})")
    return next(iter(names), None)


def as_corners(boxes: Sequence[Sequence[float]]) -> Floats:
    """Convert corners to float32 (boxes, 4), even without any box."""
    return np.array(boxes, np.float32).reshape(-1, 4)


def _corners(annotation: dict[str, Any], image: dict[str, Any]) -> list[float] | None:
    """Corners of an annotation's box, cut to the photo; None where no area is left."""
    box = annotation.get("bbox")
    if box is None:
        return None
    x, y, width, height = box
    x1, x2 = max(0.0, x), min(float(image["width"]), x + width)
    y1, y2 = max(0.0, y), min(float(image["height"]), y + height)
    return [x1, y1, x2, y2] if x2 - x1 >= 1 and y2 - y1 >= 1 else None


def completed(
    detection_set: DetectionSet, find_boxes: FindBoxes, detector_name: str, cache: Path | None
) -> DetectionSet:
    """Add a detector's boxes to the photos with incomplete boxes.

    A box that overlaps a labeled box is the same object. Other boxes with a score of at least ``fill_above`` become
    objects, and those with at least ``ignore_above`` become ignored regions. The photos then count as complete.

    Args:
        detection_set: Photos from ``read_detection_set``.
        find_boxes: Function that runs a trained detector.
        detector_name: Name of the detector and its version in the cache.
        cache: Folder in which the detector's boxes are kept for the next run; None for no cache.

    Raises:
        UserError: A photo is broken.
    """
    # A photo of several sets, or of one that is listed twice, is looked at once.
    files = list(dict.fromkeys(record.image_file for record in detection_set.records if not record.complete))
    if not files:
        return detection_set
    found = dict(zip(files, _found_boxes(files, find_boxes, detector_name, cache), strict=True))
    limits = detection_set.settings.fill_above, detection_set.settings.ignore_above
    filled = (r if r.complete else _filled(r, found[r.image_file], *limits) for r in detection_set.records)
    return replace(detection_set, records=tuple(filled))


def _found_boxes(files: Sequence[Path], find_boxes: FindBoxes, detector_name: str, cache: Path | None) -> list[Floats]:
    """Corners and scores float32 (boxes, 5) of each photo, from the cache if it has them."""
    key = hashlib.sha256(detector_name.encode())
    for image_file in files:
        key.update(f"{image_file.resolve()} {image_file.stat().st_size}".encode())
    file = None if cache is None else cache / f"boxes-{key.hexdigest()[:16]}.json"
    if file is not None and file.is_file():
        return [np.array(boxes, np.float32).reshape(-1, 5) for boxes in read_json(file)]
    found = []
    for image_file in files:
        corners, scores = find_boxes(image_file)
        found.append(np.concatenate([corners, scores[:, None]], axis=1).astype(np.float32))
    if file is not None:
        make_folder(file.parent)
        write_bytes(file, json.dumps([boxes.round(3).tolist() for boxes in found]).encode())
    return found


def _filled(record: DetectionRecord, found: Floats, fill_above: float, ignore_above: float) -> DetectionRecord:
    corners, scores = found[:, :4], found[:, 4]
    unlabeled = pairwise_iou(_as_boxes(corners), _as_boxes(record.corners)).max(axis=1, initial=0) < 0.5
    sure, unsure = unlabeled & (scores >= fill_above), unlabeled & (scores < fill_above) & (scores >= ignore_above)
    return replace(
        record,
        corners=np.concatenate([record.corners, corners[sure]]),
        ignored=np.concatenate([record.ignored, corners[unsure]]),
        complete=True,
    )


def _as_boxes(corners: Floats) -> Floats:
    """Return corners as (x, y, width, height)."""
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
