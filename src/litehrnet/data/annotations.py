"""One reading of COCO-style annotations: normalize and count what has one meaning, refuse the rest at once."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litehrnet.data.annotation_units import unit_fault
from litehrnet.errors import UserError
from litehrnet.keypoints.boxes import BODY_SHARE

_NAMED = 20  # faults that one error names


@dataclass(frozen=True)
class Normalized:
    """Annotations in COCO's own form.

    Attributes:
        images: Entries of ``images``; ``id`` is an integer, ``width`` and ``height`` are numbers.
        annotations: Entries of ``annotations`` with the integer ``image_id``. Those with keypoints have a flat list of
            numbers, ``num_keypoints``, ``bbox`` if they can, ``area`` and ``iscrowd``.
        indices: Place of each annotation in the file, from 0.
        original_ids: Ids of the images as the file has them, by their integers.
        note: One sentence that counts what was normalized; None for a file in COCO's own form.
        faults: Everything that has no safe meaning. Entries with a fault of their own are not among the others.
    """

    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    indices: list[int]
    original_ids: dict[int, Any]
    note: str | None
    faults: list[str]


def normalized(path: Path, content: Any) -> Normalized:
    """Bring the annotations of a file into COCO's own form.

    Args:
        path: Annotation file, for messages.
        content: Its parsed content, which does not change.

    Raises:
        UserError: Something has no safe meaning; one error names the first faults with their index and value.
    """
    own = examined(path, content)
    if own.faults:
        more = f"; and {len(own.faults) - _NAMED} more" if len(own.faults) > _NAMED else ""
        raise UserError(f"{path}: {'; '.join(own.faults[:_NAMED])}{more}")
    return own


def examined(path: Path, content: Any) -> Normalized:
    """Normalize the annotations of a file as far as they go, and list all faults; arguments as ``normalized``.

    Raises:
        UserError: The content is no object with images and annotations.
    """
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in ("images", "annotations")):
        raise UserError(f"{path}: not COCO annotations (expected an object with lists 'images' and 'annotations')")
    faults: list[str] = []
    counts: Counter[str] = Counter()
    read = [_image(image, index, faults) for index, image in enumerate(content["images"])]
    images = [image for image in read if image is not None]
    numbers = _numbers([image["id"] for image in images], counts)
    faults += duplicate_ids(images, "image")
    incomplete = {id_key(image.get("id")) for image in content["images"] if isinstance(image, dict)} - numbers.keys()
    # A tool that does not measure areas, or does not count keypoints, writes 0 for everybody.
    unknown = [name for name in ("area", "num_keypoints") if _is_zero_for_all(content["annotations"], name)]
    people = [each for each in content["annotations"] if isinstance(each, dict) and each.get("keypoints")]
    has_boxes = any(each.get("bbox") for each in people)
    annotations: dict[int, dict[str, Any]] = {}
    for index, annotation in enumerate(content["annotations"]):
        if isinstance(annotation, dict) and id_key(annotation.get("image_id")) in incomplete:
            continue  # the fault of its image says enough
        try:
            own = _on_image(annotation, numbers)
            own = {name: value for name, value in own.items() if name not in unknown}
            annotations[index] = _annotation(own, counts, has_boxes)
        except ValueError as error:
            faults.append(f"{place('annotation', index, annotation)}: {error}")
    originals = {numbers[str(id_key(image["id"]))]: image["id"] for image in images}
    images = [{**image, "id": numbers[str(id_key(image["id"]))]} for image in images]
    entries, indices = list(annotations.values()), list(annotations)
    if not faults and (fault := unit_fault(images, entries)):
        faults.append(fault)
    listed = ", ".join(f"{what} ({count})" for what, count in counts.items() if count)
    return Normalized(images, entries, indices, originals, f"{path}: {listed}" if listed else None, faults)


def place(kind: str, index: int, entry: Any) -> str:
    """Name an entry of a file, such as ``annotation 3 (id 481918)``; places count from 0."""
    number = entry.get("id") if isinstance(entry, dict) else None
    return f"{kind} {index}" if id_key(number) is None else f"{kind} {index} (id {number})"


def duplicate_ids(entries: Sequence[dict[str, Any]], kind: str) -> list[str]:
    """Name the ids that several entries have; entries without an id do not count."""
    counts = Counter(key for entry in entries if (key := id_key(entry.get("id"))) is not None)
    return [f"{count} {kind}s have the id {key} (expected different ids)" for key, count in counts.items() if count > 1]


def id_key(value: Any) -> str | None:
    """Return the text by which ids are compared: 7, 7.0 and "7" are the same; None if it cannot be an id."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return str(int(value)) if value == int(value) else str(value)


