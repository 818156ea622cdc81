"""Reading files, and writing them in one step: a reader finds the old file or the new one, never half of one."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from litehrnet.errors import UserError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block ends without an error.

    The temporary file is flushed to disk before it is renamed, and its folder afterward. So even a power failure
    leaves the old file or the new one. If the block raises, the temporary file is deleted.

    Raises:
        UserError: The folder is missing or not writable, or ``path`` is a folder.
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
        rename_flushed(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def rename_flushed(temporary: Path, path: Path) -> None:
    """Rename a complete file; a power failure leaves the old file or the new one.

    Raises:
        OSError: The file cannot be flushed or renamed.
    """
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files in ``folder`` left by killed processes.

    Raises:
        UserError: A file cannot be deleted.
    """
    for temporary in folder.glob(".*-????????.tmp*"):  # the names that ``replacing`` gives
        try:
            temporary.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"{temporary}: cannot be deleted ({error.strerror})") from error


def sync_folder(folder: Path) -> None:
    """Flush the directory entries of ``folder`` to disk, on systems where a folder can be opened."""
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
    """Create the folder ``path`` and its parents if they are missing, and return it.

    Raises:
        UserError: A file has this name, or the folder cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: the folder cannot be created ({error.strerror})") from error
    return path


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Create a new folder; delete it again if the block raises.

    Raises:
        UserError: A folder or file of this name exists, or the folder cannot be created.
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
    """Read a whole file.

    Raises:
        UserError: ``path`` is missing, a folder, or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _umask() -> int:
    # Reading the mask requires setting it. It is needed because mkstemp creates files that only the owner can read.
    mask = os.umask(0)
    os.umask(mask)
    return mask
