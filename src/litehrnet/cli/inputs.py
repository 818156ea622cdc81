"""Find the photos and videos that a command line names: files, folders, patterns, cameras and addresses."""

import glob
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from litehrnet.errors import UserError
from litehrnet.io.images import IMAGE_SUFFIXES
from litehrnet.video.sources import VIDEO_SUFFIXES, Source, file_source, find_source


@dataclass(frozen=True)
class Inputs:
    """Photos and videos in the order of the arguments, without repetition.

    Attributes:
        photos: Picture files, and named files of unknown kinds.
        sources: Videos, cameras and streams.
        passed_over: Number of other files in the named folders, by suffix; hidden files are not counted.
    """

    photos: list[Path]
    sources: list[Source]
    passed_over: dict[str, int]


def find_inputs(arguments: Sequence[str], *, folder_videos: bool = True) -> Inputs:
    """Find the photos and videos that the arguments of a command name.

    Args:
        arguments: Each is a file, a folder, a pattern, a camera's number or an address. A folder means its pictures and
            videos, by suffix, without subfolders and hidden files. A pattern such as ``photos/*.jpg`` means the
            matching files; ``**`` includes subfolders. A name that exists is not a pattern, so brackets work.
        folder_videos: Whether to use the videos in folders; otherwise they are skipped.

    Returns:
        Files sorted by name within each argument.

    Raises:
        UserError: A file is missing, a folder has no usable files or cannot be read, or a pattern matches no file. Or
            there are no arguments, or empty ones.
    """
    if not arguments or "" in arguments:
        raise UserError("no photos given, or an empty name (expected files, folders or patterns such as photos/*.jpg)")
    suffixes = IMAGE_SUFFIXES | VIDEO_SUFFIXES if folder_videos else IMAGE_SUFFIXES
    photos: dict[Path, Path] = {}
    sources: dict[Path | str, Source] = {}
    others: set[Path] = set()
    for argument in arguments:
        source = find_source(argument)
        if source is not None and source.path is None:
            sources.setdefault(source.address, source)
            continue
        try:
            used, rest = _folder(Path(argument), suffixes) if Path(argument).is_dir() else (_files(argument), [])
        except OSError as error:
            raise UserError(f"{argument}: cannot be read ({error.strerror})") from error
        others.update(path.absolute() for path in rest)
        for path in used:
            if path.suffix.lower() in VIDEO_SUFFIXES:
                sources.setdefault(path.absolute(), file_source(path))
            else:
                photos.setdefault(path.absolute(), path)
    return Inputs(list(photos.values()), list(sources.values()), _kinds(others))


def _folder(folder: Path, suffixes: frozenset[str]) -> tuple[list[Path], list[Path]]:
    """Split the visible files of a folder into those with one of the suffixes and the others."""
    files = sorted(each for each in folder.iterdir() if not each.name.startswith(".") and each.is_file())
    used = [file for file in files if file.suffix.lower() in suffixes]
    others = [file for file in files if file.suffix.lower() not in suffixes]
    if not used:
        found = ", ".join(f"{count} {kind}" for kind, count in _kinds(others).items()) or "no files"
        raise UserError(f"{folder}: no pictures in this folder, but {found} (expected {', '.join(sorted(suffixes))})")
    return used, others


def _kinds(files: "Sequence[Path] | set[Path]") -> dict[str, int]:
    return dict(sorted(Counter(file.suffix.lower() or "without suffix" for file in files).items()))


def _files(argument: str) -> list[Path]:
    """Return the file of this name, or the files that match the pattern."""
    if Path(argument).exists():
        return [Path(argument)]
    if glob.escape(argument) == argument:
        raise UserError(f"{argument}: no such file")
    matches = glob.glob(argument, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute patterns)
    files = sorted(path for path in map(Path, matches) if path.is_file())
    if not files:
        raise UserError(f"{argument}: no file matches this pattern")
    return files
