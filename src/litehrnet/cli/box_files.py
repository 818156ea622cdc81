"""Boxes for ``litehrnet predict`` from COCO files and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.annotations import normalized
from litehrnet.data.photo_names import Photos, Shared, by_file_name, closest
from litehrnet.data.records import read_json
from litehrnet.errors import UserError
from litehrnet.io.notes import say_once
from litehrnet.keypoints.boxes import check_boxes, clean_box
from litehrnet.results.files import is_table, read_people

LOW_SCORE = 0.3
"""Boxes with a lower score usually do not show people; the command prints their number."""

_LARGEST_NUMBER = 2**53  # beyond, readers of JSON round whole numbers
Key = int | str


@dataclass(frozen=True)
class PhotoBoxes:
    """Boxes of one photo, unchecked; see ``usable_boxes``.

    Attributes:
        image_id: The photo's id in the file.
        boxes: Boxes (x, y, width, height) in pixels.
        scores: Scores 0..1; 1 if the file has none.
        detected: Whether a detector found the boxes, so that two of them may show the same person.
    """

    image_id: Key
    boxes: list[Any] = field(default_factory=list)
    scores: list[Any] = field(default_factory=list)
    detected: bool = False


@dataclass(frozen=True)
class BoxFile:
    """Boxes by photo.

    Attributes:
        path: File of the boxes.
        photos: Boxes by a key for each photo.
        names: Photo names in the file, by the same key. None if the file names no photos: then the keys are the numbers
            in the photos' names, as in 000000000785.jpg.
        lists_all: Whether the file also names photos without people, as annotations do.
        notes: Notes about the file to print.
    """

    path: Path
    photos: Mapping[Key, PhotoBoxes]
    names: Mapping[Key, str] | None
    lists_all: bool = True
    notes: tuple[str, ...] = ()

    def match(self, photos: Sequence[Path]) -> dict[Path, PhotoBoxes | UserError]:
        """Find the boxes of each photo.

        If the file has names, a photo gets the entry whose path has the longest common end with its own path. So
        cam1/0001.jpg and cam2/0001.jpg are kept apart. An entry belongs to one photo only.

        Returns:
            For each photo its boxes, or the error that says why they are unknown.
        """
        by_name = None if self.names is None else by_file_name(self.names)
        found = {photo: _candidates(photo, by_name) for photo in photos}
        takers: dict[Key, tuple[Shared, list[Path]]] = {}  # by entry: the photos that share most of its path
        for photo, (shared, keys) in found.items():
            for key in keys:
                most, others = takers.get(key, ((0, False), []))
                if shared >= most:
                    takers[key] = (shared, [photo] if shared > most else [*others, photo])
        return {photo: self._of(photo, keys, takers) for photo, (_, keys) in found.items()}

    def _of(
        self, photo: Path, keys: list[Key], takers: Mapping[Key, tuple[Shared, list[Path]]]
    ) -> PhotoBoxes | UserError:
        if not keys and (self.lists_all or self.names is None):
            wanted = "a name like 000000000785.jpg" if self.names is None else "a photo that it lists"
            return UserError(f"{photo}: its boxes cannot be found in {self.path} (expected {wanted})")
        if not keys:
            return PhotoBoxes(photo.name)
        if len(keys) > 1:
            names = ", ".join((self.names or {})[key] for key in keys[:3])
            return UserError(
                f"{photo}: {self.path} has several photos of this name ({names}), so its boxes are unclear"
            )
        _, photos = takers[keys[0]]
        if photos != [photo]:
            other = next(each for each in photos if each != photo)
            return UserError(
                f"{photo}: {self.path} has one entry for this photo and {other} (expected file names with folders)"
            )
        return self.photos.get(keys[0], PhotoBoxes(keys[0]))


def read_boxes(path: Path, min_score: float | None = None) -> BoxFile:
    """Read boxes from COCO annotations (an object with images and annotations) or results (a list with image_id).

    Args:
        path: The file; CSV and Parquet are tables for ``results.files.read_people``.
        min_score: Lowest score that is kept; None for all.

    Raises:
        UserError: The file is missing, of neither format, or none of its boxes shows a person.
    """
    content = read_people(path, boxes=True) if is_table(path) else read_json(path)
    try:
        found = _annotations(path, content) if isinstance(content, dict) else _results(path, content)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path}: not boxes in COCO's format (expected annotations, or a list of image_id, bbox and score)"
        ) from error
    if min_score is None:
        return replace(found, notes=(*found.notes, *_low_scores(found)))
    kept = {key: _with_scores(each, min_score) for key, each in found.photos.items()}
    return replace(found, photos=kept)


def usable_boxes(
    found: PhotoBoxes, image_size_wh: tuple[int, int], name: str
) -> tuple[NDArray[np.float32], NDArray[np.float32], list[str]]:
    """Check the boxes of a photo one by one.

    Args:
        found: The boxes.
        image_size_wh: (width, height) of the photo in pixels.
        name: Name of the photo, for messages.

    Returns:
        Usable boxes (persons, 4) and their scores (persons,), and one message for each unusable box: not four finite
        numbers, without area, or outside the photo.
    """
    boxes: list[NDArray[np.float32]] = []
    scores: list[float] = []
    problems: list[str] = []
    for index, (box, score) in enumerate(zip(found.boxes, found.scores, strict=True)):
        if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
            problems.append(f"{name}: box {index} (counted from 0) is {box!r} (expected x, y, width, height in pixels)")
        elif not _is_number(score) or not np.isfinite(score):
            problems.append(f"{name}: box {index} (counted from 0) has the score {score!r} (expected 0 to 1)")
        else:
            try:
                boxes += [*check_boxes([box], image_size_wh, name, first=index)]
                scores.append(float(score))
            except UserError as error:
                problems.append(str(error))
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), problems


def number_of(photo: Path) -> int | None:
    """Return COCO's number of a photo, or None if its name is not a number."""
    if not (photo.stem.isascii() and photo.stem.isdigit() and len(photo.stem) <= 16):
        return None
    number = int(photo.stem)
    return number if number <= _LARGEST_NUMBER else None


