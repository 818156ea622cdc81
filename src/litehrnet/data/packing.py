"""Annotated photos packed into a few files, for training elsewhere without unpacking.

A packed set is a folder with unchanged photos in ``000.zip``, ``001.zip`` and so on. ``annotations.zip`` contains
COCO's ``annotations.json``, whose file names are paths inside the archives. It is read like any other set, through
``litehrnet.io.archives``.
"""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.arrays import Floats, Floats64, Image
from litehrnet.data.coco import CocoAnnotations, photo_number, read_annotations
from litehrnet.data.records import read_json
from litehrnet.errors import UserError
from litehrnet.io.archives import read_data_file
from litehrnet.io.files import make_folder, replacing
from litehrnet.io.images import decode_image, encode_image
from litehrnet.io.progress import SILENT, Progress
from litehrnet.keypoints.boxes import PIXEL_STD, centers_and_scales, clean_box

SHARD_BYTES = 60 * 2**20
"""No file of a packed set is larger."""
CROP_FACTOR = 1.25
"""Size of a packed crop divided by that of a training crop, to leave space for rotation and zoom."""
ANNOTATIONS = "annotations.zip/annotations.json"

_QUALITY = 90
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # one time for all entries: the same photos make the same files
_ENTRY_BYTES, _END_BYTES = 30 + 46, 22  # of zip, beside the content and twice the name


@dataclass(frozen=True)
class PackSource:
    """Photos to pack.

    Attributes:
        name: Folder of the packed set.
        annotations: Annotation file in COCO's format.
        images, only, without: See ``DataConfig``.
        input_size_wh: (width, height) of the training crops in pixels.
        longer_side: Longest side in pixels of the crop of each person; None for whole, unchanged photos.
        quality: WebP quality, 1 to 100, of the crops; None for JPEG of a high quality.
    """

    name: str
    annotations: Path
    images: Path
    only: str | None
    without: str | None
    input_size_wh: tuple[int, int]
    longer_side: int | None
    quality: int | None = None


@dataclass(frozen=True)
class Packed:
    """Contents of a packed set.

    Attributes:
        photos: Number of pictures.
        persons: Number of annotated people with keypoints.
        sizes: Size of each file in bytes.
    """

    photos: int
    persons: int
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class _Picture:
    content: bytes
    image: dict[str, Any]
    annotations: list[dict[str, Any]]


def pack(source: PackSource, folder: Path, progress: Progress = SILENT, shard_bytes: int = SHARD_BYTES) -> Packed:
    """Pack the photos that show people with keypoints.

    Args:
        source: Photos to pack.
        folder: Folder in which ``source.name`` is made.
        progress: Counts photos.
        shard_bytes: Size of the largest file in bytes.

    Raises:
        UserError: Annotations or a photo are broken, a photo alone is too large, or files cannot be written.
    """
    annotations = read_annotations(source.annotations, source.only, source.without)
    used = [image for image in annotations.images.values() if any(map(_has_keypoints, _of(annotations, image)))]
    if not used:
        raise UserError(f"{source.annotations}: nobody to pack (expected annotations with visible keypoints)")
    target = make_folder(folder / source.name)
    progress.start(len(used))
    images: list[dict[str, Any]] = []
    persons: list[dict[str, Any]] = []

    def pictures() -> Iterator[tuple[str, bytes]]:
        for image in used:
            for picture in _pictures(source, annotations, image):
                name = _name(len(images), image["file_name"], source.quality)
                images.append(picture.image | {"file_name": name})
                persons.extend(picture.annotations)
                yield name, picture.content
            progress.advance(1)

    shards = _write_shards(target, pictures(), shard_bytes)
    for image in images:
        image["file_name"] = f"{shards[image['file_name']]}/{image['file_name']}"
    if source.longer_side is not None:
        _number(images, persons)
    _write_annotations(target, source.annotations, images, persons, shard_bytes)
    sizes = tuple(path.stat().st_size for path in sorted(target.iterdir()))
    return Packed(len(images), sum(map(_has_keypoints, persons)), sizes)


def _name(number: int, file_name: str, quality: int | None) -> str:
    """Name of a picture; short for small pictures, since an archive holds each name twice."""
    return f"{number:06}_{Path(file_name).name}" if quality is None else f"{number:06}.webp"


def _of(annotations: CocoAnnotations, image: dict[str, Any]) -> list[dict[str, Any]]:
    return annotations.by_image[image["id"]]


def _has_keypoints(annotation: dict[str, Any]) -> bool:
    flat = annotation.get("keypoints")
    return not annotation.get("iscrowd") and isinstance(flat, list) and any(value > 0 for value in flat[2::3])


def _pictures(source: PackSource, annotations: CocoAnnotations, image: dict[str, Any]) -> list[_Picture]:
    """Return an unchanged photo, or the crops of its people."""
    path = source.images / image["file_name"]
    content, persons = read_data_file(path), _of(annotations, image)
    pixels = decode_image(content, str(path))
    persons = [{key: value for key, value in person.items() if key != "segmentation"} for person in persons]
    whole = _Picture(content, dict(image), persons)
    longer_side, is_small = source.longer_side, max(pixels.shape[:2]) <= (source.longer_side or 0)
    if longer_side is None or (source.quality is None and len(persons) == 1 and is_small):
        return [whole]
    crops = []
    for person in filter(_has_keypoints, persons):
        try:
            crops.append(_crop(pixels, image, person, longer_side, source))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{annotations.path}: annotation {person.get('id')} is broken (litehrnet data check names the fault)"
            ) from error
    return [crop for crop in crops if crop is not None]


