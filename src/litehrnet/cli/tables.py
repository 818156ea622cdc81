"""Tables that several commands print."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from litehrnet.evaluation.pck import KeypointScore


def print_figures(console: "Console", figures: Mapping[str, float], digits: int) -> None:
    """One line per figure."""
    from rich.table import Table

    table = Table("figure", "value")
    table.columns[1].justify = "right"
    for name, value in figures.items():
        table.add_row(name, f"{value:.{digits}f}")
    console.print(table)


def print_keypoints(console: "Console", score: "KeypointScore") -> None:
    """One line per keypoint; a dash where there is nothing to measure."""
    from rich.table import Table

    table = Table("keypoint", "annotated", score.share, "mean error (pixels)")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in score.rows:
        table.add_row(row.name, str(row.annotated), _number(row.pck, 4), _number(row.mean_error, 2))
    console.print(table)


def _number(value: float, digits: int) -> str:
    return "-" if value < 0 else f"{value:.{digits}f}"
