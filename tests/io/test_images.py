import itertools
import struct
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from litehrnet.errors import UserError
from litehrnet.io.images import MAX_PIXELS, decode_image, read_image

Picture = NDArray[np.uint8]
CANVAS = (31).to_bytes(3, "little") + (15).to_bytes(3, "little")  # 32 x 16 as WebP stores it


def encode(suffix: str, image: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32], *options: int) -> bytes:
    written, content = cv2.imencode(suffix, image, options)
    assert written
    return content.tobytes()


def smooth(width: int = 64, height: int = 48) -> Picture:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.uint8)


def corner(width: int = 32, height: int = 16) -> Picture:
    """Draw a black image with a white upper left quarter, which looks different in all eight orientations."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = 255
    return image


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, color: int, rows: bytes, *ancillary: tuple[bytes, bytes]) -> bytes:
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)), *ancillary]
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in chunks)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(riff_chunks(*chunks))) + b"WEBP" + riff_chunks(*chunks)


def riff_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"".join(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks)


def lossless_webp(image: Picture) -> bytes:
    """The one VP8L chunk's data of a still WebP."""
    content = encode(".webp", image, cv2.IMWRITE_WEBP_QUALITY, 101)
    start = content.index(b"VP8L")
    return content[start + 8 : start + 8 + int.from_bytes(content[start + 4 : start + 8], "little")]


def animated_webp(grays: Sequence[int]) -> bytes:
    """Frames of 32 x 16 that fill the canvas, 100 ms each."""
    pixels = (lossless_webp(np.full((16, 32, 3), gray, np.uint8)) for gray in grays)
    frames = [(b"ANMF", bytes(6) + CANVAS + b"\x64\0\0" + b"\0" + riff_chunks((b"VP8L", each))) for each in pixels]
    return riff((b"VP8X", b"\2\0\0\0" + CANVAS), (b"ANIM", bytes(6)), *frames)


def exif(orientation: int) -> bytes:
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0)


def jpeg_with_exif(content: bytes, block: bytes) -> bytes:
    return content[:2] + struct.pack(">HH6s", 0xFFE1, len(block) + 8, b"Exif\0\0") + block + content[2:]


