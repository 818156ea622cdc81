"""All faults of annotation files at once, for ``litehrnet data check``.

Reading for training stops at the first fault, or leaves a person out. These checks report everything.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from litehrnet.data.coco import read_annotations
from litehrnet.data.coco_records import detection_records
from litehrnet.data.detection import category_of
from litehrnet.data.photos import size_fault
from litehrnet.data.records import read_json
from litehrnet.errors import UserError
from litehrnet.io.archives import read_data_file
from litehrnet.io.image_headers import read_header
from litehrnet.io.images import decode_image
from litehrnet.keypoints.sides import mirrored_name, mirrored_pairs, sides_without_partner
from litehrnet.keypoints.skeletons import keypoint_set_from_coco_category
from litehrnet.poses import KeypointSet

Size = tuple[int, int]


@dataclass(frozen=True)
class Problem:
    """A fault.

    Attributes:
        file: Annotation file or keypoint set.
        place: Place in the file, such as ``annotation 3 (id 481918)``, counted from 0; empty for the whole file.
        wrong: The fault, and what was expected.
    """

    file: str
    place: str
    wrong: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.place, self.wrong) if part)


@dataclass(frozen=True)
class PhotoUse:
    """A photo that annotations use.

    Attributes:
        path: File of the photo.
        size_wh: (width, height) in the annotations; None where they have none.
        file: Annotation file.
        place: Place in the annotation file.
    """

    path: Path
    size_wh: Size | None
    file: str
    place: str


@dataclass
class FileReport:
    """Result of the checks of one annotation file.

    Attributes:
        persons: Number of annotated people with keypoints.
        photos: Photos with annotations, once each.
        problems: Faults, in the order of the file.
    """

    persons: int = 0
    photos: list[PhotoUse] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def check_coco(
    path: Path,
    images: Path,
    keypoint_count: int | None,
    with_joints: bool = True,
    category: str | None = None,
    load: Callable[[Path], Any] = read_json,
) -> FileReport:
    """Check an annotation file in COCO's format, without its photos.

    Args:
        path: Annotation file.
        images: Folder of its photos.
        keypoint_count: Keypoints that every person must have; None for as many as the file names.
        with_joints: Ignored: people may have no keypoints.
        category: Name of the category with the keypoints; None for the first that has any.
        load: See ``read_annotations``.
    """
    report, file = FileReport(), str(path)
    try:
        content = load(path)
    except UserError as error:
        return FileReport(problems=[Problem("", "", str(error))])
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in ("images", "annotations")):
        report.problems.append(Problem(file, "", "not COCO annotations (expected lists 'images' and 'annotations')"))
        return report
    categories = [c for c in _dicts(content.get("categories")) if c.get("keypoints")]
    report.problems += [problem for category in categories for problem in _check_category(category, file)]
    if content["annotations"] and not categories:
        report.problems.append(Problem(file, "", "no category has keypoints (expected their names in one category)"))
    own = [c for c in categories if isinstance(c["keypoints"], list) and category in (None, c.get("name"))]
    others = {_key(c.get("id")) for c in _dicts(content.get("categories"))} - {_key(c.get("id")) for c in own[:1]}
    if keypoint_count is None and own:
        keypoint_count = len(own[0]["keypoints"])
    sizes, names = _coco_images(content["images"], file, report)
    used: dict[Any, str] = {}
    for index, annotation in enumerate(content["annotations"]):
        place = _place("annotation", index, annotation)
        is_other = own and isinstance(annotation, dict) and _key(annotation.get("category_id")) in others
        count = None if is_other else keypoint_count
        report.problems += [Problem(file, place, w) for w in _coco_annotation(annotation, sizes, count)]
        if isinstance(annotation, dict) and not is_other:
            used.setdefault(_key(annotation.get("image_id")), place)
            report.persons += _has_keypoints(annotation)
    report.problems += _duplicates(content["annotations"], "annotation", file)
    if not report.problems:  # training and evaluation refuse some whole files, such as keypoints in 0..1
        report.problems += _refusal(lambda: read_annotations(path, load=lambda _: content, category=category))
    report.photos = [PhotoUse(images / names[i], sizes[i], file, place) for i, place in used.items() if i in names]
    return report


def check_boxes(path: Path, images: Path, objects: str) -> FileReport:
    """Check the boxes of a category, ``objects``, of an annotation file in COCO's format, without its photos.

    The report's ``persons`` are the boxes that are not crowds.
    """
    report, file = FileReport(), str(path)
    try:
        annotations = read_annotations(path)
        category = category_of(annotations, objects)
    except UserError as error:
        return FileReport(problems=[Problem("", "", str(error))])
    sizes, names = _coco_images(list(annotations.images.values()), file, report)
    entries = [entry for own in annotations.by_image.values() for entry in own]
    for index, entry in enumerate(entries):
        if category is None or entry.get("category_id") == category:
            faults = _box(entry.get("bbox"), sizes.get(_key(entry.get("image_id"))))
            report.problems += [Problem(file, _place("annotation", index, entry), fault) for fault in faults]
            report.persons += not entry.get("iscrowd")
    report.problems += _duplicates(entries, "annotation", file) if entries else []
    report.photos = [PhotoUse(images / n, sizes[i], file, _place("image", 0, {"id": i})) for i, n in names.items()]
    return report


def check_detections(
    path: Path, annotations: Path, images: Path, load: Callable[[Path], Any] = read_json
) -> list[Problem]:
    """Check detected boxes of the photos of an annotation file; the first bad box is named."""
    return _refusal(lambda: detection_records(read_annotations(annotations, load=load), path, images, 1, (192, 256)))


def check_photo_lists(
    annotations: Path, only: str | None, without: str | None, load: Callable[[Path], Any] = read_json
) -> list[Problem]:
    """Check the lists of photos that select photos of an annotation file."""
    if only is None and without is None:
        return []
    return _refusal(lambda: read_annotations(annotations, only, without, load))


def check_mpii(
    path: Path, images: Path, keypoint_count: int | None, with_joints: bool = True, category: str | None = None
) -> FileReport:
    """Check an annotation file in MPII's format, without its photos; arguments as for ``check_coco``.

    ``with_joints`` says whether people must have joints, as for training. By default they have 16, and the category is
    ignored: MPII's people have none.
    """
    report, file = FileReport(), str(path)
    try:
        entries = read_json(path)
    except UserError as error:
        return FileReport(problems=[Problem("", "", str(error))])
    if not isinstance(entries, list) or not entries:
        return FileReport(problems=[Problem(file, "", "not MPII annotations (expected a list of people)")])
    used: dict[str, str] = {}
    count = keypoint_count or 16
    for index, entry in enumerate(entries):
        place = f"person {index}"
        report.problems += [Problem(file, place, wrong) for wrong in _mpii_entry(entry, count, with_joints)]
        if isinstance(entry, dict) and isinstance(entry.get("image"), str):
            used.setdefault(entry["image"], place)
            report.persons += any(value == 1 for value in _list(entry.get("joints_vis")))
    report.photos = [PhotoUse(images / name, None, file, place) for name, place in used.items()]
    return report


def check_keypoint_set(keypoint_set: KeypointSet, file: str) -> list[Problem]:
    """Check that left and right are paired: each name with a side has a partner, and they are a flip pair."""
    names, flip_pairs = keypoint_set.keypoint_names, keypoint_set.flip_pairs
    expected = mirrored_pairs(names)
    unpaired = sides_without_partner(names, (*expected, *flip_pairs))
    wrong = [f"keypoint {name} has no partner (expected {mirrored_name(name)})" for name in unpaired]
    given, wanted = ({frozenset(pair) for pair in pairs} for pairs in (flip_pairs, expected))
    missing = [pair for pair in expected if frozenset(pair) not in given]
    wrong += [f"{names[a]} and {names[b]} are not a flip pair (expected one)" for a, b in missing]
    paired = {index for pair in expected for index in pair}
    others = [pair for pair in flip_pairs if paired & {*pair} and frozenset(pair) not in wanted]
    wrong += [f"{names[a]} and {names[b]} are a flip pair (expected left and right)" for a, b in others]
    return [Problem(file, "", each) for each in wrong]


def check_photo(use: PhotoUse) -> list[Problem]:
    """Decode a photo, and compare its size with that in the annotations."""
    try:
        content = read_data_file(use.path)
        header = read_header(content, str(use.path))
        # The strongest reduction still reads all data of a JPEG.
        decode_image(content, str(use.path), 8 if header.format == "JPEG" else 1, header)
    except UserError as error:
        return [Problem(use.file, use.place, str(error))]
    fault = size_fault(use.path, header, use.size_wh)
    return [Problem(use.file, use.place, fault)] if fault else []


def _refusal(read: Callable[[], object]) -> list[Problem]:
    """Return the fault for which ``read`` refuses a file, if any."""
    try:
        read()
    except UserError as error:
        return [Problem("", "", str(error))]
    return []


def _check_category(category: dict[str, Any], file: str) -> list[Problem]:
    try:
        keypoint_set = keypoint_set_from_coco_category(category, "category")
    except UserError as error:
        return [Problem(file, "", str(error))]
    problems = check_keypoint_set(keypoint_set, file)
    if category.get("skeleton") and not keypoint_set.limbs:
        problems.append(Problem(file, "", "the category's skeleton is not drawn (expected pairs of numbers or names)"))
    return problems


def _coco_images(images: list[Any], file: str, report: FileReport) -> tuple[dict[Any, Size], dict[Any, str]]:
    """Sizes and file names by id, of the entries that have both."""
    sizes, names = {}, {}
    for index, image in enumerate(images):
        if not _is_image(image):
            wrong = "is incomplete (expected id, file_name, width and height)"
            report.problems.append(Problem(file, _place("image", index, image), wrong))
            continue
        sizes[image["id"]] = image["width"], image["height"]
        names[image["id"]] = image["file_name"]
    report.problems += _duplicates(images, "image", file)
    return sizes, names


def _is_image(image: Any) -> bool:
    return (
        isinstance(image, dict)
        and isinstance(image.get("id"), int | str)
        and isinstance(image.get("file_name"), str)
        and _are_numbers([image.get("width"), image.get("height")], 2)
    )


def _coco_annotation(annotation: Any, sizes: dict[Any, Size], keypoint_count: int | None) -> Iterator[str]:
    if not isinstance(annotation, dict):
        yield "is not an object"
        return
    image_id = _key(annotation.get("image_id"))
    if image_id not in sizes:
        yield f"is on image {image_id}, which the file does not have"
    box_faults = list(_box(annotation.get("bbox"), sizes.get(image_id)))
    yield from box_faults
    if annotation.get("iscrowd"):
        return  # a region, which is not used
    area = annotation.get("area", 1)
    if not _is_number(area) or not 0 < area < math.inf:
        yield f"area is {area} (expected a number above 0)"
    elif annotation.get("bbox") and not box_faults and area > 2 * math.prod(annotation["bbox"][2:]) > 0:
        yield f"area is {area}, more than twice its box (expected square pixels of the object)"
    if annotation.get("keypoints"):
        yield from _keypoints(annotation["keypoints"], annotation.get("num_keypoints"), keypoint_count)


def _box(box: Any, size_wh: Size | None) -> Iterator[str]:
    if not _are_numbers(box, 4):
        yield f"bbox is {box} (expected x, y, width and height)"
        return
    x, y, width, height = box
    if not all(map(math.isfinite, box)) or width <= 0 or height <= 0:
        yield f"bbox is {box} (expected finite numbers and an area)"
    elif size_wh is not None:
        axes = zip((x, y), (width, height), size_wh, strict=True)
        inside = [max(0.0, min(start + length, end) - max(start, 0)) for start, length, end in axes]
        if inside[0] * inside[1] < width * height / 2:
            yield f"bbox is {box} (expected most of it inside the photo of {size_wh[0]}x{size_wh[1]})"


def _keypoints(flat: Any, count: Any, expected: int | None) -> Iterator[str]:
    if not _are_numbers(flat, None) or len(flat) % 3:
        yield "keypoints is not a list of x, y, visibility triples"
        return
    if expected is not None and len(flat) != 3 * expected:
        yield f"has {len(flat) // 3} keypoints (expected {expected})"
    for index in range(0, len(flat), 3):
        x, y, visibility = flat[index : index + 3]
        if not math.isfinite(x) or not math.isfinite(y):
            yield f"keypoint {index // 3} is at ({x}, {y}) (expected finite numbers)"
        if visibility not in (0, 1, 2):
            yield f"keypoint {index // 3} has visibility {visibility} (expected 0, 1 or 2)"
    labeled = sum(visibility > 0 for visibility in flat[2::3])
    if count is not None and count != labeled:
        yield f"num_keypoints is {count} (expected {labeled}, the number of labeled keypoints)"


def _mpii_entry(entry: Any, keypoint_count: int, with_joints: bool) -> Iterator[str]:
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
        yield "has no image"
        return
    center, scale = entry.get("center"), entry.get("scale")
    if not _are_numbers(center, 2) or not all(map(math.isfinite, center)):
        yield f"center is {center} (expected x and y)"
    if not _is_number(scale) or not 0 < scale < math.inf:
        yield f"scale is {scale} (expected a number above 0)"
    if not with_joints:
        return
    joints, visible = _list(entry.get("joints")), _list(entry.get("joints_vis"))
    if len(joints) != keypoint_count or len(visible) != keypoint_count:
        yield f"has {len(joints)} joints and {len(visible)} joints_vis (expected {keypoint_count})"
    for index, joint in enumerate(joints):
        if not _are_numbers(joint, 2) or not all(map(math.isfinite, joint)):
            yield f"joint {index} is {joint} (expected x and y)"
    for index, value in enumerate(visible):
        if value not in (0, 1):
            yield f"joint {index} has visibility {value} (expected 0 or 1)"


def _duplicates(entries: list[Any], kind: str, file: str) -> list[Problem]:
    counts = Counter(_key(entry.get("id")) for entry in entries if isinstance(entry, dict))
    if set(counts) == {None}:
        return [Problem(file, "", f"no {kind} has an id")]
    repeated = [f"{count} {kind}s have the id {number}" for number, count in counts.items() if count > 1]
    return [Problem(file, "", f"{each} (expected different ids)") for each in repeated]


def _has_keypoints(annotation: dict[str, Any]) -> bool:
    flat = annotation.get("keypoints")
    return not annotation.get("iscrowd") and _are_numbers(flat, None) and any(v > 0 for v in flat[2::3])


def _place(kind: str, index: int, entry: Any) -> str:
    number = entry.get("id") if isinstance(entry, dict) else None
    return f"{kind} {index}" if number is None else f"{kind} {index} (id {number})"


def _key(value: Any) -> Any:
    """Return an id as a key; lists and objects have none."""
    return value if isinstance(value, int | str) else None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in _list(value) if isinstance(each, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float)


def _are_numbers(value: Any, count: int | None) -> TypeGuard[list[float]]:
    return isinstance(value, list) and (count is None or len(value) == count) and all(map(_is_number, value))
