"""Tracked keypoints of a video as files of DeepLabCut and SLEAP, which tools such as movement read.

Both have one place for each animal in each frame. People are those with an identity; their likelihood stands for the
tools' own scores. Frames without a person, and skipped frames, are NaN.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from litehrnet.arrays import Floats64
from litehrnet.io.files import replacing
from litehrnet.optional import require
from litehrnet.results.rows import Columns, keypoint_names

_SCORER = "litehrnet"
_LEVELS = ("scorer", "individuals", "bodyparts", "coords")


@dataclass(frozen=True)
class Tracks:
    """Keypoints by frame and person.

    Attributes:
        people: Names of the people: ``id1`` for the identity 1.
        keypoint_names: Names of the keypoints.
        values: (frames, people, keypoints, 3): x, y in pixels and likelihood; NaN where a person is missing.
    """

    people: list[str]
    keypoint_names: list[str]
    values: Floats64


def to_tracks(columns: Columns) -> Tracks:
    """Arrange a table with the columns ``frame`` and ``id`` by frame and person."""
    frames, ids = np.asarray(columns["frame"]), columns["id"].filled(0)
    names, tracked = keypoint_names(list(columns)), ids > 0
    known = np.unique(ids[tracked])
    values = np.full((int(frames.max()) + 1, len(known), len(names), 3), np.nan)
    for index, name in enumerate(names):
        for axis, end in enumerate(("x", "y", "likelihood")):
            column = columns[f"{name}_{end}"].filled(np.nan)[tracked]
            values[frames[tracked], np.searchsorted(known, ids[tracked]), index, axis] = column
    return Tracks([f"id{identity}" for identity in known.tolist()], names, values)


def write_deeplabcut_csv(path: Path, columns: Columns) -> None:
    """Write predictions of a video as DeepLabCut does for several animals.

    Raises:
        UserError: The file cannot be written.
    """
    tracks = to_tracks(columns)
    header = _header(tracks)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([level, *(cells[row] for cells in header)] for row, level in enumerate(_LEVELS))
        for number, row in enumerate(tracks.values.astype(np.float32).reshape(len(tracks.values), -1)):
            # Not empty cells as DeepLabCut writes them: pandas takes a first row of these for names of levels.
            writer.writerow([number, *map(str, row)])


def write_deeplabcut_h5(path: Path, columns: Columns) -> None:
    """Write the same table as pandas writes it to HDF5.

    Raises:
        UserError: pandas or PyTables is not installed, or the file cannot be written.
    """
    for package in ("pandas", "tables"):
        require(package, "behavior", "writing DeepLabCut's H5")
    import pandas

    tracks = to_tracks(columns)
    header = pandas.MultiIndex.from_tuples(_header(tracks), names=_LEVELS)
    frame = pandas.DataFrame(tracks.values.reshape(len(tracks.values), -1), columns=header)
    with replacing(path) as temporary:
        frame.to_hdf(temporary, key="df_with_missing", mode="w")


def write_sleap(path: Path, columns: Columns) -> None:
    """Write SLEAP's analysis file, in its own order of axes: tracks (people, 2, keypoints, frames).

    Raises:
        UserError: h5py is not installed, or the file cannot be written.
    """
    require("h5py", "behavior", "writing SLEAP's analysis files")
    import h5py

    tracks = to_tracks(columns)
    values = tracks.values.transpose(1, 3, 2, 0)
    seen = np.isfinite(tracks.values[..., 0]).any(axis=2)
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file["tracks"] = values[:, :2]
        file["point_scores"] = values[:, 2]
        file["instance_scores"] = np.where(seen.T, np.nan_to_num(values[:, 2]).mean(axis=1), np.nan)
        file["tracking_scores"] = np.where(seen.T, 1.0, np.nan)
        file["track_occupancy"] = seen.astype(np.uint8)
        file["track_names"] = np.array([name.encode() for name in tracks.people], "S")
        file["node_names"] = np.array([name.encode() for name in tracks.keypoint_names], "S")
        file["edge_names"] = np.empty((0, 2), "S1")
        file["edge_inds"] = np.empty((0, 2), np.int64)
        file["provenance"] = "{}"


def _header(tracks: Tracks) -> list[tuple[str, str, str, str]]:
    return [
        (_SCORER, person, keypoint, coord)
        for person in tracks.people
        for keypoint in tracks.keypoint_names
        for coord in ("x", "y", "likelihood")
    ]