def tiff(data: bytes, **changes: int) -> bytes:
    """An unpacked gray TIFF of one strip; ``changes`` are tags as t274=6."""
    tags = {256: 32, 257: 16, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16, 279: len(data)}
    tags |= {int(name[1:]): value for name, value in changes.items()}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def cmyk_jpeg(inks: tuple[int, int, int, int]) -> bytes:
    """A baseline JPEG of one 8 x 8 block per component, each of one value (T.81: DC coefficients only)."""

    def segment(marker: int, data: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data

    bits = ""
    for ink in inks:
        value = ink - 128  # times 8 / 8: the quantizer of a flat block
        size = abs(value).bit_length()
        amplitude = value if value >= 0 else value + (1 << size) - 1
        # The DC code of n bits is n itself in four bits; the AC code "end of block" is a single 0.
        bits += f"{size:04b}" + (f"{amplitude:0{size}b}" if size else "") + "0"
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    return (
        b"\xff\xd8"
        + segment(0xDB, b"\0" + bytes([8] * 64))
        + segment(0xC0, struct.pack(">BHHB", 8, 8, 8, 4) + b"".join(bytes([i, 0x11, 0]) for i in range(1, 5)))
        + segment(0xC4, b"\0" + bytes([0, 0, 0, 9] + [0] * 12) + bytes(range(9)))
        + segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0")
        + segment(0xDA, b"\4" + b"".join(bytes([i, 0]) for i in range(1, 5)) + b"\0\x3f\0")
        + scan
        + b"\xff\xd9"
    )


PROGRESSIVE = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
KINDS = {
    "jpeg": encode(".jpg", smooth()),
    "progressive": encode(".jpg", smooth(), *PROGRESSIVE),
    "png": encode(".png", smooth()),
    "webp": encode(".webp", smooth(), cv2.IMWRITE_WEBP_QUALITY, 80),
    "lossless webp": encode(".webp", smooth(), cv2.IMWRITE_WEBP_QUALITY, 101),
    "bmp": encode(".bmp", smooth()),
    "tiff": encode(".tiff", smooth()),
}
EXACT = {kind: KINDS[kind] for kind in ("png", "lossless webp", "bmp", "tiff")}


@pytest.mark.parametrize("kind", EXACT)
def test_colors_come_out_as_rgb(kind: str) -> None:
    image = decode_image(EXACT[kind], "photo")
    np.testing.assert_array_equal(image, smooth()[..., ::-1])
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.writeable


@pytest.mark.parametrize("kind", ["jpeg", "progressive", "webp"])
def test_lossy_pictures_come_out_close(kind: str) -> None:
    difference = decode_image(KINDS[kind], "photo").astype(int) - smooth()[..., ::-1]
    assert np.abs(difference).mean() < 4  # of 255; the encoders' loss


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_file_is_an_error_and_never_a_partly_gray_picture(kind: str) -> None:
    content = KINDS[kind]
    end = len(content) - (2 if content.startswith(b"\xff\xd8") else 0)
    for length in itertools.chain(range(0, end, 37), range(end - 20, end)):
        with pytest.raises(UserError, match=r"^photo: "):
            decode_image(content[:length], "photo")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff"])
def test_a_picture_of_one_pixel_is_read(suffix: str) -> None:
    image = decode_image(encode(suffix, np.full((1, 1, 3), 200, np.uint8)), "photo")
    assert image.shape == (1, 1, 3)
    assert np.abs(image.astype(int) - 200).max() <= 2


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_of_16_bits_the_upper_8_are_kept(suffix: str, channels: int) -> None:
    values = np.arange(0, 65536, 17, dtype=np.uint16).reshape(-1, 8)
    image = decode_image(encode(suffix, np.dstack([values] * channels)), "photo")
    np.testing.assert_array_equal(image, np.dstack([values >> 8] * 3))


def test_gray_of_16_bits_that_runs_from_white_to_black_is_turned() -> None:
    data = struct.pack("<H", 0x1234) * 512
    image = decode_image(tiff(data, t258=16, t262=0), "photo")
    assert (image == 255 - 0x12).all()
    assert (decode_image(tiff(data[:512], t262=0), "photo")[0, :2, 0] == [255 - 0x34, 255 - 0x12]).all()


def test_floating_point_samples_are_refused() -> None:
    with pytest.raises(UserError, match=r"^photo: has samples of type float32 \(expected 8 or 16 bits\)$"):
        decode_image(encode(".tiff", np.ones((4, 4, 3), np.float32)), "photo")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff"])
def test_gray_becomes_three_equal_channels(suffix: str) -> None:
    gray = smooth()[..., 0]
    image = decode_image(encode(suffix, gray, cv2.IMWRITE_WEBP_QUALITY, 101), "photo")
    assert (image == image[..., :1]).all()
    assert np.abs(image[..., 0].astype(int) - gray).mean() < 4  # JPEG's loss


def test_one_bit_gray_is_black_and_white() -> None:
    image = decode_image(png(8, 1, 1, 0, b"\0\x0f"), "photo")
    assert image[0, :, 0].tolist() == [0] * 4 + [255] * 4


@pytest.mark.parametrize("transparency", [[], [(b"tRNS", b"\0\x80")]])
def test_a_palette_gives_its_colors(transparency: list[tuple[bytes, bytes]]) -> None:
    colors = (b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255]))
    image = decode_image(png(3, 1, 8, 3, b"\0\0\1\2", colors, *transparency), "photo")
    assert image.tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp", ".webp"])
@pytest.mark.parametrize("alpha", [1, 128])
def test_transparency_is_dropped_and_the_colors_under_it_stay(suffix: str, alpha: int) -> None:
    picture = np.dstack([smooth(), np.full((48, 64), alpha, np.uint8)])
    content = encode(suffix, picture, cv2.IMWRITE_WEBP_QUALITY, 101)
    np.testing.assert_array_equal(decode_image(content, "photo"), smooth()[..., ::-1])