def _image(image: Any, index: int, faults: list[str]) -> dict[str, Any] | None:
    if (
        not isinstance(image, dict)
        or id_key(image.get("id")) is None
        or not isinstance(image.get("file_name"), str)
        or not {"width", "height"} <= image.keys()
    ):
        faults.append(f"{place('image', index, image)}: is incomplete (expected id, file_name, width and height)")
        return None
    size = [_number(image["width"]), _number(image["height"])]
    if not all(1 <= side < math.inf for side in size):
        said = f"{image['width']} and {image['height']}"
        faults.append(f"{place('image', index, image)}: width and height are {said} (expected pixels)")
    if {type(image["width"]), type(image["height"])} <= {int, float}:
        return image
    return {**image, "width": size[0], "height": size[1]}


def _numbers(ids: list[Any], counts: Counter[str]) -> dict[str, int]:
    """Integers of image ids by their keys: the ids themselves where they are whole numbers, else 1, 2, ..."""
    keys = [str(id_key(each)) for each in ids]
    whole = {key: int(key) for key in keys if key.isascii() and key.removeprefix("-").isdigit() and len(key) < 19}
    if len(whole) == len(set(keys)) == len(set(whole.values())):
        return whole
    counts["ids of images numbered inside"] = len(keys)
    return {key: number for number, key in enumerate(dict.fromkeys(keys), start=1)}


def _on_image(annotation: Any, numbers: dict[str, int]) -> dict[str, Any]:
    """Copy an entry with the integer id of its image.

    Raises:
        ValueError: It is no object, or on no image.
    """
    if not isinstance(annotation, dict):
        raise ValueError("is not an object")
    key = id_key(annotation.get("image_id"))
    if key is None or key not in numbers:
        raise ValueError(f"is on image {annotation.get('image_id')}, which the file does not have")
    return {**annotation, "image_id": numbers[key]}


def _is_zero_for_all(annotations: list[Any], name: str) -> bool:
    values = [each.get(name) for each in annotations if isinstance(each, dict) and each.get("keypoints")]
    return bool(values) and all(_number(value) == 0 for value in values)


def _annotation(own: dict[str, Any], counts: Counter[str], has_boxes: bool) -> dict[str, Any]:
    """Normalize one entry, which is a copy of the file's.

    Raises:
        ValueError: It has no safe meaning.
    """
    if own.get("keypoints") is None:
        if own.pop("keypoints", 0) is None:
            counts["keypoints of null taken as none"] += 1
        return _region(own)
    own["keypoints"] = flat = _flat(own["keypoints"], counts)
    labeled = sum(value > 0 for value in flat[2::3])
    said = own.get("num_keypoints")
    # As in the reference implementation, a 0 beside labeled keypoints leaves a person out.
    if flat and len(flat) % 3 == 0 and said != labeled and said != 0 and (labeled or said is not None):
        counts["num_keypoints counted"] += 1
        own["num_keypoints"] = labeled
    if own.get("iscrowd") is None:
        counts["iscrowd taken as 0"] += 1
    own["iscrowd"] = int(_number(own.get("iscrowd") or 0) != 0)
    if len(flat) % 3 and not own["iscrowd"]:
        raise ValueError(f"keypoints has {len(flat)} numbers (expected x, y and visibility in turn)")
    if not flat or own["iscrowd"]:
        return _region(own)
    _add_box_and_area(own, counts, has_boxes)
    return own


def _region(own: dict[str, Any]) -> dict[str, Any]:
    """Normalize a crowd or an entry without keypoints; its box and area may be missing."""
    own = {name: value for name, value in own.items() if value not in (None, []) or name not in ("area", "bbox")}
    if not own.get("keypoints") and own.get("num_keypoints"):
        own["num_keypoints"] = 0
    if "iscrowd" in own:
        own["iscrowd"] = int(_number(own["iscrowd"] or 0) != 0)
    if "bbox" in own:
        own["bbox"] = _box(own["bbox"])
    if "area" in own:
        own["area"] = _area(own["area"])
    return own


def _area(area: Any) -> float:
    number = area if type(area) in (int, float) else _number(area)
    if not math.isfinite(number):
        raise ValueError(f"area is {area} (expected square pixels)")
    return number


