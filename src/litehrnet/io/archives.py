"""Files inside zip archives, by paths that lead into one, such as ``train-0/003.zip/000017_street.jpg``."""

import os
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path

from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes

_OPEN_ARCHIVES = 64
_ENCRYPTED = 1  # bit of the flags


def read_data_file(path: Path) -> bytes:
    """Read a whole file of a data set (photo or annotations), also one inside a zip archive.

    Raises:
        UserError: ``path`` is missing, a folder or unreadable, or the archive is damaged.
    """
    inside = inside_archive(path)
    return read_member(*inside) if inside else read_bytes(path)


def inside_archive(path: Path) -> tuple[Path, str] | None:
    """Split a path into an archive and the name of a file in it; return None for an ordinary path."""
    for parent in path.parents:
        if parent.suffix.lower() == ".zip" and parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    return None


def member_names(archive: Path) -> list[str]:
    """List the files in an archive.

    Raises:
        UserError: The archive cannot be read or is damaged.
    """
    return _opened(archive).namelist()


def find_member(archive: Path, name: str) -> zipfile.ZipInfo:
    """Look up a file in an archive without reading it.

    Raises:
        UserError: The archive cannot be read, is damaged, has no such file, or has it in a form that is not supported.
    """
    return _find(archive, name)[1]


def read_member(archive: Path, name: str) -> bytes:
    """Read a file in an archive and verify its checksum.

    Raises:
        UserError: The archive cannot be read, is damaged, has no such file, or has it in a form that is not supported.
    """
    opened, member = _find(archive, name)
    try:
        return opened.read(member)
    except OSError as error:
        raise UserError(f"{archive}: cannot be read ({error.strerror})") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        raise UserError(f"{archive}: is damaged ({name} cannot be unpacked: {error})") from error


def _opened(archive: Path) -> zipfile.ZipFile:
    try:
        status = archive.stat()
        return _open(archive, status.st_size, status.st_mtime_ns, os.getpid())
    except OSError as error:
        raise UserError(f"{archive}: cannot be read ({error.strerror})") from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise UserError(f"{archive}: is not a zip archive, or is cut short ({error})") from error


def _find(archive: Path, name: str) -> tuple[zipfile.ZipFile, zipfile.ZipInfo]:
    opened = _opened(archive)
    try:
        member = opened.getinfo(name)
    except KeyError as error:
        raise UserError(f"{archive}: has no file {name}") from error
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & _ENCRYPTED:
        raise UserError(f"{archive}: {name} is encrypted, or not stored or deflated (expected an ordinary zip archive)")
    return opened, member


@lru_cache(maxsize=_OPEN_ARCHIVES)
def _open(archive: Path, _size: int, _changed: int, _process: int) -> zipfile.ZipFile:
    """Open an archive, once until its size or time changes.

    Each process opens its own: a forked worker would share the read position of its parent's file.
    """
    return zipfile.ZipFile(archive)
