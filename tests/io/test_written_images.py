"""Pictures that are written and read back."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from litehrnet.errors import UserError
from litehrnet.io.images import read_image, write_image

Picture = NDArray[np.uint8]


def smooth(width: int = 64, height: int = 48) -> Picture:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.uint8)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".webp"])
def test_a_written_picture_is_read_back(tmp_path: Path, suffix: str) -> None:
    path, picture = tmp_path / f"out{suffix}", smooth()[::-1, :, ::-1]
    write_image(path, picture)
    difference = np.abs(read_image(path).astype(int) - picture)
    assert difference.mean() < (1e-9 if suffix == ".png" else 3)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_quality_makes_a_jpeg_larger(tmp_path: Path) -> None:
    for quality in (30, 95):
        write_image(tmp_path / f"{quality}.jpg", smooth(), quality)
    assert (tmp_path / "95.jpg").stat().st_size > 1.5 * (tmp_path / "30.jpg").stat().st_size


@pytest.mark.parametrize("name", ["out.gif", "out", "out.tiff"])
def test_other_suffixes_are_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"expected \.jpg, \.jpeg, \.png, \.webp"):
        write_image(tmp_path / name, smooth())
    assert not list(tmp_path.iterdir())


def test_a_picture_too_large_for_its_format_is_not_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("out.webp", "out.jpg"):
        with pytest.raises(UserError, match="70000 x 1 pixels are too many"):
            write_image(tmp_path / name, np.zeros((1, 70000, 3), np.uint8))
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
