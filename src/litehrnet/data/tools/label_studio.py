"""Reader of Label Studio's export in the format "JSON"."""

from collections import Counter
from collections.abc import Hashable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from litehrnet.data.records import read_json
from litehrnet.data.tools.project import (
    Box,
    LabeledObject,
    LabeledPhoto,
    LoosePoint,
    Project,
    grouped,
    seen_categories,
    with_one_name,
)
from litehrnet.errors import UserError

_LEFT_OUT = "regions that are neither labeled keypoints nor labeled rectangles"


def read_label_studio(path: Path) -> Project:
    """Read the keypoints and rectangles of all tasks, which are in percent of the photo.

    A keypoint belongs to the rectangle that is its parent (``parentID``) or that a relation joins to it. The export
    does not say which keypoints are hidden: all are visible. The first annotation of a task that was not canceled
    counts.

    Raises:
        UserError: The file is missing, is not JSON, or a task names no photo.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and "data" in task for task in tasks):
        raise UserError(f"{path}: not tasks of Label Studio (expected its export in the format 'JSON', not 'JSON-MIN')")
    left_out: Counter[str] = Counter()
    photos = with_one_name(_photo(path, task, left_out) for task in tasks)
    return Project(path.parent / "images", seen_categories(photos), photos, left_out)


def _photo(path: Path, task: dict[str, Any], left_out: Counter[str]) -> LabeledPhoto:
    address = task["data"].get("image") or next((v for v in task["data"].values() if isinstance(v, str)), None)
    if not isinstance(address, str):
        raise UserError(f"{path}: task {task.get('id')} names no photo (expected its address in data.image)")
    annotations = [each for each in task.get("annotations", []) if not each.get("was_cancelled")]
    left_out["further annotations of the same task"] += max(0, len(annotations) - 1)
    regions = annotations[0]["result"] if annotations else []
    sizes = {(each["original_width"], each["original_height"]) for each in regions if "original_width" in each}
    if len(sizes) > 1:
        raise UserError(f"{path}: task {task.get('id')} has regions of several photos (expected one size)")
    size = sizes.pop() if sizes else None
    return LabeledPhoto(_file_name(address), size, tuple(_objects(regions, left_out)))


def _file_name(address: str) -> str:
    """Name of the photo below the folder of photos: an uploaded file has a name, a local file has a path."""
    parts = urlsplit(address)
    if local := parse_qs(parts.query).get("d"):
        return local[0].replace("\\", "/").lstrip("/")
    return PurePosixPath(unquote(parts.path)).name


def _objects(regions: list[dict[str, Any]], left_out: Counter[str]) -> list[LabeledObject]:
    boxes: dict[Hashable, tuple[str, Box | None]] = {}
    keypoints = []
    parents: dict[str, str] = {}
    for region in regions:
        if region["type"] == "relation":
            parents |= {region["from_id"]: region["to_id"], region["to_id"]: region["from_id"]}
            continue
        value, width, height = region["value"], region.get("original_width"), region.get("original_height")
        if region.get("image_rotation"):
            left_out["regions of photos that were rotated in Label Studio"] += 1
        elif value.get("rectanglelabels"):
            sides = value["x"] * width, value["y"] * height, value["width"] * width, value["height"] * height
            x, y, box_width, box_height = (side / 100 for side in sides)
            left_out["rotated rectangles"] += bool(value.get("rotation"))
            box = None if value.get("rotation") else (x, y, box_width, box_height)
            boxes[region["id"]] = value["rectanglelabels"][0], box
        elif value.get("keypointlabels"):
            xy = value["x"] * width / 100, value["y"] * height / 100
            keypoints.append((region, LoosePoint(value["keypointlabels"][0], (*xy, 2), None)))
        else:
            left_out[_LEFT_OUT] += 1
    loose = []
    for region, point in keypoints:
        joined = parents.get(region["id"])
        group = region.get("parentID") or (joined if joined in boxes else None)
        loose.append(LoosePoint(point.name, point.point, group))
    return grouped(loose, boxes, left_out)
