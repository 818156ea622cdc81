"""Drawing of a training run, made from its log files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litehrnet.io.files import replacing

CURVES = "curves.png"


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Read training and validation lines from the JSON logs of a run, in order.

    A run that was killed resumes from its last checkpoint. Lines of an earlier log file about later steps are left out,
    and so are truncated lines.

    Args:
        folder: Folder of the run.
    """
    lines: dict[tuple[int, int, str], dict[str, Any]] = {}
    for path in sorted(folder.glob("*.log.json")):
        for line in _whole_lines(path):
            if "starts_after" in line:
                epoch, iteration = line["starts_after"]
                lines = {key: kept for key, kept in lines.items() if key[:2] <= (epoch, iteration)}
            elif "mode" in line:
                lines[line["epoch"], line["iter"], line["mode"]] = line
    return [lines[key] for key in sorted(lines)]


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line


def draw_curves(folder: Path, figure_name: str | None, steps_per_epoch: int) -> None:
    """Draw loss, training accuracy and one evaluation metric over the epochs to ``curves.png``.

    Args:
        folder: Folder of the run.
        figure_name: Name of the metric in the log, such as ``AP``; None without evaluations.
        steps_per_epoch: Steps per epoch, the highest ``iter`` in the log.

    Raises:
        UserError: It cannot be written.
    """
    from matplotlib.figure import Figure

    lines = read_log(folder)
    trained = [line for line in lines if line["mode"] == "train"]
    accuracy = next((name for line in trained for name in line if name.startswith("acc_")), "acc_pose")
    curves = {"loss": trained, accuracy: trained}
    if figure_name is not None:
        curves[figure_name] = [line for line in lines if line["mode"] == "val" and figure_name in line]
    figure = Figure(figsize=(4.5 * len(curves), 3.5), layout="constrained")
    for axes, (name, rows) in zip(figure.subplots(1, len(curves)), curves.items(), strict=True):
        epochs = [line["epoch"] - 1 + line["iter"] / steps_per_epoch for line in rows]
        values = [line[name] for line in rows]
        axes.plot(epochs, values, marker="o" if len(rows) < 40 else None, markersize=3)
        axes.set(title=name, xlabel="epoch")
        axes.set_xlim(left=0)
        if name == "loss" and rows and min(values) > 0:
            axes.set_yscale("log")
        axes.grid(alpha=0.3, which="both")
    with replacing(folder / CURVES) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
