"""Tables of results that ``litehrnet predict`` writes beside its JSON: which are asked for, their names and writers."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.errors import UserError
from litehrnet.optional import require

if TYPE_CHECKING:
    from litehrnet.results.rows import Columns, Found


@dataclass(frozen=True)
class Table:
    """A kind of table.

    Attributes:
        pattern: File name, with ``{}`` for the stem.
        packages: Packages that write it.
        extra: Extra that installs them.
        tracks: Whether it has a place for each identity, so that only tracked videos have it.
    """

    pattern: str
    packages: tuple[str, ...] = ()
    extra: str = ""
    tracks: bool = False


TABLES = {
    "csv": Table("{}.csv"),
    "parquet": Table("{}.parquet", ("pyarrow",), "tables"),
    "deeplabcut-csv": Table("{}_dlc.csv", tracks=True),
    "deeplabcut-h5": Table("{}_dlc.h5", ("pandas", "tables"), "behavior", tracks=True),
    "sleap": Table("{}.analysis.h5", ("h5py",), "behavior", tracks=True),
}
"""Functions that write a file, by the names of their options."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare an option for each kind of table."""
    group = parser.add_argument_group("tables")
    group.add_argument(
        "--csv", action="store_true", help="also write a CSV table: a row per person, also for pictures without people"
    )
    group.add_argument("--parquet", action="store_true", help="the same as Parquet (extra tables)")
    group.add_argument(
        "--openpose", action="store_true", help="also write OpenPose's JSON: a file per photo, or per frame of a video"
    )
    group.add_argument("--deeplabcut-csv", action="store_true", help="tracked people of a video as DeepLabCut's CSV")
    group.add_argument("--deeplabcut-h5", action="store_true", help="the same as DeepLabCut's H5 (extra behavior)")
    group.add_argument(
        "--sleap", action="store_true", help="tracked people of a video as SLEAP's analysis file (extra behavior)"
    )


def wanted(options: argparse.Namespace) -> list[str]:
    """Return the kinds of tables that are asked for, after a check that they can be written.

    Raises:
        UserError: A package is missing, or a table needs identities and ``--no-track`` is given.
    """
    names = [name for name in TABLES if getattr(options, name.replace("-", "_"))]
    for name in names:
        for package in TABLES[name].packages:
            require(package, TABLES[name].extra, f"--{name}")
        if TABLES[name].tracks and options.track is False:
            raise UserError(f"--{name}: needs identities (expected no --no-track)")
    return names


def patterns(names: Sequence[str]) -> list[str]:
    """Return the file name of each kind of table, with ``{}`` for the stem."""
    return [TABLES[name].pattern for name in names]


def write(names: Sequence[str], paths: Sequence[Path], found: "Sequence[Found]") -> None:
    """Write each kind of table to its path.

    Raises:
        UserError: A file cannot be written.
    """
    from litehrnet.results.behavior import write_deeplabcut_csv, write_deeplabcut_h5, write_sleap
    from litehrnet.results.files import write_csv, write_parquet
    from litehrnet.results.rows import to_columns

    writers: dict[str, Callable[[Path, Columns], None]] = {
        "csv": write_csv,
        "parquet": write_parquet,
        "deeplabcut-csv": write_deeplabcut_csv,
        "deeplabcut-h5": write_deeplabcut_h5,
        "sleap": write_sleap,
    }
    columns = to_columns(found) if names else {}
    for name, path in zip(names, paths, strict=True):
        writers[name](path, columns)
