"""Results of a benchmark as tables, JSON and a plot."""

import datetime
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet import __version__
from litehrnet.bench.floor import Floor, Peaks
from litehrnet.bench.measure import Case, Result
from litehrnet.io.files import replacing, write_bytes
from litehrnet.optional import require
from litehrnet.processors import cpu_info, default_threads

if TYPE_CHECKING:
    from rich.table import Table

_MIB = 2**20


def machine() -> str:
    """Describe date, CPU and Python in one line."""
    return (
        f"{datetime.date.today()}, litehrnet {__version__}, {cpu_name()}, {default_threads()} CPU threads, "
        f"Python {platform.python_version()}"
    )


def cpu_name() -> str:
    """Return the name of the CPU, as far as the system knows it."""
    names = cpu_info("model name")
    return names[0] if names else platform.processor() or platform.machine()


def case_table(result: Result, case: Case) -> "Table":
    """Create a table with one row per contender and one per absent runtime."""
    from rich.table import Table

    width, height = result.input_size_wh
    images = "1 image" if case.batch == 1 else f"{case.batch} images"
    threads = "1 thread" if case.threads == 1 else f"{case.threads} threads"
    title = f"{result.network}, {width}x{height} (width x height), {images}, {threads}; ms per image"
    table = Table("runtime", "CPU median", "CPU min", "ratio", "wall median", "wall min", "ratio", "error", title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, own in case.contenders.items():
        cpu, wall = ([f"{value:.2f}" for value in values] for values in (own.cpu_ms, own.wall_ms))
        ratios = ["-" if ratio is None else f"{ratio:.2f}" for ratio in (own.cpu_ratio, own.wall_ratio)]
        table.add_row(name, *cpu, ratios[0], *wall, ratios[1], f"{own.error:.1e}")
    for name in case.absent:
        table.add_row(name, *["absent"] + ["-"] * 6)
    return table


def case_notes(case: Case) -> Iterator[str]:
    """Yield the settings of every contender, and the reason of every absence."""
    for name, settings in case.settings.items():
        yield f"  {name}: {settings}; {case.contenders[name].rounds} rounds"
    for name, reason in case.absent.items():
        yield f"  {name}: absent: {reason}"


def other_lines(result: Result) -> Iterator[str]:
    """Yield the theoretical minimum, memory, and JPEG bytes to poses, one per line."""
    if result.peaks is not None and result.floor is not None:
        yield from _floor_lines(result.peaks, result.floor)
    for runtime, growth in result.memory.items():
        size = f"{growth / _MIB:.0f} MiB" if isinstance(growth, int) else growth
        yield f"memory, {runtime}: {size}"
    if result.pipeline is not None:
        cost = result.pipeline
        parts = ", ".join(f"{name} {ms:.2f}" for name, ms in cost.part_ms.items())
        yield (
            f"JPEG bytes ({cost.photos}) to poses, 1 thread: {cost.persons_per_second:.0f} people per second; "
            f"ms per person: {parts}; network {100 * cost.network_share:.0f} %"
        )


def _floor_lines(peaks: Peaks, floor: Floor) -> Iterator[str]:
    reads = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in peaks.read_bytes_per_second.items())
    yield f"peak of one thread, {peaks.kernels}: {peaks.macs_per_second / 1e9:.1f} GMAC/s; reading, GB/s: {reads}"
    yield (
        f"native alone, 1 image, 1 thread: {floor.macs / 1e6:.1f} x 10^6 MACs need at least {floor.floor_ms:.2f} ms; "
        f"measured CPU time {floor.cpu_ms[0]:.2f} (median), {floor.cpu_ms[1]:.2f} (minimum): {floor.ratio:.2f} times "
        "the theoretical minimum"
    )
    yield (
        f"native: arena {floor.arena_bytes / _MIB:.2f} MiB per thread, weights {floor.constant_bytes / _MIB:.2f} MiB, "
        f"loads in {floor.load_ms:.0f} ms, shared object {floor.library_bytes / _MIB:.2f} MiB"
    )


def profile_table(result: Result, floor: Floor) -> "Table":
    """Create a table with one row per kind of step."""
    from rich.table import Table

    table = Table("kind of step", "steps", "ms", "%", "10^6 MACs", "GMAC/s", title=f"{result.network}, native, 1 image")
    for column in table.columns[1:]:
        column.justify = "right"
    total = sum(cost.ms for cost in floor.profile)
    for cost in floor.profile:
        rate = f"{cost.macs / cost.ms / 1e6:.1f}" if cost.macs else "-"
        share = f"{100 * cost.ms / total:.1f}"
        table.add_row(cost.kind, str(cost.steps), f"{cost.ms:.3f}", share, f"{cost.macs / 1e6:.1f}", rate)
    table.add_row("sum", str(sum(cost.steps for cost in floor.profile)), f"{total:.3f}", "100.0", "", "")
    return table


def write_json(path: Path, results: Sequence[Result]) -> None:
    """Write all results, unrounded, as JSON.

    Raises:
        UserError: ``path`` cannot be written.
    """
    content = {"machine": machine(), "results": [asdict(result) for result in results]}
    write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())


def write_plot(path: Path, results: Sequence[Result]) -> None:
    """Draw bars of CPU time per image, one panel per case, with the theoretical minimum as a line.

    Raises:
        UserError: matplotlib is not installed, or ``path`` cannot be written.
    """
    require("matplotlib", "train", f"{path}: drawing")
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    panels = [(result, case) for result in results for case in result.cases]
    figure, axes = pyplot.subplots(len(panels), 1, figsize=(8, 2.4 * len(panels)), squeeze=False)
    for axis, (result, case) in zip(axes[:, 0], panels, strict=True):
        names = list(case.contenders)[::-1]
        bars = axis.barh(names, [case.contenders[name].cpu_ms[0] for name in names], color="tab:blue")
        axis.bar_label(bars, fmt="%.1f", padding=3)
        if result.floor is not None:
            axis.axvline(result.floor.floor_ms, color="tab:red", label="theoretical minimum")
            axis.legend(loc="upper right")
        axis.set_title(f"{result.network}, batch {case.batch}, threads {case.threads}", fontsize=10)
        axis.set_xlabel("CPU time, ms per image (median)")
        axis.margins(x=0.12)
    figure.suptitle(machine(), fontsize=7)
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:] or "png", dpi=120)
    pyplot.close(figure)
