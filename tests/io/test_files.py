import os
import stat
from pathlib import Path

import pytest

from litehrnet.errors import UserError
from litehrnet.io.files import make_folder, read_bytes, replacing, write_bytes


def test_file_appears_whole_with_the_usual_permissions(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    write_bytes(path, b"content")
    assert path.read_bytes() == b"content"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    assert list(tmp_path.iterdir()) == [path]


def test_failure_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    write_bytes(path, b"old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"half of the n")
            assert path.read_bytes() == b"old"
            raise KeyError("on the way")

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone/out\.bin: cannot be written \(No such file or directory\)"):
        write_bytes(tmp_path / "gone" / "out.bin", b"")
    with pytest.raises(UserError, match="is a folder"):
        write_bytes(tmp_path, b"")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"file/sub: the folder cannot be created"):
        make_folder(tmp_path / "file" / "sub")


def test_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"out\.bin: cannot be written \(No space left on device\)"):
        write_bytes(tmp_path / "out.bin", b"content")
    assert list(tmp_path.iterdir()) == []


def test_reading_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone: no such file"):
        read_bytes(tmp_path / "gone")
    with pytest.raises(UserError, match="cannot be read"):
        read_bytes(tmp_path)
