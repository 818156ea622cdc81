"""Reader of DeepLabCut's labels: ``CollectedData_NAME`` as CSV or HDF5, for one animal or several."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.tools.hdf5 import opened
from litehrnet.data.tools.project import UNNAMED, LabeledObject, LabeledPhoto, Point, Project, seen_categories
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes

_LEVELS = ("scorer", "individuals", "bodyparts", "coords")


def read_deeplabcut(path: Path) -> Project:
    """Read the labels of one folder of frames, or of a whole project.

    Animals are objects of one category; body parts of no animal (``single``) are a category of their own. DeepLabCut
    has no boxes and no hidden keypoints.

    Args:
        path: A CSV or HDF5 file, or the folder of the project, of ``labeled-data``, or of the frames of one video.

    Raises:
        UserError: A file is missing, or is not such a file.
    """
    files = label_files(path) if path.is_dir() else [path]
    if not files:
        raise UserError(
            f"{path}: has no labels of DeepLabCut (expected labeled-data/VIDEO/CollectedData_NAME.csv or .h5)"
        )
    photos = tuple(photo for file in files for photo in _photos(file))
    return Project(files[0].absolute().parent.parent, seen_categories(photos), photos, Counter())


def label_files(folder: Path) -> list[Path]:
    """Find the files of labels in a folder of frames, in ``labeled-data`` or in a project: CSV, otherwise HDF5."""
    patterns = (f"{parent}CollectedData_*{end}" for parent in ("", "*/", "labeled-data/*/") for end in (".csv", ".h5"))
    return next((files for pattern in patterns if (files := sorted(folder.glob(pattern)))), [])


def _rows(path: Path) -> list[list[str]]:
    content = read_bytes(path)
    if content.startswith(b"\x89HDF"):
        return _rows_of_hdf5(path)
    try:
        return list(csv.reader(content.decode("utf-8-sig").splitlines(), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not CSV in UTF-8 ({error})") from error


def _rows_of_hdf5(path: Path) -> list[list[str]]:
    """Read the cells that the CSV file has from the only table of pandas in a file, in its "fixed" format."""
    with opened(path) as file:
        (table,) = (group for group in file.values() if "pandas_type" in group.attrs)
        if "table" in table:
            raise _pickled(path, "the list of its columns")
        levels, columns = _index(path, table, "axis0")
        _, frames = _index(path, table, "axis1")
        values: dict[tuple[str, ...], list[float]] = {}
        for block in range(int(table.attrs["nblocks"])):
            _, own = _index(path, table, f"block{block}_items")
            cells = _array(path, table[f"block{block}_values"]).astype(np.float64)
            values.update(zip(own, cells.T.tolist(), strict=True))
    indent = [""] * (len(frames[0]) - 1)
    rows = [[level, *indent, *labels] for level, labels in zip(levels, zip(*columns, strict=True), strict=True)]
    lines = zip(*(values[column] for column in columns), strict=True)
    return rows + [
        [*frame, *("" if value != value else repr(value) for value in line)]
        for frame, line in zip(frames, lines, strict=True)
    ]


def _index(path: Path, table: Any, name: str) -> tuple[list[str], list[tuple[str, ...]]]:
    """Read the names of an index's levels, and its labels, one for each level."""
    if f"{name}_nlevels" not in table.attrs:
        return [""], [(label,) for label in _texts(path, table[name])]
    levels = [table[f"{name}_level{level}"] for level in range(int(table.attrs[f"{name}_nlevels"]))]
    codes = [_array(path, table[f"{name}_label{level}"]).tolist() for level in range(len(levels))]
    known = [[*_texts(path, level), ""] for level in levels]  # the code of a missing label is -1
    labels = [[texts[code] for code in own] for texts, own in zip(known, codes, strict=True)]
    return [level.attrs["name"].decode() for level in levels], list(zip(*labels, strict=True))


def _texts(path: Path, dataset: Any) -> list[str]:
    return [each.decode() if isinstance(each, bytes) else str(each) for each in _array(path, dataset).tolist()]


def _array(path: Path, dataset: Any) -> NDArray[Any]:
    if dataset.dtype.hasobject:
        raise _pickled(path, dataset.name)
    array: NDArray[Any] = dataset[()]
    return array


def _pickled(path: Path, part: str) -> UserError:
    return UserError(f"{path}: {part} is pickled, and reading that may run code (expected the CSV file beside it)")


def _photos(path: Path) -> list[LabeledPhoto]:
    rows = _rows(path)
    header = {row[0]: row for row in rows[: len(_LEVELS)] if row and row[0] in _LEVELS}
    if not {"scorer", "bodyparts", "coords"} <= header.keys():
        raise UserError(f"{path}: not labels of DeepLabCut (expected the rows scorer, bodyparts and coords first)")
    coords = header["coords"]
    start = next((index for index, cell in enumerate(coords[1:], start=1) if cell), len(coords))
    if "likelihood" in coords:
        raise UserError(f"{path}: holds predictions of DeepLabCut (expected its labels, CollectedData_NAME.csv)")
    if coords[start:] != ["x", "y"] * ((len(coords) - start) // 2) or start == len(coords):
        raise UserError(f"{path}: coords is {coords[start:][:4]} (expected x and y in turn)")
    parts = header["bodyparts"]
    if lost := [name for name in parts[start:] if not name or name.startswith("Unnamed:")]:
        raise UserError(f"{path}: bodyparts has {lost[0]!r} (expected names; a table program has lost them)")
    owners = header.get("individuals", [""] * len(coords))
    photos = []
    for number, row in enumerate(rows[len(header) :], start=len(header) + 1):
        if not any(row):
            continue
        if len(row) != len(coords):
            raise UserError(f"{path}, line {number}: has {len(row)} cells (expected {len(coords)})")
        animals: dict[str, dict[str, Point]] = {}
        for column in range(start, len(row), 2):
            if row[column].strip() and row[column + 1].strip():
                point = _number(path, number, row[column]), _number(path, number, row[column + 1]), 2
                if point[0] == point[0] and point[1] == point[1]:
                    animals.setdefault(owners[column], {})[parts[column]] = point
        objects = [LabeledObject("single" if name == "single" else UNNAMED, each) for name, each in animals.items()]
        # The last two parts of labeled-data/VIDEO/FRAME.png; older files have them in one cell.
        frame = "/".join(row[:start]).replace("\\", "/").rsplit("/", 1)[-1]
        photos.append(LabeledPhoto(f"{path.absolute().parent.name}/{frame}", None, tuple(objects)))
    return photos


def _number(path: Path, line: int, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UserError(f"{path}, line {line}: {text} is not a number (expected x and y in pixels)") from error
