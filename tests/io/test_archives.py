import multiprocessing
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litehrnet.config.read import load_config
from litehrnet.errors import UserError
from litehrnet.io.archives import find_member, inside_archive, read_data_file, read_member
from litehrnet.io.files import read_bytes
from litehrnet.weights.weights_file import read_weights

CONTENT = b"a small file, " * 20


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("stored.txt", CONTENT)
        opened.writestr("inner/deflated.txt", CONTENT, zipfile.ZIP_DEFLATED)
    return path


def test_files_are_read_through_the_archive(archive: Path) -> None:
    assert read_data_file(archive / "stored.txt") == CONTENT
    assert read_data_file(archive / "inner" / "deflated.txt") == CONTENT
    assert find_member(archive, "inner/deflated.txt").file_size == len(CONTENT)


def test_only_archives_that_are_there_are_gone_through(tmp_path: Path) -> None:
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "folder.zip" / "a.txt").write_bytes(b"a")
    assert inside_archive(tmp_path / "folder.zip" / "a.txt") is None
    assert read_data_file(tmp_path / "folder.zip" / "a.txt") == b"a"
    with pytest.raises(UserError, match=r"none\.zip/a\.txt: no such file"):
        read_data_file(tmp_path / "none.zip" / "a.txt")


def test_an_archive_that_was_replaced_is_read_anew(archive: Path) -> None:
    assert read_data_file(archive / "stored.txt") == CONTENT
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("new.txt", b"new")
    os.utime(archive, (1, 1))
    assert read_data_file(archive / "new.txt") == b"new"
    with pytest.raises(UserError, match=r"set\.zip: has no file stored\.txt"):
        read_data_file(archive / "stored.txt")


def test_an_archive_cut_short_is_one_sentence(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"set\.zip: is not a zip archive, or is cut short"):
        read_data_file(archive / "stored.txt")


@pytest.mark.parametrize("name", ["stored.txt", "inner/deflated.txt"])
def test_damage_is_found_by_the_checksum(archive: Path, name: str) -> None:
    content = bytearray(archive.read_bytes())
    content[find_member(archive, name).header_offset + 30 + len(name) + 3] ^= 0x55
    archive.write_bytes(content)
    with pytest.raises(UserError, match=rf"set\.zip: is damaged \({name} cannot be unpacked"):
        read_data_file(archive / name)


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_compressions_are_refused_before_anything_is_read(tmp_path: Path, compression: int) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w", compression) as opened:
        opened.writestr("a.txt", CONTENT)
    with pytest.raises(UserError, match=r"other\.zip: a\.txt is encrypted, or not stored or deflated"):
        find_member(tmp_path / "other.zip", "a.txt")


def test_bad_compression_is_one_sentence(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    offset = find_member(archive, "stored.txt").header_offset
    central = content.index(b"PK\x01\x02")
    content[offset + 8] = content[central + 10] = 99
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"set\.zip: stored\.txt is encrypted, or not stored or deflated"):
        read_data_file(archive / "stored.txt")


def test_a_forked_process_opens_its_own_archive(archive: Path) -> None:
    assert read_data_file(archive / "stored.txt") == CONTENT
    with multiprocessing.get_context("fork").Pool(2) as pool:
        paths = [archive / "stored.txt", archive / "inner" / "deflated.txt"] * 50
        assert pool.map(read_data_file, paths) == [CONTENT] * 100


def test_plain_files_weights_and_recipes_are_not_looked_for_in_archives(archive: Path) -> None:
    for read in (read_bytes, read_weights, load_config):
        with pytest.raises(UserError, match=r"set\.zip.stored\.txt"):
            read(archive / "stored.txt")


@given(st.data())
def test_any_byte_may_be_wrong(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("broken") / "set.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a.txt", CONTENT, zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        read = read_member(path, "a.txt")
    except UserError:
        return  # which names the file
    assert read == CONTENT
