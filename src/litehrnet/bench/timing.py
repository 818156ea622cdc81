"""Engines in turn: one round runs each of them once, so that whatever slows the machine down slows all of them."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from litehrnet.bench.engines import Engine

_PAUSE = 0.02
"""Seconds for the threads of the engine before to stop waiting actively; they would be counted to the next one."""


@dataclass(frozen=True)
class Times:
    """Of one engine; one value per round it took part in.

    Attributes:
        wall: Seconds.
        cpu: Seconds of CPU time of the whole process.
        rounds: Their numbers.
        error: The largest of all rounds, see ``Subject.error``.
    """

    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    rounds: tuple[int, ...]
    error: float


@dataclass(frozen=True)
class Summary:
    """Times of one engine, per image, and what they are to ours.

    Attributes:
        wall_ms: Median and minimum, milliseconds per image.
        cpu_ms: The same of CPU time.
        wall_ratio: Median over the rounds of this engine's time through ours in the same round; None without ours.
        cpu_ratio: The same of CPU time.
        rounds: How many.
        error: Largest difference of a heatmap value to the expected one, over the largest of these.
    """

    wall_ms: tuple[float, float]
    cpu_ms: tuple[float, float]
    wall_ratio: float | None
    cpu_ratio: float | None
    rounds: int
    error: float


def take_turns(
    engines: list[Engine],
    error: Callable[[NDArray[np.float32]], float],
    *,
    seconds: float,
    least_rounds: int,
    pause: bool,
) -> dict[str, Times]:
    """Run the engines in turn, until the time is over.

    One that has had more than its share of the time is left out once it took part in ``least_rounds``. One round goes
    uncounted.

    Args:
        engines: Ready to run.
        error: Of the heatmaps that one gave.
        seconds: For all of them.
        least_rounds: That every engine takes part in, even where they take longer.
        pause: Whether to wait between engines until their threads are at rest.

    Returns:
        Times by name.
    """
    wall: dict[str, list[float]] = {engine.name: [] for engine in engines}
    cpu: dict[str, list[float]] = {engine.name: [] for engine in engines}
    rounds: dict[str, list[int]] = {engine.name: [] for engine in engines}
    errors = dict.fromkeys(wall, 0.0)
    for engine in engines:
        engine.run()
    start, number = time.perf_counter(), 0
    while engines and (number < least_rounds or time.perf_counter() - start < seconds):
        for engine in engines:
            name = engine.name
            if number >= least_rounds and sum(wall[name]) > seconds / len(engines):
                continue
            if pause:
                time.sleep(_PAUSE)
            wall_before, cpu_before = time.perf_counter(), time.process_time()
            heatmaps = engine.run()
            cpu[name].append(time.process_time() - cpu_before)
            wall[name].append(time.perf_counter() - wall_before)
            rounds[name].append(number)
            errors[name] = max(errors[name], error(heatmaps))
        number += 1
        if all(sum(times) > seconds / len(engines) for times in wall.values()) and number >= least_rounds:
            break
    return {n: Times(tuple(wall[n]), tuple(cpu[n]), tuple(rounds[n]), errors[n]) for n in wall}


def summarize(times: dict[str, Times], batch: int, ours: str = "native") -> dict[str, Summary]:
    """Medians, minima and paired ratios, by name of the engine.

    Args:
        times: Of engines that took turns.
        batch: Images of a run.
        ours: The engine that the others are compared with.
    """
    base = times.get(ours)
    return {
        name: Summary(
            _per_image(own.wall, batch),
            _per_image(own.cpu, batch),
            None if base is None else _ratio(own.rounds, own.wall, base.rounds, base.wall),
            None if base is None else _ratio(own.rounds, own.cpu, base.rounds, base.cpu),
            len(own.rounds),
            own.error,
        )
        for name, own in times.items()
    }


def _per_image(seconds: tuple[float, ...], batch: int) -> tuple[float, float]:
    return 1000 * float(np.median(seconds)) / batch, 1000 * min(seconds) / batch


def _ratio(
    rounds: tuple[int, ...], seconds: tuple[float, ...], base_rounds: tuple[int, ...], base_seconds: tuple[float, ...]
) -> float | None:
    base = dict(zip(base_rounds, base_seconds, strict=True))
    ratios = [own / base[number] for number, own in zip(rounds, seconds, strict=True) if base.get(number)]
    return float(np.median(ratios)) if ratios else None


def all_threads() -> int:
    """CPU threads that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
