"""Photos and their label images: Cityscapes' folders, or one folder of photos and one of label images."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from litehrnet.arrays import Image
from litehrnet.data.photos import check_photos
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.io.image_headers import critical_png_chunks, read_header
from litehrnet.io.images import IMAGE_SUFFIXES
from litehrnet.segmentation.classes import IGNORED, ClassSet

_NAMED = 20  # files that an error names
_CITYSCAPES_IMAGE, _CITYSCAPES_LABEL = "_leftImg8bit.png", "_gtFine_labelIds.png"
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class LabeledImage:
    """A photo and the class of every pixel.

    Attributes:
        image_file: The photo.
        label_file: A PNG of 8-bit gray levels, the label ids.
    """

    image_file: Path
    label_file: Path

    @property
    def image_wh(self) -> None:
        """Unknown size of the photo: label images are compared with their photos when both are decoded."""


def check_labeled_images(records: Sequence[LabeledImage], source: str, *, skip_broken: bool = False) -> None:
    """Refuse photos or label images that are missing, broken or of the wrong kind; none is decoded.

    Args:
        records: Photos and label images.
        source: File or folder that names them, for the error message.
        skip_broken: Look at label images alone.

    Raises:
        UserError: There are such files; one message names all of them.
    """
    if not skip_broken:
        check_photos(((record.image_file, record.image_wh) for record in records), source)
    if faults := label_faults(records):
        raise UserError("; ".join(faults))


def cityscapes_images(images: str, labels: str) -> list[LabeledImage]:
    """Find Cityscapes' pairs: ``CITY/NAME_leftImg8bit.png`` and ``CITY/NAME_gtFine_labelIds.png``.

    The folders are those of one split, ``leftImg8bit/train`` and ``gtFine/train``; errors as in ``folder_images``.
    """
    image_files = _by_key(images, f"*/*{_CITYSCAPES_IMAGE}", _CITYSCAPES_IMAGE)
    label_files = _by_key(labels, f"*/*{_CITYSCAPES_LABEL}", _CITYSCAPES_LABEL)
    return _pairs(image_files, label_files, images, labels, "leftImg8bit of a split")


def has_cityscapes_labels(labels: Path) -> bool:
    """Whether a folder has label images named as Cityscapes names them."""
    return any(labels.glob(f"*/*{_CITYSCAPES_LABEL}"))


def folder_images(images: str, labels: str) -> list[LabeledImage]:
    """Find pairs with the same name: ``NAME.jpg``, or another image format, and ``NAME.png``.

    Args:
        images: Folder of the photos.
        labels: Folder of the label images.

    Raises:
        UserError: A folder is missing or empty, or files of one have no partner in the other; they are named.
    """
    pngs = {key: path for key, path in _by_key(labels, "*", "").items() if path.suffix.lower() == ".png"}
    return _pairs(_by_key(images, "*", ""), pngs, images, labels, "photos")


def _pairs(
    image_files: dict[str, Path], label_files: dict[str, Path], images: str, labels: str, expected: str
) -> list[LabeledImage]:
    problems = []
    for what, own, partners, wanted in (
        ("images have no label image", image_files, label_files, f"a PNG of the same name in {labels}"),
        ("label images have no image", label_files, image_files, f"a photo of the same name in {images}"),
    ):
        if alone := [path for key, path in own.items() if key not in partners]:
            problems.append(f"{len(alone)} {what}: {_listed(alone)} (expected {wanted})")
    if problems:
        raise UserError("; ".join(problems))
    if not image_files:
        raise UserError(f"{images}: no images (expected {expected})")
    return [LabeledImage(path, label_files[key]) for key, path in sorted(image_files.items())]


def label_faults(records: Iterable[LabeledImage]) -> list[str]:
    """Find faults of label images by their headers alone: one sentence for each kind of fault, with the files."""
    faults: dict[str, list[str]] = {}
    for record in records:
        try:
            fault = _header_fault(record)
        except UserError as error:
            fault = ("cannot be read", str(error))
        if fault is not None:
            faults.setdefault(fault[0], []).append(fault[1])
    return [f"{len(files)} label images: {what}: {_listed(files)}" for what, files in faults.items()]


def unknown_ids(records: Iterable[LabeledImage], class_set: ClassSet) -> list[str]:
    """Find label images with ids that belong to no class, in one sentence; every image is decoded."""
    wrong = []
    for record in records:
        try:
            read_classes(record, class_set)
        except UserError as error:
            wrong.append(str(error))
    return [f"{len(wrong)} label images: {'; '.join(wrong[:_NAMED])}"] if wrong else []


def refuse_white_masks(records: Iterable[LabeledImage], class_set: ClassSet, source: str) -> None:
    """Refuse label images that hold only 255, which means no class, or only 255 and the first class.

    Usually the first image shows other classes, and the others are not decoded.

    Raises:
        UserError: All label images are so, or one that was decoded is broken.
    """
    found: set[int] = set()
    for record in records:
        found |= set(np.unique(read_classes(record, class_set)).tolist())
        if found - {0, IGNORED}:
            return
    if found == {IGNORED}:
        raise UserError(f"{source}: no pixel of its label images has a class (expected other ids than 255)")
    if found == {0, IGNORED} and len(class_set) > 1:
        raise UserError(
            f"{source}: its label images hold only {class_set.class_names[0]} and 255, which means no class "
            f"(expected the id of {class_set.class_names[1]} instead of 255)"
        )


def read_classes(record: LabeledImage, class_set: ClassSet) -> Image:
    """Read the class of every pixel of a label image.

    Returns:
        uint8 (height, width): classes, or ``IGNORED``.

    Raises:
        UserError: The file is missing, broken or of another kind, or has an id that belongs to no class.
    """
    import cv2

    path = record.label_file
    content = read_bytes(path)
    if fault := _png_fault(content):
        raise UserError(f"{path}: {fault}")
    read_header(content, str(path))  # checksums
    decoded = cv2.imdecode(np.frombuffer(critical_png_chunks(content), np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise UserError(f"{path}: cannot be decoded (a damaged PNG file)")
    try:
        return class_set.classes_of(np.asarray(decoded, np.uint8))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _by_key(folder: str, pattern: str, suffix: str) -> dict[str, Path]:
    """Find files by the part of the path that partners share: without the end of the name.

    Raises:
        UserError: There is no such folder, or two of its files have the same name.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"{folder}: no such folder")
    found: dict[str, Path] = {}
    for path in sorted(root.glob(pattern)):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        name = path.relative_to(root).as_posix()
        key = name.removesuffix(suffix) if suffix else path.stem
        if key in found:
            raise UserError(f"{found[key]} and {path.name}: have the same name (expected one picture of each name)")
        found[key] = path
    return found


