"""All faults of annotation files at once, for ``litehrnet data check``.

First come the faults for which ``annotations`` refuses a file, then what is read but is probably a mistake.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from litehrnet.data.annotations import duplicate_ids, examined, place
from litehrnet.data.coco import collected, dicts, read_annotations
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
        problems: Faults for which the file is refused, then probable mistakes.
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
        own = examined(path, content)
        report.problems += [Problem(file, "", fault) for fault in own.faults]
        annotations = collected(path, content, own, category)
    except UserError as error:
        return FileReport(problems=[*report.problems, Problem("", "", str(error))])
    categories = [c for c in dicts(content.get("categories")) if c.get("keypoints")]
    report.problems += [problem for category in categories for problem in _check_category(category, file)]
    if content["annotations"] and not categories:
        report.problems.append(Problem(file, "", "no category has keypoints (expected their names in one category)"))
    if keypoint_count is None and annotations.keypoint_names:
        keypoint_count = len(annotations.keypoint_names)
    used: dict[int, str] = {}
    for index, entry in zip(own.indices, own.annotations, strict=True):
        where, image = place("annotation", index, entry), annotations.images[entry["image_id"]]
        is_person = annotations.is_person(entry)
        odd = [*_odd_region(entry, image), *(_odd_person(entry, keypoint_count) if is_person else ())]
        report.problems += [Problem(file, where, each) for each in odd]
        if is_person:
            used.setdefault(image["id"], where)
            report.persons += not entry.get("iscrowd") and any(v > 0 for v in entry.get("keypoints", ())[2::3])
    report.problems += [Problem(file, "", each) for each in duplicate_ids(dicts(content["annotations"]), "annotation")]
    report.photos = [_photo_use(annotations.images[key], images, file, where) for key, where in used.items()]
    return report


def check_boxes(path: Path, images: Path, objects: str) -> FileReport:
    """Check the boxes of a category, ``objects``, of an annotation file in COCO's format, without its photos.

    The report's ``persons`` are the boxes that are not crowds.
    """
    report, file = FileReport(), str(path)
    try:
        content = read_json(path)
        own = examined(path, content)
        report.problems += [Problem(file, "", fault) for fault in own.faults]
        annotations = collected(path, content, own)
        category = category_of(annotations, objects)
    except UserError as error:
        return FileReport(problems=[*report.problems, Problem("", "", str(error))])
    for index, entry in zip(own.indices, own.annotations, strict=True):
        if category is None or entry.get("category_id") == category:
            odd = _odd_region(entry, annotations.images[entry["image_id"]])
            report.problems += [Problem(file, place("annotation", index, entry), each) for each in odd]
            report.persons += not entry.get("iscrowd")
    report.problems += [Problem(file, "", each) for each in duplicate_ids(own.annotations, "annotation")]
    report.photos = [
        _photo_use(image, images, file, place("image", index, image))
        for index, image in enumerate(annotations.images.values())
    ]
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
        where = f"person {index}"
        report.problems += [Problem(file, where, wrong) for wrong in _mpii_entry(entry, count, with_joints)]
        if isinstance(entry, dict) and isinstance(entry.get("image"), str):
            used.setdefault(entry["image"], where)
            report.persons += any(value == 1 for value in _list(entry.get("joints_vis")))
    report.photos = [PhotoUse(images / name, None, file, where) for name, where in used.items()]
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


def _photo_use(image: dict[str, Any], images: Path, file: str, where: str) -> PhotoUse:
    size = image["width"], image["height"]
    return PhotoUse(images / image["file_name"], size if all(map(math.isfinite, size)) else None, file, where)


def _odd_region(entry: dict[str, Any], image: dict[str, Any]) -> Iterator[str]:
    """Find a box or an area that is probably a mistake."""
    box, size_wh = entry.get("bbox"), (image["width"], image["height"])
    if not box:
        yield f"bbox is {box} (expected x, y, width and height)"
        return
    x, y, width, height = box
    axes = zip((x, y), (width, height), size_wh, strict=True)
    inside = [max(0.0, min(start + length, end) - max(start, 0)) for start, length, end in axes]
    is_crowd, area = entry.get("iscrowd"), entry.get("area", 1)
    if width <= 0 or height <= 0:
        yield f"bbox is {box} (expected finite numbers and an area)"
    elif inside[0] * inside[1] < width * height / 2:
        yield f"bbox is {box} (expected most of it inside the photo of {size_wh[0]}x{size_wh[1]})"
    elif not is_crowd and area > 2 * width * height:
        yield f"area is {area}, more than twice its box (expected square pixels of the object)"
    if not is_crowd and area <= 0:
        yield f"area is {area} (expected a number above 0)"


def _odd_person(entry: dict[str, Any], expected: int | None) -> Iterator[str]:
    """Find keypoints that are probably a mistake, or leave the person out."""
    flat = entry.get("keypoints")
    if not flat or entry["iscrowd"]:
        return
    if expected is not None and len(flat) != 3 * expected:
        yield f"has {len(flat) // 3} keypoints (expected {expected})"
    for index, visibility in enumerate(flat[2::3]):
        if visibility not in (0, 1, 2):
            yield f"keypoint {index} has visibility {visibility} (expected 0, 1 or 2)"
    labeled = sum(visibility > 0 for visibility in flat[2::3])
    if entry.get("num_keypoints") not in (None, labeled):
        yield f"num_keypoints is {entry['num_keypoints']} (expected {labeled}, the number of labeled keypoints)"


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


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float)


def _are_numbers(value: Any, count: int | None) -> TypeGuard[list[float]]:
    return isinstance(value, list) and (count is None or len(value) == count) and all(map(_is_number, value))
