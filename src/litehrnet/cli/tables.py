"""Tables that several commands print."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from litehrnet.evaluation.pck import KeypointScore


def print_metrics(console: Console, metrics: Mapping[str, float | None], digits: int) -> None:
    """Print one line per value of a metric; ``none`` where there is nothing to measure."""
    table = Table("metric", "value")
    table.columns[1].justify = "right"
    for name, value in metrics.items():
        table.add_row(name, _number(value, digits))
    console.print(table)


def print_keypoints(console: Console, score: KeypointScore) -> None:
    """Print one line per keypoint; ``none`` where there is nothing to measure."""
    table = Table("keypoint", "annotated", score.share, "mean error (pixels)")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in score.rows:
        table.add_row(row.name, str(row.annotated), _number(row.pck, 4), _number(row.mean_error, 2))
    console.print(table)


def _number(value: float | None, digits: int) -> str:
    return "none" if value is None or value < 0 else f"{value:.{digits}f}"
