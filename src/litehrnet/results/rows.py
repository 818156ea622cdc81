"""Poses as a table: one row per person, from which every other tabular form is made.

Columns are, in this order: what identifies the photo or frame (``image``, ``frame``, ``time``), ``person`` (counted
from 0 in each photo), ``id`` with identities, ``box_x``, ``box_y``, ``box_width``, ``box_height``, ``box_score`` and
``score``. For each keypoint there are ``NAME_x``, ``NAME_y``, ``NAME_score`` and ``NAME_likelihood``. Smoothing adds
``NAME_smooth_x`` and ``NAME_smooth_y``. A photo or frame without people has one row, whose cells are masked from
``person`` on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Floats32, Indices
from litehrnet.keypoints.likelihood import CURVE

if TYPE_CHECKING:
    from litehrnet.poses import Poses

Columns: TypeAlias = dict[str, Any]
"""Arrays of equal length by name. Those of people are masked where there is nobody, so ``tolist`` gives None there."""


@dataclass(frozen=True)
class Found:
    """People in one photo or frame.

    Attributes:
        poses: People; may be empty.
        where: Values that identify the photo or frame, by the name of their column.
        identities: (people,) as in ``FramePoses``; None without tracking.
        smoothed: float32 (people, keypoints, 2) smoothed keypoints in pixels; None without smoothing.
    """

    poses: Poses
    where: Mapping[str, int | float | str] = field(default_factory=dict)
    identities: Indices | None = None
    smoothed: Floats32 | None = None


def to_columns(found: Sequence[Found]) -> Columns:
    """Make the table of photos or frames with the same keypoints and the same names in ``where``; at least one."""
    counts = [len(each.poses) for each in found]
    rows = np.maximum(counts, 1)
    nobody = np.repeat(np.array(counts) == 0, rows)
    columns: Columns = {
        name: np.repeat(np.array([each.where[name] for each in found]), rows) for name in found[0].where
    }

    def add(name: str, values: NDArray[Any]) -> None:
        cells = np.zeros(len(nobody), values.dtype)
        cells[~nobody] = values
        columns[name] = np.ma.masked_array(cells, nobody)

    add("person", np.concatenate([np.arange(count) for count in counts]))
    if found[0].identities is not None:
        add("id", np.concatenate([each.identities for each in found if each.identities is not None]))
    boxes = np.concatenate([each.poses.boxes for each in found])
    for name, values in zip(("box_x", "box_y", "box_width", "box_height"), boxes.T, strict=True):
        add(name, values)
    add("box_score", np.concatenate([each.poses.box_scores for each in found]))
    add("score", np.concatenate([each.poses.pose_scores for each in found]))
    points = np.concatenate([each.poses.keypoints for each in found])
    scores = np.concatenate([each.poses.scores for each in found])
    smoothed = [each.smoothed for each in found if each.smoothed is not None]
    steady = np.concatenate(smoothed) if smoothed else None
    for index, name in enumerate(found[0].poses.keypoint_set.keypoint_names):
        add(f"{name}_x", points[:, index, 0])
        add(f"{name}_y", points[:, index, 1])
        add(f"{name}_score", scores[:, index])
        add(f"{name}_likelihood", CURVE(scores[:, index]).astype(np.float32))
        if steady is not None:
            add(f"{name}_smooth_x", steady[:, index, 0])
            add(f"{name}_smooth_y", steady[:, index, 1])
    return columns


def to_rows(columns: Columns) -> list[dict[str, Any]]:
    """Convert a table to one dictionary per row, with None in the empty cells."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)]


def to_dataframe(columns: Columns) -> Any:
    """Convert a table to a data frame: of pandas if it is installed, otherwise of polars.

    Raises:
        UserError: Neither is installed.
    """
    from litehrnet.optional import is_installed, require

    if not is_installed("pandas") and is_installed("polars"):
        import polars

        return polars.DataFrame({name: column.tolist() for name, column in columns.items()})
    require("pandas", "tables", "a data frame")
    import pandas

    return pandas.DataFrame(columns)


def keypoint_names(columns: Sequence[str]) -> list[str]:
    """Names of the keypoints in a table, in the order of its columns."""
    known = set(columns)
    ends = ("_y", "_score")
    names = [column.removesuffix("_x") for column in columns if column.endswith("_x")]
    return [name for name in names if name != "box" and all(f"{name}{end}" in known for end in ends)]
