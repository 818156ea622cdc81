"""Reader of CVAT's XML for images (format "CVAT for images 1.1")."""

import html
import re
from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from litehrnet.data.tools.project import (
    Box,
    Category,
    LabeledObject,
    LabeledPhoto,
    LoosePoint,
    Point,
    Project,
    grouped,
    seen_categories,
    with_one_name,
)
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes

_TAG = re.compile(r"<(circle|line)\b([^>]*)>")
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')


def read_cvat(path: Path) -> Project:
    """Read skeletons, points and boxes of an XML file.

    Points inside a skeleton are its keypoints: ``outside`` means not labeled, ``occluded`` means hidden. A plain shape
    of one point is a keypoint with its label as name; its ``group_id`` says which others and which box belong to it. A
    plain shape of several points is an object, whose keypoints are numbered from 1.

    Raises:
        UserError: The file is missing, is not such XML, or is CVAT's format for videos.
    """
    root = _parse(path)
    if root.find("track") is not None:
        raise UserError(f"{path}: is CVAT's format for videos (expected an export as 'CVAT for images 1.1')")
    left_out: Counter[str] = Counter()
    photos = with_one_name(
        LabeledPhoto(
            image.attrib["name"].replace("\\", "/"),
            (int(image.attrib["width"]), int(image.attrib["height"])),
            tuple(_objects(image, left_out)),
        )
        for image in root.iter("image")
    )
    declared = {category.name: category for category in _declared(root)}
    seen = {category.name: category for category in seen_categories(photos)}
    return Project(path.parent / "images", tuple((seen | declared).values()), photos, left_out)


def _parse(path: Path) -> Element:
    try:
        text = read_bytes(path).decode("utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            # Entities can grow without bound, or name other files. CVAT writes none.
            raise UserError(f"{path}: declares a document type (expected XML as CVAT writes it)")
        return ElementTree.fromstring(text)
    except (UnicodeDecodeError, ElementTree.ParseError) as error:
        raise UserError(f"{path}: not valid XML in UTF-8 ({error})") from error


def _declared(root: Element) -> list[Category]:
    """Skeletons that the task declares, with their keypoints in order and their edges."""
    labels = [(label.findtext("name", ""), label) for label in root.iter("label")]
    categories = []
    for name, label in labels:
        names = tuple(part for part, each in labels if each.findtext("parent") == name)
        if label.findtext("type") == "skeleton" and names:
            categories.append(Category(name, names, _limbs(label.find("svg"), names)))
    return categories


def _limbs(svg: Element | None, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    if svg is None:
        return ()
    tags = [
        (tag, dict(_ATTRIBUTE.findall(fields)))
        for tag, fields in _TAG.findall(html.unescape(ElementTree.tostring(svg, "unicode")))
    ]
    nodes = {each.get("data-element-id"): each.get("data-label-name", "") for tag, each in tags if tag == "circle"}
    lines = [each for tag, each in tags if tag == "line"]
    ends = [(nodes.get(each.get("data-node-from"), ""), nodes.get(each.get("data-node-to"), "")) for each in lines]
    return tuple((start, end) for start, end in ends if start in names and end in names)


def _objects(image: Element, left_out: Counter[str]) -> list[LabeledObject]:
    boxes = _boxes(image, left_out)
    skeletons = image.findall("skeleton")
    objects = []
    for skeleton in skeletons:
        points = skeleton.findall("points")
        keypoints = {
            each.attrib["label"]: point
            for each in points
            if each.get("outside") != "1"
            for point in _points(each, skeleton.get("occluded"))
        }
        box = boxes.pop(_group(skeleton), (None, None))[1]
        objects.append(LabeledObject(skeleton.attrib["label"], keypoints, box))
    loose = []
    for shape in image.findall("points"):
        points_of_shape = _points(shape)
        if len(points_of_shape) == 1:
            loose.append(LoosePoint(shape.attrib["label"], points_of_shape[0], _group(shape)))
        else:
            numbered = {str(number): point for number, point in enumerate(points_of_shape, start=1)}
            objects.append(LabeledObject(shape.attrib["label"], numbered, boxes.pop(_group(shape), (None, None))[1]))
    if objects and not loose:
        left_out["boxes in no group with keypoints"] += len(boxes)
        return objects
    return objects + grouped(loose, boxes, left_out)


def _boxes(image: Element, left_out: Counter[str]) -> dict[Hashable, tuple[str, Box | None]]:
    boxes: dict[Hashable, tuple[str, Box | None]] = {}
    for index, box in enumerate(image.findall("box")):
        left, top, right, bottom = (float(box.attrib[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
        if float(box.get("rotation", 0)):
            left_out["rotated boxes"] += 1
            continue
        key = _group(box) or f"box {index}"
        left_out["further boxes of one group"] += key in boxes
        boxes.setdefault(key, (box.attrib["label"], (left, top, right - left, bottom - top)))
    return boxes


def _points(shape: Element, occluded: str | None = None) -> list[Point]:
    visibility = 1 if "1" in (shape.get("occluded"), occluded) else 2
    pairs = [pair.split(",") for pair in shape.attrib["points"].split(";")]
    return [(float(x), float(y), visibility) for x, y in pairs]


def _group(shape: Element) -> str | None:
    group = shape.get("group_id", "0")
    return None if group == "0" else group
