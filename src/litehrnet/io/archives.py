"""Files inside zip archives, by paths that go through them, such as ``train-0/003.zip/000017_street.jpg``.

An archive is opened for each file that is read: nothing is shared between processes, and only the index is held.
"""

import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from litehrnet.errors import UserError

_LOCAL_HEADER = 30  # bytes before the name; the lengths of name and extra field are its last four
_INDEXES = 64


class Member(NamedTuple):
    """Where a file lies in an archive, and what is known of it."""

    offset: int
    stored: int
    size: int
    checksum: int
    deflated: bool


def inside_archive(path: Path) -> tuple[Path, str] | None:
    """The archive that a path goes through and the name of the file in it; None for a path of the ordinary kind."""
    for parent in path.parents:
        if parent.suffix.lower() == ".zip" and parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    return None


def find_member(archive: Path, name: str) -> Member:
    """Look a file up without reading it.

    Raises:
        UserError: The archive cannot be read, is broken, or has no such file.
    """
    try:
        status = archive.stat()
        members = _index(archive, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise UserError(f"{archive}: cannot be read ({error.strerror})") from error
    if name not in members:
        raise UserError(f"{archive}: has no file {name}")
    return members[name]


def read_member(archive: Path, name: str) -> bytes:
    """Read a file in an archive; its checksum must be right.

    Raises:
        UserError: The archive cannot be read, is broken, or has no such file.
    """
    member = find_member(archive, name)
    try:
        with archive.open("rb") as file:
            file.seek(member.offset)
            header = file.read(_LOCAL_HEADER)
            skipped = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
            file.seek(skipped, 1)
            content = file.read(member.stored)
    except OSError as error:
        raise UserError(f"{archive}: cannot be read ({error.strerror})") from error
    if member.deflated:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, member.size + 1)
        except zlib.error:
            content = b""
    if len(content) != member.size or zlib.crc32(content) != member.checksum:
        raise UserError(f"{archive}: is damaged (its file {name} has another checksum than it should have)")
    return content


@lru_cache(maxsize=_INDEXES)
def _index(archive: Path, _size: int, _changed: int) -> dict[str, Member]:
    """All files of an archive; held until its size or time changes."""
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise UserError(f"{archive}: no zip archive, or cut short ({error})") from error
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if any(entry.compress_type not in kinds or entry.flag_bits & 1 for entry in entries):
        raise UserError(f"{archive}: is compressed or encrypted in an unknown way (expected stored or deflated)")
    return {
        entry.filename: Member(
            entry.header_offset,
            entry.compress_size,
            entry.file_size,
            entry.CRC,
            entry.compress_type == zipfile.ZIP_DEFLATED,
        )
        for entry in entries
    }
