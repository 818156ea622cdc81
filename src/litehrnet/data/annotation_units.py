"""Find annotations whose numbers are not pixels of the photo, by looking at all people of a file together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIDE_ROOM = 0.5  # how far a keypoint may be outside its box, divided by the box's longer side
# Percent of photos that are several hundred pixels wide look like pixels of their first corner. Pixels are so only if
# all people of many photos are in a square of 100 pixels at the very corner, and come to each of its four sides.
_PHOTOS, _SIDE, _NEAR = 10, 300, 10
_OVERFLOW = 1.05  # how far a box of pixels may end beyond its photo, divided by the photo's side


def unit_fault(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> str | None:
    """Find a fault of the units of a file's boxes and keypoints.

    Args:
        images: Images with id, width and height.
        annotations: Normalized annotations; crowds, and entries without keypoints, are not examined.

    Returns:
        One sentence about the file, or None.
    """
    people = [a for a in annotations if a.get("keypoints") and not a["iscrowd"] and len(a["keypoints"]) % 3 == 0]
    points = [np.array(person["keypoints"], np.float64).reshape(-1, 3) for person in people]
    if not people:
        return None
    labeled = [each[each[:, 2] > 0, :2] for each in points]
    if not any(map(len, labeled)):
        if any(each[:, :2].any() for each in points):
            return "all visibilities are 0, although keypoints have places (expected 1 or 2 for labeled keypoints)"
        return None
    every = np.concatenate(labeled)
    if len(every) > 1 and every.max() <= 1:
        return f"keypoints are in 0..1, such as {_pair(every[0])} (expected pixels of the photo)"
    sizes = {image["id"]: (image["width"], image["height"]) for image in images}
    photos = {person["image_id"] for person, xy in zip(people, labeled, strict=True) if len(xy)}
    if fault := _percent_fault(every, [sizes[photo] for photo in photos]):
        return fault
    with_box = [(a, xy) for a, xy in zip(people, labeled, strict=True) if a.get("bbox") and min(a["bbox"][2:]) > 0]
    if not with_box:
        return None
    boxes = np.array([annotation["bbox"] for annotation, _ in with_box], np.float64)
    sizes_wh = np.array([sizes[annotation["image_id"]] for annotation, _ in with_box], np.float64)
    return _box_fault(boxes, sizes_wh) or _place_fault(with_box, boxes)


def _percent_fault(points: NDArray[np.float64], sizes_wh: list[tuple[float, float]]) -> str | None:
    if len(sizes_wh) < _PHOTOS or min(map(min, sizes_wh)) < _SIDE or points.min() < 0 or points.max() > 100:
        return None
    if (points.min(axis=0) > _NEAR).any() or (points.max(axis=0) < 100 - _NEAR).any() or not (points % 1).any():
        return None
    beyond = f"in {len(sizes_wh)} photos none is beyond 100"
    return f"keypoints seem to be in percent, such as {_pair(points[0])}: {beyond} (expected pixels of the photo)"


def _box_fault(boxes: NDArray[np.float64], sizes_wh: NDArray[np.float64]) -> str | None:
    first = boxes[0].tolist()
    if boxes.max() <= 1:
        return f"boxes are in 0..1, such as {first} (expected pixels of the photo)"
    starts, ends = boxes[:, :2], boxes[:, 2:]
    could_be_corners = (ends > starts).all() and (ends <= sizes_wh + 1).all()
    overflow = (starts + ends > _OVERFLOW * sizes_wh).any(axis=1)
    if could_be_corners and overflow.mean() >= 0.25:
        such = boxes[overflow][0].tolist()
        return f"boxes look like two corners, such as {such} (expected x, y, width and height)"
    return None


def _place_fault(with_box: list[tuple[dict[str, Any], NDArray[np.float64]]], boxes: NDArray[np.float64]) -> str | None:
    """Find people with most of their keypoints far outside their box; a few are mistakes, most are another unit."""
    known = [(annotation, xy, box) for (annotation, xy), box in zip(with_box, boxes, strict=True) if len(xy)]
    wrong = []
    for annotation, xy, box in known:
        room = _SIDE_ROOM * box[2:].max()
        outside = ((xy < box[:2] - room) | (xy > box[:2] + box[2:] + room)).any(axis=1)
        if outside.mean() > 0.5:
            wrong.append((annotation, xy[outside][0], box))
    if not wrong or 2 * len(wrong) <= len(known):
        return None
    annotation, point, box = wrong[0]
    return (
        f"{len(wrong)} of {len(known)} people have most keypoints far outside their box, such as annotation "
        f"{annotation.get('id')}: {_pair(point)} in {box.tolist()} (expected x before y, in pixels of the photo)"
    )


def _pair(point: NDArray[np.float64]) -> str:
    return f"({point[0]:g}, {point[1]:g})"
