"""HEIC and AVIF, written by pillow-heif and Pillow."""

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from litehrnet import UserError, read_image
from litehrnet.io.image_headers import read_header
from litehrnet.io.images import decode_image

pillow_heif = pytest.importorskip("pillow_heif")


def picture() -> NDArray[np.uint8]:
    """A red quarter, blue below and black beside it: no orientation looks like another one."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = (200, 30, 30)
    image[24:] = (40, 90, 160)
    return image


def photo(kind: str, pixels: NDArray[np.uint8], orientation: int = 1) -> bytes:
    pillow_heif.register_heif_opener()
    exif, content = Image.Exif(), io.BytesIO()
    exif[0x112] = orientation
    Image.fromarray(pixels).save(content, "HEIF" if kind == "HEIC" else kind, quality=95, exif=exif.tobytes())
    return content.getvalue()


TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: image.transpose(1, 0, 2)[:, ::-1],
    7: lambda image: image.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda image: image.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_photos_of_phones_are_read_upright(kind: str, orientation: int) -> None:
    content = photo(kind, picture(), orientation)
    upright = TURNS[orientation](picture())
    header = read_header(content, "photo")
    assert header.format == kind
    assert (header.width, header.height) == (64, 48)
    assert (header.orientation >= 5) == (orientation >= 5)
    image = decode_image(content, "photo")
    assert image.shape == upright.shape
    assert float(np.abs(image.astype(int) - upright).mean()) < 3


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_transparency_is_dropped_and_gray_has_three_channels(kind: str) -> None:
    alpha = np.full((48, 64, 1), 9, np.uint8)
    image = decode_image(photo(kind, np.concatenate([picture(), alpha], axis=2)), "photo")
    assert float(np.abs(image.astype(int) - picture()).mean()) < 3
    gray = decode_image(photo(kind, picture()[..., 2]), "photo")
    assert gray.shape == (48, 64, 3)
    assert float(np.abs(gray.astype(int) - picture()[..., 2:]).mean()) < 3


def test_ten_bits_become_eight() -> None:
    deep = picture()[..., ::-1].astype(np.uint16) * 4
    _, content = cv2.imencode(".avif", deep, [cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 95])
    image = decode_image(content.tobytes(), "photo")
    assert float(np.abs(image.astype(int) - picture()).mean()) < 3


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_every_shorter_file_is_refused(kind: str) -> None:
    content = photo(kind, picture())
    for size in range(12, len(content)):
        with pytest.raises(UserError, match=r"^photo: is cut short or damaged"):
            read_header(content[:size], "photo")
    assert read_header(content + b"bytes behind the end", "photo").width == 64


CONTENTS = {kind: photo(kind, picture()) for kind in ("HEIC", "AVIF")}


@given(kind=st.sampled_from(sorted(CONTENTS)), at=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_changed_byte_gives_a_picture_or_one_sentence(kind: str, at: int, value: int) -> None:
    content = bytearray(CONTENTS[kind])
    content[at % len(content)] = value
    try:
        image = decode_image(bytes(content), "photo")
    except UserError as error:
        assert str(error).startswith("photo: ")  # noqa: PT017
    else:
        assert image.dtype == np.uint8
        assert image.shape[2] == 3


def test_without_the_extra_one_sentence_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("litehrnet.optional.is_installed", lambda _: False)
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(CONTENTS["HEIC"])
    with pytest.raises(UserError, match=r"IMG_1\.HEIC: reading HEIC needs pillow_heif, .*'litehrnet\[heic\]'"):
        read_image(path)
