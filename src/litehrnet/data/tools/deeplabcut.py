"""Reader of DeepLabCut's labels: ``CollectedData_NAME.csv``, for one animal or several."""

import csv
from collections import Counter
from pathlib import Path

from litehrnet.data.tools.project import UNNAMED, LabeledObject, LabeledPhoto, Point, Project, seen_categories
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes

_LEVELS = ("scorer", "individuals", "bodyparts", "coords")


def read_deeplabcut(path: Path) -> Project:
    """Read the labels of one folder of frames, or of a whole project.

    Animals are objects of one category; body parts of no animal (``single``) are a category of their own. DeepLabCut
    has no boxes and no hidden keypoints.

    Args:
        path: A CSV file, or the folder of the project, of ``labeled-data``, or of the frames of one video.

    Raises:
        UserError: A file is missing, or is not such a CSV file.
    """
    files = label_files(path) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path}: has no labels of DeepLabCut (expected labeled-data/VIDEO/CollectedData_NAME.csv)")
    photos = tuple(photo for file in files for photo in _photos(file))
    return Project(files[0].absolute().parent.parent, seen_categories(photos), photos, Counter())


def label_files(folder: Path) -> list[Path]:
    """Find the CSV files of labels in a folder of frames, in ``labeled-data`` or in a project."""
    name = "CollectedData_*.csv"
    found = [sorted(folder.glob(pattern)) for pattern in (name, f"*/{name}", f"labeled-data/*/{name}")]
    return next((files for files in found if files), [])


def _photos(path: Path) -> list[LabeledPhoto]:
    try:
        rows = list(csv.reader(read_bytes(path).decode("utf-8-sig").splitlines(), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not CSV in UTF-8 ({error})") from error
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
