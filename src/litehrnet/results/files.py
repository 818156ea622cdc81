"""Tables of people as CSV and Parquet: writing results, and reading boxes or results of anybody."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes, replacing
from litehrnet.keypoints.oks import rescore
from litehrnet.optional import require
from litehrnet.results.rows import Columns, keypoint_names

TABLE_SUFFIXES = (".csv", ".parquet")
BOX_COLUMNS = ("box_x", "box_y", "box_width", "box_height")

_CHUNK = 1000  # rows that are formatted at once


def write_table(path: Path, columns: Columns) -> None:
    """Write a table as ``.csv`` or ``.parquet``, by the suffix; see ``write_csv`` and ``write_parquet``."""
    (write_csv if path.suffix.lower() == ".csv" else write_parquet)(path, columns)


def write_csv(path: Path, columns: Columns) -> None:
    """Write a table as CSV: UTF-8, a header, empty cells where there is nobody.

    Numbers have as many digits as they need to be read back exactly as float32.

    Raises:
        UserError: The file cannot be written.
    """
    count = len(next(iter(columns.values())))
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for start in range(0, count, _CHUNK):
            writer.writerows(zip(*(_texts(c[start : start + _CHUNK]) for c in columns.values()), strict=True))


def write_parquet(path: Path, columns: Columns) -> None:
    """Write a table as Parquet, with nulls where there is nobody.

    Raises:
        UserError: pyarrow is not installed, or the file cannot be written.
    """
    table = to_arrow(columns)
    import pyarrow.parquet

    with replacing(path) as temporary:
        pyarrow.parquet.write_table(table, temporary)


def to_arrow(columns: Columns) -> Any:
    """Convert a table to ``pyarrow.Table``, with nulls where there is nobody.

    Raises:
        UserError: pyarrow is not installed.
    """
    require("pyarrow", "tables", "writing Parquet")
    import pyarrow

    return pyarrow.table(
        {name: pyarrow.array(np.ma.getdata(c), mask=np.ma.getmaskarray(c)) for name, c in columns.items()}
    )


def is_table(path: Path) -> bool:
    """Return whether a file is a table, by its suffix."""
    return path.suffix.lower() in TABLE_SUFFIXES


def read_people(path: Path, *, boxes: bool) -> list[dict[str, Any]]:
    """Read the people of a table as entries of COCO's results.

    A photo is named by the column ``image``, ``image_id`` or both. Rows with an empty box or empty keypoints stand for
    photos without people.

    Args:
        path: CSV or Parquet with a header.
        boxes: Whether to read boxes, which may have a ``box_score``. Otherwise keypoints are read. The score of a
            person is then computed from the scores of its box, 1 if there are none, and its keypoints.

    Raises:
        UserError: The file cannot be read, a column is missing, or a cell is not a number.
    """
    header, rows = _read(path)
    names = keypoint_names(header)
    if not {"image", "image_id"} & set(header):
        raise UserError(f"{path}: has no column image or image_id (expected one that names the photos)")
    if boxes and (missing := [name for name in BOX_COLUMNS if name not in header]):
        raise UserError(f"{path}: has no column {missing[0]} (expected {', '.join(BOX_COLUMNS)} in pixels)")
    if not boxes and not names:
        raise UserError(f"{path}: has no keypoints (expected columns such as nose_x, nose_y, nose_score)")
    needed = BOX_COLUMNS if boxes else [f"{name}_{end}" for name in names for end in ("x", "y", "score")]
    entries = []
    for number, row in enumerate(rows, start=1):
        where = f"{path}: row {number}"
        values = [_number(row[name], where, name) for name in needed]
        box_score = _number(row.get("box_score"), where, "box_score")
        if all(value is None for value in values):
            continue
        if None in values:
            raise UserError(f"{where}: {needed[values.index(None)]} is empty (expected a number)")
        entry = {"category_id": 1, **_photo(row, where)}
        if boxes:
            entries.append({**entry, "bbox": values, **({} if box_score is None else {"score": box_score})})
        else:
            scores = np.array(values[2::3], np.float32)
            person = rescore(np.array([1.0 if box_score is None else box_score]), scores[None])
            entries.append({**entry, "keypoints": values, "score": float(person[0])})
    return entries


def _texts(column: Any) -> list[str]:
    texts = np.ma.getdata(column).astype(str)
    return ["" if masked else text for text, masked in zip(texts.tolist(), np.ma.getmaskarray(column), strict=True)]


def _read(path: Path) -> tuple[list[str], Iterator[dict[str, Any]]]:
    content = read_bytes(path)
    if path.suffix.lower() == ".csv":
        try:
            reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True, restval="")
            return list(reader.fieldnames or ()), iter(list(reader))
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path}: not CSV in UTF-8 ({error})") from error
    require("pyarrow", "tables", f"{path}: reading Parquet")
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(content))
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a Parquet file ({error})") from error
    return table.column_names, iter(table.to_pylist())


def _number(cell: Any, where: str, name: str) -> float | None:
    """Number in a cell; None if it is empty, as NaN is in tables of pandas."""
    if cell is None or cell == "":
        return None
    try:
        value = float(cell)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {name} is {cell!r} (expected a number)") from error
    return None if value != value else value


def _photo(row: dict[str, Any], where: str) -> dict[str, Any]:
    """``file_name`` and ``image_id`` of a row; the name is the id where no other is given."""
    name, key = row.get("image"), row.get("image_id")
    if name in (None, "") and key in (None, ""):
        raise UserError(f"{where}: names no photo (expected a value in image or image_id)")
    photo = {} if name in (None, "") else {"file_name": str(name)}
    return {**photo, "image_id": name if key in (None, "") else key}
