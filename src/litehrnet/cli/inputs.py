"""Find the photos that a command line names: files, folders and patterns."""

import glob
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from litehrnet.errors import UserError

JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"})
IMAGE_SUFFIXES = JPEG_SUFFIXES | {".png", ".webp", ".bmp", ".tif", ".tiff"}


def find_images(arguments: Sequence[str]) -> list[Path]:
    """Find the photos that the arguments of a command name.

    Args:
        arguments: Each is a file with any suffix, a folder or a pattern. A folder means its pictures, by suffix,
            without subfolders and hidden files. A pattern such as ``photos/*.jpg`` means the matching files; ``**``
            includes subfolders. A name that exists is not a pattern, so brackets in names work.

    Returns:
        Files in the order of the arguments, sorted by name within each, without repetition.

    Raises:
        UserError: A file is missing, a folder has no pictures or cannot be read, or a pattern matches no file. Or there
            are no arguments, or empty ones.
    """
    if not arguments or "" in arguments:
        raise UserError("no photos given, or an empty name (expected files, folders or patterns such as photos/*.jpg)")
    found: dict[Path, Path] = {}
    for argument in arguments:
        try:
            paths = _expand(argument)
        except OSError as error:
            raise UserError(f"{argument}: cannot be read ({error.strerror})") from error
        for path in paths:
            found.setdefault(path.absolute(), path)
    return list(found.values())


def passed_over(arguments: Sequence[str]) -> dict[str, int]:
    """Count the files in the named folders that are not photos, by suffix; hidden files are not counted.

    Args:
        arguments: Arguments that ``find_images`` accepted.
    """
    folders = [Path(argument) for argument in arguments if Path(argument).is_dir()]
    files = {each.absolute() for folder in folders for each in folder.iterdir() if each.is_file()}
    others = (file for file in files if not _is_image(file) and not file.name.startswith("."))
    return dict(sorted(Counter(file.suffix.lower() or "without suffix" for file in others).items()))


def _expand(argument: str) -> list[Path]:
    path = Path(argument)
    if path.is_dir():
        images = sorted(each for each in path.iterdir() if _is_image(each))
        if not images:
            raise UserError(f"{argument}: no pictures in this folder (expected {', '.join(sorted(IMAGE_SUFFIXES))})")
        return images
    if path.exists():
        return [path]
    if glob.escape(argument) == argument:
        raise UserError(f"{argument}: no such file")
    matches = glob.glob(argument, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute patterns)
    files = sorted(path for path in map(Path, matches) if path.is_file())
    if not files:
        raise UserError(f"{argument}: no file matches this pattern")
    return files


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