def _header_fault(record: LabeledImage) -> tuple[str, str] | None:
    """Kind of fault and the file that has it, from the beginning of a label image and the header of its photo."""
    with record.label_file.open("rb") as file:
        start = file.read(33)
    if fault := _png_fault(start):
        return fault, record.label_file.name
    size = _png_size(start)
    with record.image_file.open("rb") as file:
        start = file.read(33)
    if start.startswith(_PNG):
        image_size = _png_size(start)
    else:
        image_size = read_header(read_bytes(record.image_file), str(record.image_file)).upright_wh
    if size == image_size:
        return None
    sizes = f"{size[0]}x{size[1]}, not {image_size[0]}x{image_size[1]}"
    return "differs in size from the image", f"{record.label_file.name} ({sizes})"


def _png_fault(content: bytes) -> str | None:
    """Reason why a file does not begin as a label image, or None."""
    wanted = "(expected a PNG of 8-bit gray levels, each the id of a class)"
    if not content.startswith(_PNG) or len(content) < 33:
        return f"not a PNG {wanted}"
    depth, color_type = content[24], content[25]
    if color_type == 3:
        return f"a palette PNG {wanted}"
    if depth != 8:
        return f"a PNG of {depth} bits {wanted}"
    return None if color_type == 0 else f"a PNG in color {wanted}"


def _png_size(content: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", content, 16)
    return width, height


def _listed(files: Sequence[Path | str]) -> str:
    names = [file.name if isinstance(file, Path) else file for file in files[:_NAMED]]
    more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    return ", ".join(names) + more
