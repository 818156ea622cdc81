"""Writing files so that a reader finds the old one or the new one, never half of one."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from litehrnet.errors import UserError
from litehrnet.io.archives import inside_archive, read_member


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path``; move it to ``path`` when the block ends well.

    The temporary file is flushed to disk before it is renamed, its folder afterward, so that a power cut leaves the
    old file or the new one; it is deleted if the block raises.

    Raises:
        UserError: The folder is missing or cannot be written to, or ``path`` is a folder.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder (expected the name of a file to write)")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=f".tmp{path.suffix}")
        os.close(handle)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files of processes that were killed while they wrote to ``folder``.

    Raises:
        UserError: One cannot be deleted.
    """
    for temporary in folder.glob(".*-????????.tmp*"):  # the names that ``replacing`` gives
        try:
            temporary.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"{temporary}: cannot be deleted ({error.strerror})") from error


def sync_folder(folder: Path) -> None:
    """Flush the names in ``folder`` to disk, on systems where a folder can be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` in one step.

    Raises:
        UserError: ``path`` cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def make_folder(path: Path) -> Path:
    """Make the folder ``path`` (and those above it) where it does not exist, and return it.

    Raises:
        UserError: A file is in the way, or the folder cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made a folder ({error.strerror})") from error
    return path


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Make a folder that did not exist; it is deleted again if the block raises.

    Raises:
        UserError: There is such a folder or file, or it cannot be made.
    """
    if path.exists():
        raise UserError(f"{path}: exists already (expected the name of a new folder)")
    make_folder(path)
    try:
        yield path
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def read_bytes(path: Path) -> bytes:
    """Read a whole file, also one inside a zip archive that ``path`` goes through.

    Raises:
        UserError: ``path`` is missing, a folder, or cannot be read, or the archive is broken.
    """
    inside = inside_archive(path)
    if inside:
        return read_member(*inside)
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _umask() -> int:
    # The only way to read the mask is to set it; mkstemp makes files that only the owner can read.
    mask = os.umask(0)
    os.umask(mask)
    return mask
