"""People of COCO-style annotations and boxes of detectors as records (docs/spec/protocol.md, section 1.1)."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.annotations import id_key
from litehrnet.data.coco import (
    CocoAnnotations,
    annotated_keypoints,
    check_keypoint_count,
    in_order_of,
    read_annotations,
)
from litehrnet.data.records import PeopleToEvaluate, Record, mapped, read_json
from litehrnet.data.settings import DataConfig, EvalConfig
from litehrnet.errors import UserError
from litehrnet.keypoints.boxes import centers_and_scales, clean_box
from litehrnet.keypoints.skeletons import find_keypoint_set
from litehrnet.poses import KeypointSet

PERSON_CATEGORY = 1

_BOX_FIELDS = "image_id, category_id, bbox and score"


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
        UserError: The file has no boxes of people, or a box is on an unknown image, not finite or without area.
    """
    entries = read_json(detections)
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{detections}: has no boxes (expected a list of {_BOX_FIELDS})")
    kept = [entry for i, entry in enumerate(entries) if _is_person(entry, i, detections, annotations, min_score)]
    if all(entry["category_id"] != PERSON_CATEGORY for entry in entries):
        raise UserError(f"{detections}: none of {len(entries)} boxes has category {PERSON_CATEGORY} (expected people)")
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
            image_file=images / photo["file_name"],
            image_id=entry["image_id"],
            box_id=box_id,
            center=centers[box_id],
            scale=scales[box_id],
            box_score=float(entry["score"]),
            joints_xy=np.zeros((num_keypoints, 2), np.float32),
            visible=np.ones(num_keypoints, np.float32),
            image_wh=(photo["width"], photo["height"]),
        )
        for box_id, entry in enumerate(entries)
        for photo in [annotations.images[entry["image_id"]]]
    ]


def _is_person(entry: Any, index: int, path: Path, annotations: CocoAnnotations, min_score: float) -> bool:
    try:
        if entry["category_id"] != PERSON_CATEGORY or not entry["score"] >= min_score:
            return False
        x, y, width, height = (float(value) for value in entry["bbox"])
        image_id = entry["image_id"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: entry {index} is not a box (expected {_BOX_FIELDS})") from error
    if id_key(image_id) not in annotations.numbers:
        raise UserError(f"{path}: entry {index} is on image {image_id}, which {annotations.path} does not have")
    if not (math.isfinite(x) and math.isfinite(y) and 0 < width < math.inf and 0 < height < math.inf):
        raise UserError(f"{path}: entry {index} has the box {entry['bbox']} (expected finite numbers and an area)")
    return True
