import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from litehrnet import UserError, make_photo, write_image
from litehrnet.detectors.detections import DetectedBoxes
from litehrnet.inference.photo import as_rgb

RGB: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def test_files_their_content_and_open_files_are_the_same_image(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    write_image(path, RGB)
    content = path.read_bytes()
    with path.open("rb") as opened:
        for image in (path, str(path), content, bytearray(content), memoryview(content), io.BytesIO(content), opened):
            np.testing.assert_array_equal(as_rgb(image, "photo"), RGB)


def test_gray_and_rgba_arrays_are_taken() -> None:
    gray = RGB[..., :1]
    for image in (gray, gray[..., 0]):
        np.testing.assert_array_equal(as_rgb(image, "photo"), gray.repeat(3, axis=2))
    np.testing.assert_array_equal(as_rgb(np.dstack([RGB, gray]), "photo"), RGB)
    assert as_rgb(RGB[:, ::-1], "photo").flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_in_0_to_1_and_in_0_to_255_are_told_apart(dtype: type[np.floating[Any]]) -> None:
    for image in (RGB.astype(dtype), (RGB / 255).astype(dtype)):
        np.testing.assert_array_equal(as_rgb(image, "photo"), RGB)
    assert as_rgb(np.zeros((4, 4), dtype), "photo").max() == 0


def test_arrays_may_have_their_channels_first() -> None:
    np.testing.assert_array_equal(as_rgb(RGB.transpose(2, 0, 1), "photo"), RGB)
    gray = RGB[..., 0]
    np.testing.assert_array_equal(as_rgb(gray[None], "photo"), gray[..., None].repeat(3, axis=2))
    np.testing.assert_array_equal(as_rgb(RGB[:3], "photo"), RGB[:3])  # three rows, not three channels


def test_channels_of_arrays_may_be_in_the_order_of_opencv(tmp_path: Path) -> None:
    bgr = np.ascontiguousarray(RGB[..., ::-1])
    for image in (bgr, bgr / 255, bgr.transpose(2, 0, 1), np.dstack([bgr, bgr[..., 0]])):
        np.testing.assert_array_equal(as_rgb(image, "photo", "bgr"), RGB)
    write_image(tmp_path / "photo.png", RGB)
    np.testing.assert_array_equal(as_rgb(tmp_path / "photo.png", "photo", "bgr"), RGB)  # files know their order
    with pytest.raises(UserError, match=r"^channels 'gbr': unknown order \(expected rgb or bgr\)"):
        as_rgb(RGB, "photo", "gbr")  # type: ignore[arg-type]


def test_tensors_are_taken_with_channels_first_or_last() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(RGB)
    floats = (tensor / 255).permute(2, 0, 1).requires_grad_()
    for image in (tensor, tensor.permute(2, 0, 1), floats, floats.double(), tensor.bfloat16()):
        np.testing.assert_allclose(as_rgb(image, "photo").astype(int), RGB, atol=1 if image.dtype.itemsize == 2 else 0)
    np.testing.assert_array_equal(as_rgb(tensor.flip(2), "photo", "bgr"), RGB)
    with pytest.raises(UserError, match=r"^photo: a tensor of shape \(3, 16, 3\) \(expected one axis of 1, 3 or 4"):
        as_rgb(tensor[:3], "photo")
    with pytest.raises(UserError, match=r"^photo: uint8 array of shape \(1, 12, 16, 3\) \(expected"):
        as_rgb(tensor[None], "photo")
    for unreadable in (floats.to_sparse(), floats.to("meta")):
        with pytest.raises(UserError, match=r"^photo: a tensor that NumPy cannot read"):
            as_rgb(unreadable, "photo")


def test_pil_images_are_taken_with_their_own_pixels() -> None:
    pil = pytest.importorskip("PIL.Image")
    image = pil.fromarray(RGB)
    np.testing.assert_array_equal(as_rgb(image, "photo"), RGB)
    alpha = image.copy()
    alpha.putalpha(0)
    np.testing.assert_array_equal(as_rgb(alpha, "photo"), RGB)
    gray = image.convert("L")
    np.testing.assert_array_equal(as_rgb(gray, "photo"), np.asarray(gray)[..., None].repeat(3, axis=2))
    assert as_rgb(image.convert("P"), "photo").shape == RGB.shape
    with pytest.raises(UserError, match=r"^photo: a PIL image of mode I;16 \(expected 8 bits per channel\)"):
        as_rgb(pil.fromarray(np.zeros((4, 4), np.uint16)), "photo")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (None, "photo: NoneType (expected a file's name or content"),
        ([[0]], "photo: list (expected a file's name or content"),
        (io.StringIO("text"), "photo: StringIO (expected a file's name or content"),
        (b"no picture", "photo: not an image"),
        (b"", "photo: is empty"),
        (RGB.astype(np.uint16), "photo: uint16 array of shape (12, 16, 3) (expected"),
        (RGB > 9, "photo: bool array of shape (12, 16, 3) (expected"),
        (RGB / 127.5 - 1, "photo: float64 array of shape (12, 16, 3) with values of -1 to 1 (expected 0..1 or 0..255)"),
        (RGB / 250, "photo: float64 array of shape (12, 16, 3) with values of 0 to 1.02 (expected"),
        (RGB * 257.0, "photo: float64 array of shape (12, 16, 3) with values of 0 to 65535 (expected"),
        (np.full((4, 4), np.nan), "photo: float64 array of shape (4, 4) with values of nan to nan (expected"),
        (RGB[:0], "photo: uint8 array of shape (0, 16, 3) (expected"),
        (RGB[..., :2], "photo: uint8 array of shape (12, 16, 2) (expected"),
        (RGB[None], "photo: uint8 array of shape (1, 12, 16, 3) (expected"),
    ],
)
def test_everything_else_is_one_sentence(image: Any, said: str) -> None:
    with pytest.raises(UserError) as error:
        as_rgb(image, "photo")
    assert str(error.value).startswith(said)


def test_the_surest_people_are_kept_in_their_order() -> None:
    boxes = [[0, 0, 5, 5], [1, 0, 5, 5], [2, 0, 5, 5]]
    photo = make_photo(RGB, boxes, [0.2, 0.9, 0.5], max_persons=2)
    assert photo.boxes[:, 0].tolist() == [1, 2]
    assert make_photo(RGB, boxes, max_persons=5).boxes[:, 0].tolist() == [0, 1, 2]


def test_only_boxes_of_a_detector_are_called_detected() -> None:
    class One:
        def detect(self, image: NDArray[np.uint8]) -> DetectedBoxes:
            return DetectedBoxes(np.array([[1, 2, 3, 4]], np.float32), np.array([0.5], np.float32))

    found = make_photo(RGB, detector=One())
    assert (found.detected, found.boxes.tolist(), found.box_scores.tolist()) == (True, [[1, 2, 3, 4]], [0.5])
    assert not make_photo(RGB, [[0, 0, 9, 9]], detector=One()).detected
    assert not make_photo(RGB).detected
