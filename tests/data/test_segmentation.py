from pathlib import Path

import cv2
import numpy as np
import pytest

from litehrnet.data.label_images import check_labeled_images, folder_images, read_classes, unknown_ids
from litehrnet.data.segmentation import read_segmentation_set
from litehrnet.data.settings import DataConfig, SegmentationConfig
from litehrnet.errors import UserError
from litehrnet.io.images import write_image
from litehrnet.segmentation.classes import CITYSCAPES, unnamed_classes

THREE = unnamed_classes(3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos of 24x16, JPEG and PNG, and their label images."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for index, name in enumerate(("a.jpg", "b.png", "c.png")):
        write_image(tmp_path / "images" / name, np.full((16, 24, 3), 40 * index, np.uint8))
        cv2.imwrite(str(tmp_path / "labels" / f"{name[0]}.png"), np.full((16, 24), index, np.uint8))
    return tmp_path


def _read(folder: Path) -> list[str]:
    records = folder_images(str(folder / "images"), str(folder / "labels"))
    check_labeled_images(records, "labels")
    return [f"{r.image_file.name} {r.label_file.name}" for r in records]


def test_photos_and_label_images_of_one_name_are_pairs(folder: Path) -> None:
    assert _read(folder) == ["a.jpg a.png", "b.png b.png", "c.png c.png"]


def test_cityscapes_lie_in_folders_of_cities(tmp_path: Path) -> None:
    for city, frame in (("aachen", "aachen_000000_000019"), ("bonn", "bonn_000001_000019")):
        image, label = tmp_path / "leftImg8bit/train" / city, tmp_path / "gtFine/train" / city
        image.mkdir(parents=True)
        label.mkdir(parents=True)
        write_image(image / f"{frame}_leftImg8bit.png", np.zeros((8, 16, 3), np.uint8))
        cv2.imwrite(str(label / f"{frame}_gtFine_labelIds.png"), np.full((8, 16), 26, np.uint8))
        cv2.imwrite(str(label / f"{frame}_gtFine_instanceIds.png"), np.full((8, 16), 26001, np.uint16))
    data = DataConfig("cityscapes", str(tmp_path / "gtFine/train"), str(tmp_path / "leftImg8bit/train"))
    cars = read_segmentation_set([data], CITYSCAPES, (16, 8), SegmentationConfig("cityscapes"), 0)
    assert [r.image_file.parent.name for r in cars.records] == ["aachen", "bonn"]
    assert read_classes(cars.records[0], CITYSCAPES).tolist() == [[13] * 16] * 8


def test_files_without_a_partner_are_named(folder: Path) -> None:
    (folder / "labels" / "b.png").unlink()
    (folder / "images" / "c.png").unlink()
    with pytest.raises(UserError) as raised:
        _read(folder)
    images, labels = str(raised.value).split("; ")
    assert images.startswith("1 images have no label image: b.png (expected a PNG of the same name in ")
    assert labels.startswith("1 label images have no image: c.png (expected a photo of the same name in ")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("size", "differs in size from the image: a.png (12x16, not 24x16), b.png (12x16, not 24x16)"),
        ("16 bits", "a PNG of 16 bits (expected a PNG of 8-bit gray levels, each the id of a class): a.png, b.png"),
        ("palette", "a palette PNG (expected a PNG of 8-bit gray levels, each the id of a class): a.png, b.png"),
        ("color", "a PNG in color (expected a PNG of 8-bit gray levels, each the id of a class): a.png, b.png"),
        ("JPEG", "not a PNG (expected a PNG of 8-bit gray levels, each the id of a class): a.png, b.png"),
    ],
)
def test_label_images_of_the_wrong_kind_are_one_sentence_naming_the_files(folder: Path, fault: str, said: str) -> None:
    from PIL import Image

    gray = np.zeros((16, 24), np.uint8)
    for name in ("a", "b"):
        path = folder / "labels" / f"{name}.png"
        match fault:
            case "size":
                cv2.imwrite(str(path), gray[:, :12])
            case "16 bits":
                cv2.imwrite(str(path), gray.astype(np.uint16))
            case "palette":
                picture = Image.fromarray(gray, "P")
                picture.putpalette([0, 0, 0, 255, 255, 255])
                picture.save(path)
            case "color":
                write_image(path, np.zeros((16, 24, 3), np.uint8))
            case _:
                path.write_bytes((folder / "images" / "a.jpg").read_bytes())
    with pytest.raises(UserError) as raised:
        _read(folder)
    assert str(raised.value) == f"2 label images: {said}"


def test_ids_outside_the_list_are_one_sentence_naming_the_files(folder: Path) -> None:
    cv2.imwrite(str(folder / "labels" / "b.png"), np.full((16, 24), 7, np.uint8))
    records = folder_images(str(folder / "images"), str(folder / "labels"))
    (said,) = unknown_ids(records, THREE)
    assert said.startswith("1 label images: ")
    assert said.endswith("b.png: class ids 7, which unnamed does not have (expected 0, 1, 2, 255)")
    with pytest.raises(UserError, match=r"b\.png: class ids 7"):
        read_classes(records[1], THREE)


def test_damaged_label_images_are_refused(folder: Path) -> None:
    path = folder / "labels" / "a.png"
    content = bytearray(path.read_bytes())
    content[45] ^= 1
    path.write_bytes(bytes(content))
    records = folder_images(str(folder / "images"), str(folder / "labels"))
    with pytest.raises(UserError, match=r"a\.png: "):
        read_classes(records[0], THREE)


def test_two_photos_of_one_name_and_missing_folders_are_refused(folder: Path) -> None:
    write_image(folder / "images" / "a.png", np.zeros((16, 24, 3), np.uint8))
    with pytest.raises(UserError, match="have the same name"):
        _read(folder)
    with pytest.raises(UserError, match="no such folder"):
        folder_images(str(folder / "nowhere"), str(folder / "labels"))


def test_masks_of_0_and_255_alone_are_refused(folder: Path) -> None:
    data = DataConfig("folder", str(folder / "labels"), str(folder / "images"))
    settings = SegmentationConfig("classes.toml")
    for name in "abc":
        mask = np.zeros((16, 24), np.uint8)
        mask[4:] = 255
        cv2.imwrite(str(folder / "labels" / f"{name}.png"), mask)
    with pytest.raises(UserError, match=r"labels: its label images hold only .* and 255, which means no class"):
        read_segmentation_set([data], THREE, (16, 8), settings, 0)
    cv2.imwrite(str(folder / "labels" / "c.png"), np.full((16, 24), 2, np.uint8))
    assert len(read_segmentation_set([data], THREE, (16, 8), settings, 0)) == 3
