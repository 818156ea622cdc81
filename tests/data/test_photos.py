import struct
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from litehrnet.data.photos import REDUCTIONS, PhotoCache, photo_fault, reduction_for, whole_from_reduced
from litehrnet.data.samples import cut, make_batch
from litehrnet.data.settings import AugmentationConfig, DataConfig
from litehrnet.data.trainingset import read_training_set
from litehrnet.io.images import write_image
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.crop import crop_matrices
from litehrnet.keypoints.skeletons import COCO

SIZE = (96, 128)


def _disc(path: Path, width: int, height: int) -> Path:
    """A photo with a soft white disc off its middle."""
    image = np.full((height, width, 3), 40, np.uint8)
    cv2.circle(image, (width * 5 // 9, height * 4 // 9), min(width, height) // 5, (230, 230, 230), -1, cv2.LINE_AA)
    write_image(path, image, quality=95)
    return path


def _turn(path: Path, orientation: int) -> None:
    """Add an Exif orientation to a JPEG file."""
    block = b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0)
    content = path.read_bytes()
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + content[2:])


def _centroid(crop: np.ndarray) -> np.ndarray:
    light = np.clip(crop.mean(axis=2) - 60, 0, None)
    y, x = np.indices(light.shape)
    return np.array([np.average(x, weights=light), np.average(y, weights=light)])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("width", "height"), [(800, 600), (803, 597), (1021, 1357)])
def test_a_reduced_crop_lies_where_the_exact_one_does(
    tmp_path: Path, width: int, height: int, orientation: int
) -> None:
    path = _disc(tmp_path / "disc.jpg", width, height)
    _turn(path, orientation)
    cache = PhotoCache()
    photo = cache.photo(path)
    center = np.array(photo.size_wh) / 2
    seen = set()
    for shrink, rotation in ((2.1, 0), (3, 25), (4.5, -40), (7, 10)):
        scale = np.array([shrink * SIZE[0] / 200, shrink * SIZE[1] / 200])
        matrix = crop_matrices(center[None], scale[None], SIZE, np.array([rotation]))[0]
        exact, reduced = (cut(photo, matrix, SIZE, cache, exact=exact) for exact in (True, False))
        seen.add(reduction_for(photo, matrix))
        np.testing.assert_allclose(_centroid(reduced), _centroid(exact), rtol=0, atol=0.1)
        assert np.abs(reduced.astype(int) - exact).mean() < 3
    assert seen == {2, 4}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reduced_pixels_are_means_of_the_squares_they_stand_for(
    tmp_path: Path, orientation: int, reduction: int
) -> None:
    """A ramp: the value of a reduced pixel tells which place of the whole picture it was made from."""
    ramp = np.add.outer(np.arange(93), 1.5 * np.arange(107))
    path = tmp_path / "ramp.jpg"
    write_image(path, np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8), quality=100)
    _turn(path, orientation)
    cache = PhotoCache()
    photo = cache.photo(path)
    whole, reduced = cache.image(photo).astype(float), cache.image(photo, reduction).astype(float)
    rows, columns = np.indices(reduced.shape[:2])[:, 2:-2, 2:-2].reshape(2, -1)
    place = whole_from_reduced(photo, reduction) @ np.array([columns, rows, np.ones(len(rows))])
    below, right = (np.gradient(whole[..., 0], axis=axis).mean() for axis in (0, 1))
    expected = whole[0, 0, 0] + right * place[0] + below * place[1]
    np.testing.assert_allclose(reduced[rows, columns, 0], expected, atol=1.2)


@pytest.mark.parametrize(
    ("shrink", "reduction"), [(0.5, 1), (1.99, 1), (2.01, 2), (3.99, 2), (4.01, 4), (7.99, 4), (8.01, 8), (50, 8)]
)
def test_photos_are_reduced_no_further_than_their_crops(tmp_path: Path, shrink: float, reduction: int) -> None:
    matrix = crop_matrices(np.zeros((1, 2)), np.array([[shrink, shrink]]), (200, 200), np.array([30.0]))[0]
    cache = PhotoCache()
    assert reduction_for(cache.photo(_disc(tmp_path / "a.jpg", 64, 64)), matrix) == reduction
    assert reduction_for(cache.photo(_disc(tmp_path / "a.png", 64, 64)), matrix) == 1


