"""Choose names for results, so that a user's file is never replaced."""

import contextlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from litehrnet.errors import UserError
from litehrnet.io.files import make_folder

DEFAULT_FOLDER = "litehrnet-out"
"""Name of the folder if none is given; litehrnet-out-2, litehrnet-out-3, ... if it exists already."""

RECORD = ".litehrnet-outputs"
"""File in the output folder: one line of JSON for each file that a run has written there."""

_HEADER = {"litehrnet": "Files that litehrnet predict wrote here and may replace, as long as they are unchanged."}


class OutputFolder:
    """Chooses names in a folder.

    An existing file is replaced only if an earlier run wrote it and it is unchanged. Then its size and modification
    time, to the nanosecond, are as recorded. Copied, edited or replaced files, those of a killed run, and links count
    as the user's. A checksum would not be safer against accidents, and would read every video once more.

    Args:
        path: An existing folder.
        inputs: Files that are never replaced.

    Attributes:
        path: The folder.
        moved: Paths that were taken, and the paths that were chosen instead.
    """

    def __init__(self, path: Path, inputs: Iterable[Path] = ()) -> None:
        self.path = path
        self.moved: dict[Path, Path] = {}
        self._kept = {_key(file) for file in inputs}
        self._written = _read_record(path / RECORD)

    def choose(self, stem: str, *patterns: str) -> list[Path]:
        """Choose a stem for new files: ``stem``, or ``stem-2``, ``stem-3``, ... if a file would replace another one.

        Args:
            stem: Preferred name, without suffix.
            patterns: File names with ``{}`` for the stem, such as ``labels/{}.png``.

        Returns:
            A path for each pattern; none of these is chosen again.
        """
        wished = [self.path / pattern.format(stem) for pattern in patterns]
        for number in itertools.count(1):
            unique = stem if number == 1 else f"{stem}-{number}"
            paths = [self.path / pattern.format(unique) for pattern in patterns]
            if all(self._is_free(path) for path in paths):
                break
        self._kept.update(map(_key, paths))
        if paths != wished:
            self.moved.update(zip(wished, paths, strict=True))
        return paths

    def record(self, *paths: Path) -> None:
        """Record these files as written, so that a later run may replace them.

        Raises:
            UserError: The record cannot be written.
        """
        if self._written is None:
            return  # a user's file has this name: nothing is recorded, so nothing will be replaced
        lines: list[dict[str, str | int]] = [] if self._written else [{**_HEADER}]
        for path in paths:
            name = path.relative_to(self.path).as_posix()
            size, time = self._written[name] = _state(path)
            lines.append({"name": name, "size": size, "time": time})
        try:
            with (self.path / RECORD).open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
        except OSError as error:
            raise UserError(f"{self.path / RECORD}: cannot be written ({error.strerror})") from error

    def _is_free(self, path: Path) -> bool:
        if _key(path) in self._kept:
            return False
        if not os.path.lexists(path):
            return True
        name = path.relative_to(self.path).as_posix()
        return self._written is not None and not path.is_symlink() and self._written.get(name) == _state(path)


@contextlib.contextmanager
def output_folder(path: Path | None, inputs: Iterable[Path] = ()) -> Iterator[OutputFolder]:
    """Create the folder for results, a new one if ``path`` is None; a new folder that stays empty is deleted.

    Args:
        path: Folder that the user named; None for a new one.
        inputs: See ``OutputFolder``.

    Raises:
        UserError: The folder cannot be created.
    """
    existed = path is not None and path.exists()
    folder = _new_folder() if path is None else make_folder(path)
    try:
        yield OutputFolder(folder, inputs)
    finally:
        if not existed:
            with contextlib.suppress(OSError):  # it is not empty, as usual
                folder.rmdir()


def _new_folder() -> Path:
    for number in itertools.count(1):
        path = Path(DEFAULT_FOLDER if number == 1 else f"{DEFAULT_FOLDER}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(
                f"{path}: cannot be created ({error.strerror}; choose another folder with --out-dir)"
            ) from error
        return path
    raise AssertionError("there is always a further number")


def _read_record(path: Path) -> dict[str, tuple[int, int]] | None:
    """Read size and modification time of each recorded file; None if the file is not such a record."""
    if not os.path.lexists(path):
        return {}
    try:
        first, *lines = [] if path.is_symlink() else path.read_text(encoding="utf-8").splitlines()
        if json.loads(first) != _HEADER:
            return None
    except (OSError, ValueError):
        return None
    written: dict[str, tuple[int, int]] = {}
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):  # half a line, from a killed run
            entry = json.loads(line)
            written[str(entry["name"])] = (int(entry["size"]), int(entry["time"]))
    return written


def _state(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_size, status.st_mtime_ns


def _key(path: Path) -> str:
    # Some file systems ignore case.
    return str(path.parent.resolve() / path.name).casefold()