def _add_box_and_area(own: dict[str, Any], counts: Counter[str], has_boxes: bool) -> None:
    """Complete a person; one of a file with boxes that has none is left out, as in the reference implementation."""
    flat = own["keypoints"]
    labeled = [(x, y) for x, y, v in zip(flat[::3], flat[1::3], flat[2::3], strict=False) if v > 0]
    box = own.get("bbox")
    if box is None or box == []:
        if not labeled or (box is None and has_boxes):
            counts["people left out without a box"] += bool(labeled)
            own |= {"bbox": None, "area": 0}
            return
        counts["boxes made from keypoints"] += 1
        xs, ys = zip(*labeled, strict=True)
        own["bbox"] = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    else:
        own["bbox"] = _box(box)
    width, height = own["bbox"][2:]
    if labeled and not (width > 0 and height > 0):
        counts["people left out whose box has no area"] += 1
    area = own.get("area")
    if area is None or area != area:
        counts["areas estimated"] += 1
        own["area"] = _outline_area(own.get("segmentation")) or BODY_SHARE * width * height
    else:
        own["area"] = _area(area)


def _box(box: Any) -> list[float]:
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError(f"bbox is {box} (expected x, y, width and height)")
    numbers = [each if type(each) in (int, float) else _number(each) for each in box]
    if not all(map(math.isfinite, numbers)) or min(numbers[2:]) < 0:
        raise ValueError(f"bbox is {box} (expected finite numbers and an area)")
    return numbers


def _flat(keypoints: Any, counts: Counter[str]) -> list[float]:
    """Keypoints as x, y and visibility in turn; unlabeled ones that are no numbers become zeros.

    Raises:
        ValueError: They are no list of numbers, or a labeled keypoint is at infinity.
    """
    if not isinstance(keypoints, list):
        raise ValueError(f"keypoints is {keypoints} (expected x, y and visibility in turn)")
    flat = keypoints
    if flat and all(isinstance(each, list) and len(each) == 3 for each in flat):
        counts["people with keypoints as triples"] += 1
        flat = [value for triple in flat for value in triple]
    if not all(type(value) in (int, float) for value in flat):
        strings = [value for value in flat if isinstance(value, str)]
        counts["people with keypoints as text"] += bool(strings)
        if any(isinstance(value, list | dict) for value in flat) or any(math.isnan(_number(s)) for s in strings):
            raise ValueError(f"keypoints is {flat[:3]}... (expected x, y and visibility in turn)")
        flat = [_number(value) if type(value) not in (int, float) else value for value in flat]
    if len(flat) % 3 or all(map(_is_plain, flat[::3], flat[1::3], flat[2::3])):
        return flat
    triples = []
    for index, (x, y, visibility) in enumerate(zip(flat[::3], flat[1::3], flat[2::3], strict=True)):
        if visibility > 0 and (math.isinf(x) or math.isinf(y) or math.isinf(visibility)):
            raise ValueError(f"keypoint {index} is at ({x}, {y}) (expected finite numbers)")
        if not (visibility >= 0 and math.isfinite(x) and math.isfinite(y)):
            counts["keypoints taken as unlabeled"] += 1
            x, y, visibility = 0, 0, 0
        elif 0 < visibility < 1:
            counts["keypoints with a visibility below 1 taken as labeled"] += 1
            visibility = 2
        triples += [x, y, visibility]
    return triples


def _is_plain(x: float, y: float, visibility: float) -> bool:
    return (visibility == 0 or 1 <= visibility < math.inf) and math.isfinite(x) and math.isfinite(y)


def _number(value: Any) -> float:
    """Return a number, also one in text, and true and false as 1 and 0; NaN for anything else."""
    if type(value) is bool:
        return int(value)
    try:
        return float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def _outline_area(segmentation: Any) -> float:
    """Area of the polygons of a person in square pixels; 0 where there are none."""
    polygons = segmentation if isinstance(segmentation, list) else []
    area = 0.0
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or not all(type(v) in (int, float) for v in polygon):
            return 0.0
        xs, ys = polygon[::2], polygon[1::2]
        corners = zip(xs, ys, xs[1:] + xs[:1], ys[1:] + ys[:1], strict=False)
        area += abs(sum(x1 * y2 - x2 * y1 for x1, y1, x2, y2 in corners)) / 2
    return area