def test_held_photos_are_not_read_again_and_the_oldest_goes_first(tmp_path: Path) -> None:
    paths = [_disc(tmp_path / f"{number}.png", 100, 100) for number in range(3)]
    decoded = 100 * 100 * 3
    cache = PhotoCache(max_bytes=2 * decoded + 10_000)
    first = cache.image(cache.photo(paths[0]))
    second = cache.image(cache.photo(paths[1]))
    assert cache.image(cache.photo(paths[0])) is first
    cache.image(cache.photo(paths[2]))
    assert cache.image(cache.photo(paths[0])) is first
    assert cache.image(cache.photo(paths[1])) is not second


def test_a_photo_larger_than_the_cache_is_still_given(tmp_path: Path) -> None:
    cache = PhotoCache(max_bytes=10)
    assert cache.image(cache.photo(_disc(tmp_path / "a.png", 100, 100))).shape == (100, 100, 3)


@pytest.mark.slow
def test_memory_stays_flat_over_ten_thousand_samples(drawn_coco: DataConfig, tmp_path: Path) -> None:
    content = Path(drawn_coco.images, "1.jpg").read_bytes()
    training_set = read_training_set([drawn_coco], COCO, (32, 32), HeatmapCodec(), AugmentationConfig(), seed=0)
    records = []
    for number in range(200):
        path = tmp_path / f"copy{number}.jpg"
        path.write_bytes(content)
        records.append(replace(training_set.records[0], image_file=path))
    training_set = replace(training_set, records=tuple(records))
    cache = PhotoCache(max_bytes=2_000_000)  # less than all photos take
    held = []
    for start in range(0, 10_000, 50):
        make_batch(training_set, start // 200, [i % 200 for i in range(start, start + 50)], cache)
        held.append(_resident_bytes())
    assert max(held[40:]) - max(held[20:40]) < 2_000_000


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_photos_that_are_cut_short_or_no_pictures_are_found_without_decoding(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    path.write_bytes(cv2.imencode(suffix, picture)[1].tobytes())
    content = path.read_bytes()
    assert photo_fault(path) is None
    path.write_bytes(content + b"\0" * 10_000)  # what cameras write behind the picture
    assert photo_fault(path) is None
    path.write_bytes(content[: len(content) // 2])
    assert "is cut short or damaged" in str(photo_fault(path))
    path.write_bytes(b"<html>not found</html>")
    assert "not an image" in str(photo_fault(path))
    path.unlink()
    assert photo_fault(path) == f"{path}: no such file"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_size_that_is_not_the_photos_is_a_fault(tmp_path: Path, suffix: str) -> None:
    path = _disc(tmp_path / f"disc{suffix}", 80, 60)
    assert photo_fault(path, (80, 60)) is None
    assert photo_fault(path, (80.0, 60.0)) is None
    assert photo_fault(path, (60, 80)) == f"{path}: is 80x60 (expected 60x80, as in the annotations)"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_annotations_of_the_stored_pixels_are_a_fault_of_exif(tmp_path: Path, orientation: int) -> None:
    path = _disc(tmp_path / "disc.jpg", 80, 60)
    _turn(path, orientation)
    upright, other = ((60, 80), (80, 60)) if orientation >= 5 else ((80, 60), (60, 80))
    assert photo_fault(path, upright) is None
    assert ("Exif" in str(photo_fault(path, other))) == (orientation >= 5)


def test_the_size_is_found_behind_a_long_comment(tmp_path: Path) -> None:
    path = _disc(tmp_path / "disc.jpg", 80, 60)
    content = path.read_bytes()
    path.write_bytes(content[:2] + b"\xff\xfe" + struct.pack(">H", 60_000) + bytes(59_998) + content[2:])
    assert photo_fault(path, (80, 60)) is None
    assert "is 80x60" in str(photo_fault(path, (81, 60)))
