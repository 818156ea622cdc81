"""A program as text, one line per step."""

from collections.abc import Iterator

from litehrnet.engine.program import Planes, Program, Step

_RUNS_SHOWN = 3

LEGEND = (
    "Shapes: channels x height x width of each input and output. Places: in floats from the beginning of the arena, "
    "first+stride*count for planes at equal distances. KB: planes and constants of a step, as float32."
)


def step_row(index: int, step: Step) -> tuple[str, ...]:
    """Number, kind, name, inputs, outputs, 10^3 multiply-accumulates, KB, and places of the inputs."""
    places = "; ".join(places_text(planes) for planes in step.reads if len(planes))
    return (
        str(index),
        step.kind.name.lower() + ("" if step.stride == 1 else f" /{step.stride}"),
        step.name.removeprefix("backbone."),
        _shapes_text(step.reads),
        _shapes_text(step.writes),
        f"{step.macs / 1e3:,.0f}",
        f"{step.bytes_touched / 1e3:,.0f}",
        places,
    )


def totals_text(program: Program) -> str:
    """Cost of the whole program, in one line."""
    width, height = program.input_size_wh
    order = "BGR" if program.bgr else "RGB"
    return (
        f"{len(program.steps)} steps for one image of {width}x{height} (width x height), {order}, "
        f"{len(program.output)} heatmaps: {program.macs / 1e6:.1f} x 10^6 multiply-accumulates, "
        f"arena {4 * program.arena_floats / 2**20:.2f} MiB, constants {program.constant_bytes / 2**20:.2f} MiB"
    )


def places_text(planes: Planes) -> str:
    """Places of planes, as runs of equal distance."""
    runs = list(_runs(planes.places))
    shown = ", ".join(
        f"{first}+{stride}*{count}" if count > 1 else str(first) for first, stride, count in runs[:_RUNS_SHOWN]
    )
    return shown if len(runs) <= _RUNS_SHOWN else f"{shown} and {len(runs) - _RUNS_SHOWN} more runs"


def _runs(places: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """First place, stride and count of each run."""
    start = 0
    while start < len(places):
        stride = places[start + 1] - places[start] if start + 1 < len(places) else 0
        end = start + 1
        while end < len(places) and places[end] - places[end - 1] == stride:
            end += 1
        yield places[start], stride, end - start
        start = end


def _shapes_text(operands: tuple[Planes, ...]) -> str:
    return " ".join(f"{len(planes) or 3}x{planes.height}x{planes.width}" for planes in operands if planes.pixels)
