import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from litehrnet.errors import UserError
from litehrnet.io.image_headers import ImageHeader, critical_png_chunks, read_header

WIDTH, HEIGHT = 37, 23


def encode(suffix: str, *options: int) -> bytes:
    picture = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8), (0, 0), 2
    )
    written, content = cv2.imencode(suffix, picture, options)
    assert written
    return content.tobytes()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def jpeg_segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def exif(orientation: int, order: str = "<") -> bytes:
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0)


def tiff(entries: list[tuple[int, int, int, int]], order: str = "<", data: bytes = b"") -> bytes:
    magic = b"II*\0" if order == "<" else b"MM\0*"
    rows = b"".join(
        struct.pack(f"{order}HHI", tag, kind, number)
        + struct.pack(f"{order}HH" if kind == 3 else f"{order}I", *([value, 0] if kind == 3 else [value]))
        for tag, kind, number, value in entries
    )
    return magic + struct.pack(f"{order}I", 8 + len(data)) + data + struct.pack(f"{order}H", len(entries)) + rows


WHOLE = {
    "JPEG": encode(".jpg"),
    "JPEG progressive": encode(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "JPEG with restarts": encode(".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "PNG": encode(".png"),
    "WebP": encode(".webp", cv2.IMWRITE_WEBP_QUALITY, 80),
    "WebP lossless": encode(".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
    "BMP": encode(".bmp"),
    "TIFF": encode(".tiff"),
    "TIFF unpacked": encode(".tiff", cv2.IMWRITE_TIFF_COMPRESSION, 1),
}
JPEG, PNG = WHOLE["JPEG"], WHOLE["PNG"]


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_file_says_its_format_and_size(kind: str) -> None:
    header = read_header(WHOLE[kind], "photo")
    assert (header.format, header.width, header.height) == (kind.split()[0], WIDTH, HEIGHT)
    assert header.orientation == 1


@pytest.mark.parametrize("kind", WHOLE)
def test_every_shorter_file_is_refused(kind: str) -> None:
    content = WHOLE[kind]
    for length in range(len(content) - (2 if kind.startswith("JPEG") else 0)):
        with pytest.raises(UserError, match=r"^photo: (is empty|not an image|is cut short)"):
            read_header(content[:length], "photo")


@pytest.mark.parametrize("kind", WHOLE)
def test_bytes_behind_the_end_are_ignored(kind: str) -> None:
    assert read_header(WHOLE[kind] + b"\0junk\xff\xd9", "photo") == read_header(WHOLE[kind], "photo")


def test_a_thumbnail_inside_a_cut_jpeg_does_not_end_it() -> None:
    thumbnail = encode(".jpg", cv2.IMWRITE_JPEG_QUALITY, 5)
    content = JPEG[:2] + jpeg_segment(0xE1, b"Exif\0\0" + exif(1) + thumbnail) + JPEG[2:]
    assert read_header(content, "photo").width == WIDTH
    for length in range(2, len(content) - 2):
        with pytest.raises(UserError):
            read_header(content[:length], "photo")


def test_filling_before_a_jpeg_marker_is_skipped() -> None:
    content = JPEG[:2] + b"\xff\xff" + JPEG[2:-2] + b"\xff\xff\xff" + JPEG[-2:]
    assert read_header(content, "photo") == ImageHeader("JPEG", WIDTH, HEIGHT)


def test_a_jpeg_without_a_scan_is_refused() -> None:
    with pytest.raises(UserError, match="cut short or damaged"):
        read_header(b"\xff\xd8\xff\xe0\0\2\xff\xd9", "photo")


@pytest.mark.parametrize("at", [20, 45, -20, -5])
def test_a_changed_byte_of_a_png_is_noticed(at: int) -> None:
    content = bytearray(PNG)
    content[at] ^= 1
    with pytest.raises(UserError, match="damaged"):
        read_header(bytes(content), "photo")


def test_a_png_that_starts_without_its_header_is_refused() -> None:
    with pytest.raises(UserError, match="damaged"):
        read_header(PNG[:8] + png_chunk(b"tEXt", bytes(20)) + PNG[8:], "photo")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_read(orientation: int, order: str) -> None:
    block = exif(orientation, order)
    pixels = WHOLE["WebP"][20:]
    files = {
        "JPEG": JPEG[:2] + jpeg_segment(0xE1, b"Exif\0\0" + block) + JPEG[2:],
        "PNG": PNG[:33] + png_chunk(b"eXIf", block) + PNG[33:],
        "WebP": riff((b"VP8 ", pixels), (b"EXIF", block)),
        "TIFF": tiff(
            [(256, 3, 1, WIDTH), (257, 3, 1, HEIGHT), (273, 4, 1, 8), (274, 3, 1, orientation), (279, 4, 1, 5)],
            order,
            bytes(5),
        ),
    }
    for image_format, content in files.items():
        assert read_header(content, "photo") == ImageHeader(image_format, WIDTH, HEIGHT, orientation)


@pytest.mark.parametrize("block", [exif(0), exif(9), exif(6)[:15], b"II*\0\xff\xff\xff\xff", b"", b"junk"])
def test_an_orientation_that_makes_no_sense_is_none(block: bytes) -> None:
    content = JPEG[:2] + jpeg_segment(0xE1, b"Exif\0\0" + block) + JPEG[2:]
    assert read_header(content, "photo").orientation == 1


def test_the_orientation_is_found_behind_another_segment_of_its_kind() -> None:
    xmp = jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
    content = JPEG[:2] + xmp + jpeg_segment(0xE1, b"Exif\0\0" + exif(8)) + JPEG[2:]
    assert read_header(content, "photo").orientation == 8


def test_the_canvas_of_an_extended_webp_is_its_size() -> None:
    canvas = bytes(4) + (99).to_bytes(3, "little") + (49).to_bytes(3, "little")
    content = riff((b"VP8X", canvas), (b"VP8 ", WHOLE["WebP"][20:]))
    assert read_header(content, "photo") == ImageHeader("WebP", 100, 50)


@pytest.mark.parametrize("content", [riff(), riff((b"EXIF", exif(1)))])
def test_a_webp_without_a_picture_is_refused(content: bytes) -> None:
    with pytest.raises(UserError, match="damaged"):
        read_header(content, "photo")


def test_tiles_of_a_tiff_are_followed() -> None:
    sizes = [(256, 3, 1, 16), (257, 3, 1, 16)]
    for counts, whole in ((4, True), (4000, False)):
        content = tiff([*sizes, (324, 4, 1, 8), (325, 4, 1, counts)], data=bytes(4))
        if whole:
            assert read_header(content, "photo") == ImageHeader("TIFF", 16, 16)
        else:
            with pytest.raises(UserError, match="cut short"):
                read_header(content, "photo")


def test_a_tiff_without_strips_or_tiles_is_refused() -> None:
    with pytest.raises(UserError, match="damaged"):
        read_header(tiff([(256, 3, 1, 16), (257, 3, 1, 16)]), "photo")


def test_a_tiff_that_declares_more_strips_than_bytes_is_refused() -> None:
    with pytest.raises(UserError, match="cut short"):
        read_header(tiff([(256, 3, 1, 16), (273, 4, 2**32 - 1, 8), (279, 4, 2**32 - 1, 8)]), "photo")


def test_run_length_coded_bmp_files_are_measured_by_their_declared_size() -> None:
    head = struct.pack("<HIIIIiiHHII16x", 0x4D42, 0, 0, 54, 40, 100, 100, 1, 8, 1, 10)
    assert read_header(head + bytes(10), "photo") == ImageHeader("BMP", 100, 100)
    with pytest.raises(UserError, match="cut short"):
        read_header(head + bytes(9), "photo")


def test_the_oldest_kind_of_bmp_is_read() -> None:
    content = struct.pack("<HIIIIHHHH", 0x4D42, 0, 0, 26, 12, 2, 2, 1, 24) + bytes(16)
    assert read_header(content, "photo") == ImageHeader("BMP", 2, 2)


@pytest.mark.parametrize(
    "content",
    [b"just some text", b"GIF89a" + bytes(20), b"\0\0\0\x18ftypisom" + bytes(20), b"RIFF\4\0\0\0WAVE", b"%PDF-1.7"],
)
def test_other_files_are_not_images(content: bytes) -> None:
    with pytest.raises(UserError, match=r"^photo\.jpg: not an image \(expected JPEG, .*, HEIC or AVIF\)$"):
        read_header(content, "photo.jpg")


@pytest.mark.parametrize(("brand", "name"), [(b"heic", "HEIC"), (b"mif1", "HEIC"), (b"avif", "AVIF")])
def test_cut_photos_of_phones_are_named_by_their_format(brand: bytes, name: str) -> None:
    with pytest.raises(UserError, match=rf"^photo\.jpg: is cut short or damaged \(expected a whole {name} file\)$"):
        read_header(b"\0\0\0\x18ftyp" + brand + bytes(20), "photo.jpg")


def test_an_empty_file_has_its_own_sentence() -> None:
    with pytest.raises(UserError, match=r"^photo\.jpg: is empty"):
        read_header(b"", "photo.jpg")


def test_critical_chunks_keep_the_pixels_of_a_png_and_nothing_else() -> None:
    noted = PNG[:33] + png_chunk(b"tEXt", b"Comment\0hello") + png_chunk(b"eXIf", exif(3)) + PNG[33:]
    assert critical_png_chunks(noted) == critical_png_chunks(PNG)
    assert b"tEXt" in noted
    assert b"tEXt" not in critical_png_chunks(noted)
    pixels = [cv2.imdecode(np.frombuffer(c, np.uint8), 1) for c in (PNG, critical_png_chunks(noted))]
    np.testing.assert_array_equal(pixels[0], pixels[1])


_MAGICS = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x20\0\0\0WEBP", b"BM", b"II*\0", b"MM\0*"]
_MAGICS += [b"\0\0\0\x10ftypheic\0\0\0\0"]


@given(
    magic=st.sampled_from(_MAGICS),
    rest=st.binary(max_size=200),
)
def test_random_bytes_are_read_or_refused_in_one_sentence(magic: bytes, rest: bytes) -> None:
    try:
        header = read_header(magic + rest, "photo")
    except UserError as error:
        assert str(error).startswith("photo: ")  # noqa: PT017
    else:
        assert 1 <= header.orientation <= 8