def _crop(
    pixels: Image, image: dict[str, Any], person: dict[str, Any], longer_side: int, source: PackSource
) -> _Picture | None:
    """Crop a person with some surroundings; None where the box has no area."""
    import cv2

    height, width = pixels.shape[:2]
    box = clean_box(tuple(person["bbox"]), (width, height))
    if box is None:
        return None
    triples = np.array(person["keypoints"], np.float64).reshape(-1, 3)
    labeled = triples[:, 2] > 0
    # The training crop, with more space around it.
    (center,), (scale,) = centers_and_scales(np.array([box]), source.input_size_wh)
    size = scale * PIXEL_STD * CROP_FACTOR
    x1, y1, x2, y2 = _surroundings(center, size, triples[labeled, :2], (width, height))
    cut = pixels[y1:y2, x1:x2]
    factor = min(1.0, longer_side / max(cut.shape[:2]))
    size_wh = max(1, round((x2 - x1) * factor)), max(1, round((y2 - y1) * factor))
    if size_wh != (x2 - x1, y2 - y1):
        cut = np.asarray(cv2.resize(cut, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    shrink = np.array(size_wh) / (x2 - x1, y2 - y1)
    # Pixel centers are at whole numbers; boxes are measured between the edges of pixels.
    triples[labeled, :2] = (triples[labeled, :2] - (x1, y1) + 0.5) * shrink - 0.5
    triples[~labeled] = 0
    x, y, box_width, box_height = person["bbox"]
    moved = np.concatenate([((x, y) - np.array([x1, y1])) * shrink, (box_width, box_height) * shrink])
    entry = {key: value for key, value in image.items() if key not in ("width", "height", "crop")}
    entry |= {"width": size_wh[0], "height": size_wh[1], "coco_image_id": photo_number(image)}
    numbers = {"bbox": moved.round(2).tolist(), "keypoints": triples.round(2).ravel().tolist()}
    if "area" in person:
        numbers["area"] = round(float(person["area"] * shrink.prod()), 2)
    kind = (".jpg", _QUALITY) if source.quality is None else (".webp", source.quality)
    return _Picture(encode_image(cut, *kind), entry, [person | numbers])


def _surroundings(
    center: Floats, crop_wh: Floats, keypoints: Floats64, size_wh: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Corners in whole pixels of a crop around a center, with all keypoints, inside the photo."""
    low = np.minimum(center - crop_wh / 2, keypoints.min(axis=0) - 1)
    high = np.maximum(center + crop_wh / 2, keypoints.max(axis=0) + 2)
    x1, y1 = np.floor(low).clip(0, np.array(size_wh) - 1).astype(int).tolist()
    x2, y2 = np.ceil(high).clip((x1 + 1, y1 + 1), size_wh).astype(int).tolist()
    return x1, y1, x2, y2


def _number(images: list[dict[str, Any]], persons: list[dict[str, Any]]) -> None:
    """Number pictures and people anew, in order, since several crops come from one photo."""
    groups = iter(persons)
    for number, image in enumerate(images, start=1):
        image.setdefault("coco_image_id", image["id"])
        image["id"] = number
        next(groups).update(image_id=number, id=number)


def _write_shards(folder: Path, pictures: Iterator[tuple[str, bytes]], limit: int) -> dict[str, str]:
    """Write pictures into archives one after another; return the name of the archive for each picture."""
    shards: dict[str, str] = {}
    ahead = next(pictures, None)
    while ahead is not None:
        path = folder / f"{len(set(shards.values())):03}.zip"
        used = _END_BYTES
        with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            while ahead is not None:
                name, content = ahead
                size = _ENTRY_BYTES + 2 * len(name.encode()) + len(content)
                if _END_BYTES + size > limit:
                    raise UserError(f"{name}: {size:,} bytes are too many for one file of {limit:,} (expected less)")
                if used + size > limit:
                    break
                archive.writestr(zipfile.ZipInfo(name, _EARLIEST), content)
                shards[name] = path.name
                used += size
                ahead = next(pictures, None)
    return shards


def _write_annotations(
    folder: Path, source: Path, images: list[dict[str, Any]], persons: list[dict[str, Any]], limit: int
) -> None:
    content = read_json(source)
    kept = {key: content[key] for key in ("info", "licenses", "categories") if key in content}
    text = json.dumps({**kept, "images": images, "annotations": persons}, separators=(",", ":"))
    archive_name, _, name = ANNOTATIONS.partition("/")
    path = folder / archive_name
    with replacing(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(name, _EARLIEST), text, zipfile.ZIP_DEFLATED)
        if temporary.stat().st_size > limit:
            raise UserError(f"{path}: annotations of {temporary.stat().st_size:,} bytes (expected at most {limit:,})")