@pytest.mark.parametrize(
    ("inverted_inks", "rgb"),
    [((255, 255, 255, 255), (255, 255, 255)), ((200, 100, 50, 255), (200, 100, 50)), ((255, 255, 255, 0), (0, 0, 0))],
)
def test_a_cmyk_jpeg_becomes_rgb(inverted_inks: tuple[int, int, int, int], rgb: tuple[int, int, int]) -> None:
    image = decode_image(cmyk_jpeg(inverted_inks), "photo")
    assert image.shape == (8, 8, 3)
    assert np.abs(image.astype(int) - rgb).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied_in_every_format_that_has_one(orientation: int) -> None:
    upright = corner(16, 32) if orientation >= 5 else corner()
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    block = exif(orientation)
    jpeg, still = encode(".jpg", corner()), encode(".png", corner())
    files = {
        "jpeg": jpeg_with_exif(jpeg, block),
        "png": still[:33] + png_chunk(b"eXIf", block) + still[33:],
        "webp": riff((b"VP8X", b"\x08\0\0\0" + CANVAS), (b"VP8L", lossless_webp(corner())), (b"EXIF", block)),
        "tiff": tiff(corner()[..., 0].tobytes(), t274=orientation),
        "16-bit tiff": tiff((corner()[..., 0] * np.array(257, "<u2")).tobytes(), t258=16, t274=orientation),
    }
    for name, content in files.items():
        image = decode_image(content, name)
        assert image.shape == upright.shape
        assert np.abs(image.astype(int) - upright).max() < 30, name  # JPEG's loss at the edge


def test_the_orientation_of_a_jpeg_agrees_with_opencv() -> None:
    for orientation in range(1, 9):
        content = jpeg_with_exif(encode(".jpg", smooth()), exif(orientation))
        expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert expected is not None
        np.testing.assert_array_equal(decode_image(content, "photo"), expected[..., ::-1])


def test_the_first_frame_of_an_animated_png_is_read() -> None:
    def frame(gray: int) -> bytes:
        return (b"\0" + bytes([gray] * 3 * 4)) * 2

    def control(number: int) -> tuple[bytes, bytes]:
        return b"fcTL", struct.pack(">IIIIIHHBB", number, 4, 2, 0, 0, 1, 10, 0, 0)

    first = png(4, 2, 8, 2, frame(10), (b"acTL", struct.pack(">II", 2, 0)), control(0))
    second = png_chunk(*control(1)) + png_chunk(b"fdAT", struct.pack(">I", 2) + zlib.compress(frame(200)))
    image = decode_image(first[:-12] + second + first[-12:], "photo")
    assert image.shape == (2, 4, 3)
    assert (image == 10).all()


def test_of_an_animated_webp_the_first_frame_is_read_or_the_opencv_is_named() -> None:
    content = animated_webp([10, 200])
    if tuple(int(part) for part in cv2.__version__.split(".")[:2]) >= (4, 11):
        image = decode_image(content, "photo")
        assert image.shape == (16, 32, 3)
        assert (image == 10).all()
    else:
        with pytest.raises(UserError, match=r"^photo: cannot be decoded .*WebP.*OpenCV"):
            decode_image(content, "photo")


def test_the_first_page_of_a_tiff_is_read(tmp_path: Path) -> None:
    pages = [np.full((4, 6, 3), gray, np.uint8) for gray in (10, 200)]
    cv2.imwritemulti(str(tmp_path / "pages.tiff"), pages)
    assert (read_image(tmp_path / "pages.tiff") == 10).all()


def oversized_jpeg() -> bytes:
    content = bytearray(KINDS["jpeg"])
    start = content.index(b"\xff\xc0") + 5
    content[start : start + 4] = struct.pack(">HH", 60000, 60000)
    return bytes(content)