def _annotations(path: Path, content: dict[str, Any]) -> BoxFile:
    images, annotations, ids = content["images"], content["annotations"], None
    if images and all(isinstance(image, dict) and {"width", "height"} <= image.keys() for image in images):
        own = normalized(path, content)
        if own.note is not None:
            say_once(f"note: {own.note}")
        images, annotations, ids = own.images, own.annotations, own.original_ids
    names: dict[Key, str] = {}
    for image in images:
        key = _key(image["id"])
        if key in names:
            raise UserError(f"{path}: two images have the id {key} (expected an id of its own for each)")
        names[key] = str(image["file_name"])
    people, which = _people(content.get("categories") or [])
    entries = [entry for entry in annotations if not entry.get("iscrowd") and entry.get("bbox")]
    of_people = [entry for entry in entries if people is None or _key(entry["category_id"]) in people]
    photos, notes = _group(of_people, "image_id"), _passed_over(path, entries, of_people, which)
    if ids is None:
        return BoxFile(path, photos, names, notes=notes)
    sizes = {image["id"]: (image["width"], image["height"]) for image in images}
    photos = {
        key: replace(photo, image_id=_key(ids[int(key)]), boxes=[_cleaned(box, sizes[key]) for box in photo.boxes])
        for key, photo in photos.items()
    }
    return BoxFile(path, {key: photos.get(key, PhotoBoxes(_key(ids[int(key)]))) for key in names}, names, notes=notes)


def _cleaned(box: list[float], image_size_wh: tuple[int, int]) -> list[float]:
    """Box as ``litehrnet test`` uses it; one without an area there stays, and is named when the photo is read."""
    cleaned = clean_box((box[0], box[1], box[2], box[3]), image_size_wh)
    return box if cleaned is None else list(cleaned)


def _results(path: Path, content: list[dict[str, Any]]) -> BoxFile:
    of_people = [entry for entry in content if _key(entry.get("category_id", 1)) == 1]
    notes = _passed_over(path, content, of_people, "category 1")
    # litehrnet predict writes the photos' names, which identify them better than their numbers.
    if of_people and all(isinstance(entry.get("file_name"), str) for entry in of_people):
        photos = _group(of_people, "file_name")
        return BoxFile(path, photos, {key: str(key) for key in photos}, lists_all=False, notes=notes)
    return BoxFile(path, _group(of_people, "image_id"), None, lists_all=False, notes=notes)


def _people(categories: list[dict[str, Any]]) -> tuple[set[Key] | None, str]:
    """Return the ids of the categories of people, None for all, and a name for them."""
    if len(categories) < 2:
        return None, ""
    persons = {_key(each["id"]) for each in categories if str(each.get("name")).lower() in ("person", "people")}
    with_keypoints = {_key(each["id"]) for each in categories if each.get("keypoints")}
    if persons:
        return persons, "category person"
    return (with_keypoints, "a category with keypoints") if with_keypoints else (None, "")


def _passed_over(path: Path, entries: Sequence[Any], taken: Sequence[Any], which: str) -> tuple[str, ...]:
    if len(taken) == len(entries):
        return ()
    if not taken:
        others = sorted({str(entry.get("category_id")) for entry in entries})
        few = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
        raise UserError(
            f"{path}: none of {len(entries)} boxes belongs to {which} (expected people; it has category {few})"
        )
    return (f"{path}: {len(entries) - len(taken)} of {len(entries)} boxes do not belong to {which} and are left out",)


def _group(entries: Sequence[dict[str, Any]], by: str) -> dict[Key, PhotoBoxes]:
    photos: dict[Key, PhotoBoxes] = {}
    for entry in entries:
        key = entry[by] if by == "file_name" else _key(entry[by])
        photo = photos.setdefault(key, PhotoBoxes(_key(entry["image_id"]), detected="score" in entry))
        photo.boxes.append(entry["bbox"])
        photo.scores.append(entry.get("score", 1))
    return photos


def _with_scores(photo: PhotoBoxes, min_score: float) -> PhotoBoxes:
    pairs = zip(photo.boxes, photo.scores, strict=True)
    kept = [(box, score) for box, score in pairs if not _is_number(score) or not score < min_score]
    return replace(photo, boxes=[box for box, _ in kept], scores=[score for _, score in kept])


def _low_scores(found: BoxFile) -> list[str]:
    scores = [score for photo in found.photos.values() for score in photo.scores if _is_number(score)]
    low = sum(score < LOW_SCORE for score in scores)
    if not low:
        return []
    some = f"{found.path}: {low} of {len(scores)} boxes have a score under {LOW_SCORE}"
    return [f"{some} (--min-box-score {LOW_SCORE} leaves them out)"]


def _key(value: Any) -> Key:
    """Return an id as a number if it is one, also one in text."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() else value
    if isinstance(value, bool) or int(value) != value:
        raise TypeError(value)
    return int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _candidates(photo: Path, by_name: Photos[Key] | None) -> tuple[Shared, list[Key]]:
    """Return how much of its path a photo shares with the best entries, and the keys of these entries."""
    if by_name is not None:
        return closest(str(photo.absolute()), by_name)
    number = number_of(photo)
    return (1, True), [] if number is None else [number]
