import os
from pathlib import Path

import pytest

from litehrnet.cli.inputs import find_inputs
from litehrnet.errors import UserError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with pictures and what is none."""
    for name in ("b.jpg", "a.PNG", "c.tiff", "notes.txt", ".hidden.jpg", "[1].jpg", "1.jpg", "folder.jpg/d.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(*arguments: Path | str) -> list[str]:
    return [path.name for path in find_inputs([str(each) for each in arguments]).photos]


def test_a_folder_gives_its_pictures_by_name(photos: Path) -> None:
    assert names(photos) == ["1.jpg", "[1].jpg", "a.PNG", "b.jpg", "c.tiff"]


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "jpe", "JFIF", "mpo", "png", "webp", "bmp", "tif", "TIFF"])
def test_every_readable_format_is_a_picture(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"photo.{suffix}").touch()
    assert names(tmp_path) == [f"photo.{suffix}"]


def test_files_of_other_kinds_in_folders_are_counted(photos: Path) -> None:
    for name in ("x.XCF", "y.xcf", "README"):
        (photos / name).touch()
    expected = {".txt": 1, ".xcf": 2, "without suffix": 1}
    assert find_inputs([str(photos), f"{photos}{os.sep}", str(photos / "b.jpg")]).passed_over == expected
    assert find_inputs([str(photos / "notes.txt"), str(photos / "*.txt")]).passed_over == {}


def test_folders_and_patterns_give_videos_too(photos: Path) -> None:
    for name in ("clip.MP4", "z.h264"):
        (photos / name).touch()
    found = find_inputs([str(photos / "*.MP4"), str(photos), "rtsp://camera.local/live"])
    assert [source.name for source in found.sources] == [
        str(photos / "clip.MP4"),
        str(photos / "z.h264"),
        "rtsp://camera.local/live",
    ]
    assert len(found.photos) == 5
    assert found.passed_over == {".txt": 1}
    only_photos = find_inputs([str(photos)], folder_videos=False)
    assert only_photos.sources == []
    assert only_photos.passed_over == {".h264": 1, ".mp4": 1, ".txt": 1}


def test_a_folder_of_videos_needs_no_photo(tmp_path: Path) -> None:
    (tmp_path / "clip.vob").touch()
    found = find_inputs([str(tmp_path)])
    assert (found.photos, len(found.sources)) == ([], 1)


def test_a_named_file_is_taken_whatever_its_suffix(photos: Path) -> None:
    assert find_inputs([str(photos / "notes.txt")]).photos == [photos / "notes.txt"]
    assert names(photos / ".hidden.jpg") == [".hidden.jpg"]


def test_a_pattern_gives_the_files_it_matches(photos: Path) -> None:
    assert names(photos / "*.jpg") == ["1.jpg", "[1].jpg", "b.jpg"]
    assert names(photos / "**" / "*.jpeg") == ["d.jpeg"]


def test_brackets_of_an_existing_file_are_no_pattern(photos: Path) -> None:
    assert names(photos / "[1].jpg") == ["[1].jpg"]
    (photos / "[1].jpg").unlink()
    assert names(photos / "[1].jpg") == ["1.jpg"]


def test_the_order_is_that_of_the_arguments_and_every_file_comes_once(photos: Path) -> None:
    assert names(photos / "c.tiff", photos / "b.jpg", photos, photos / "*.tiff") == [
        "c.tiff",
        "b.jpg",
        "1.jpg",
        "[1].jpg",
        "a.PNG",
    ]


def test_a_file_under_two_spellings_comes_once(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    assert find_inputs(["b.jpg", f".{os.sep}b.jpg", str(photos / "b.jpg")]).photos == [Path("b.jpg")]


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("none.jpg", "none.jpg: no such file"),
        ("*.webp", r"\*.webp: no file matches this pattern"),
        ("folder*", r"folder\*: no file matches this pattern"),
        ("", "no photos given, or an empty name"),
        ("x" * 300, "cannot be read"),
    ],
)
def test_what_names_nothing_is_refused(
    photos: Path, monkeypatch: pytest.MonkeyPatch, argument: str, sentence: str
) -> None:
    monkeypatch.chdir(photos)
    with pytest.raises(UserError, match=sentence):
        find_inputs([argument])


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r": no pictures in this folder, but 1 \.txt \(expected \.3g2, "):
        find_inputs([str(tmp_path)])


def test_no_arguments_are_refused() -> None:
    with pytest.raises(UserError, match="no photos given"):
        find_inputs([])