@pytest.mark.parametrize("content", [png(60000, 60000, 8, 2, b"\0"), oversized_jpeg()])
def test_a_header_that_declares_too_many_pixels_is_refused_before_memory_is_taken(content: bytes) -> None:
    with pytest.raises(UserError, match=r"^photo: 60000 x 60000 pixels are too many \(expected at most 200 million\)"):
        decode_image(content, "photo")
    assert MAX_PIXELS < 60000**2


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0)])
def test_a_picture_without_pixels_is_refused(width: int, height: int) -> None:
    with pytest.raises(UserError, match=rf"^photo: has no pixels \(its size is {width} x {height}\)$"):
        decode_image(png(width, height, 8, 2, b""), "photo")


def test_a_faulty_color_profile_is_ignored_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    profile = (b"iCCP", b"x\0\0" + zlib.compress(b"junk" * 30))
    assert decode_image(png(1, 1, 8, 2, b"\0\1\2\3", profile), "photo").tolist() == [[[1, 2, 3]]]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("size_wh", [(64, 48), (61, 45)])
def test_a_jpeg_that_lacks_only_its_end_marker_is_read_with_a_warning(
    progressive: int, size_wh: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)
    content = encode(".jpg", pixels, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    for missing in (2, 1):
        name = f"{progressive} {size_wh} {missing}.jpg"
        np.testing.assert_array_equal(decode_image(content[:-missing], name), decode_image(content, "whole"))
        assert f"{name}: lacks its end marker" in caplog.text
    for missing in range(3, 300):
        with pytest.raises(UserError, match="photo: is cut short"):
            decode_image(content[:-missing], "photo")


def test_opencv_is_silent_about_what_it_cannot_read(capfd: pytest.CaptureFixture[str]) -> None:
    for content in (tiff(bytes(512), t258=4), tiff(bytes(100), t259=77), animated_webp([1])):
        try:
            decode_image(content, "photo")
        except UserError as error:
            assert "cannot be decoded" in str(error)  # noqa: PT017
    decode_image(encode(".tiff", np.zeros((2, 2, 4), np.uint8)), "photo")
    assert capfd.readouterr() == ("", "")


def test_the_log_level_of_opencv_is_as_it_was_after_threads_have_read() -> None:
    log = getattr(cv2.utils, "logging", cv2)
    before = log.getLogLevel()
    log.setLogLevel(2)

    def read() -> None:
        for _ in range(20):
            decode_image(KINDS["png"], "photo")

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = log.getLogLevel()
    log.setLogLevel(before)
    assert after == 2


@given(data=st.data())
def test_flipped_bits_give_a_picture_or_one_sentence(data: st.DataObject) -> None:
    content = bytearray(KINDS[data.draw(st.sampled_from(list(KINDS)))])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        image = decode_image(bytes(content), "photo")
    except UserError as error:
        assert str(error).startswith("photo: ")  # noqa: PT017
    else:
        assert image.ndim == 3
        assert image.shape[2] == 3


def test_text_named_as_a_photo_is_not_an_image(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_text("a shopping list")
    with pytest.raises(UserError, match=r"photo\.jpg: not an image \(expected JPEG, PNG, .*, HEIC or AVIF\)$"):
        read_image(path)


def test_the_content_counts_and_not_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(KINDS["png"])
    np.testing.assert_array_equal(read_image(str(tmp_path / "photo.jpg")), smooth()[..., ::-1])


def test_missing_empty_and_folders_have_a_sentence_each(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    for name, sentence in (("none.jpg", "no such file"), ("empty.jpg", "is empty"), (".", "cannot be read")):
        with pytest.raises(UserError, match=sentence):
            read_image(tmp_path / name)


def test_every_photo_of_the_development_set_is_read(shared: Path) -> None:
    photos = sorted((shared / "data" / "coco_dev" / "images").glob("*.jpg"))
    assert len(photos) == 313
    for path in photos:
        assert min(read_image(path).shape[:2]) > 100
