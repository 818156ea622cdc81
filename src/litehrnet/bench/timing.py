"""Timing of contenders in turn: each round runs all of them once, so a slow moment of the machine affects all."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from litehrnet.arrays import Floats32
from litehrnet.bench.contenders import Contender

_PAUSE = 0.02
"""Seconds until the threads of the previous contender stop busy waiting, which would count as the next one's time."""


@dataclass(frozen=True)
class Times:
    """Times of one contender, one value for each of its rounds.

    Attributes:
        wall: Wall time in seconds.
        cpu: CPU time of the whole process in seconds.
        rounds: Numbers of the rounds.
        error: Largest error of all rounds, see ``Subject.error``.
    """

    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    rounds: tuple[int, ...]
    error: float


@dataclass(frozen=True)
class Summary:
    """Times of one contender per image, also relative to the native engine.

    Attributes:
        wall_ms: Median and minimum wall time, milliseconds per image.
        cpu_ms: Median and minimum CPU time, milliseconds per image.
        wall_ratio: Wall time divided by the native engine's in the same round, median over rounds; None without it.
        cpu_ratio: CPU time divided by the native engine's in the same round, median over rounds; None without it.
        rounds: Number of rounds.
        error: Largest difference from an expected heatmap value, divided by the largest expected value.
    """

    wall_ms: tuple[float, float]
    cpu_ms: tuple[float, float]
    wall_ratio: float | None
    cpu_ratio: float | None
    rounds: int
    error: float


def take_turns(
    contenders: list[Contender], error: Callable[[Floats32], float], *, seconds: float, least_rounds: int, pause: bool
) -> dict[str, Times]:
    """Run the contenders in turn until the time is over.

    The first round does not count. After ``least_rounds`` rounds, a contender that has used its share of the time
    stops.

    Args:
        contenders: Contenders to run.
        error: Function that computes the error of heatmaps.
        seconds: Time for all contenders together.
        least_rounds: Minimum number of rounds of every contender, even if they take longer.
        pause: Whether to pause between contenders until their threads are idle.

    Returns:
        Times by name.
    """
    wall: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    cpu: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    rounds: dict[str, list[int]] = {contender.name: [] for contender in contenders}
    errors = dict.fromkeys(wall, 0.0)
    for contender in contenders:
        contender.run()
    start, number = time.perf_counter(), 0
    while contenders and (number < least_rounds or time.perf_counter() - start < seconds):
        for contender in contenders:
            name = contender.name
            if number >= least_rounds and sum(wall[name]) > seconds / len(contenders):
                continue
            if pause:
                time.sleep(_PAUSE)
            wall_before, cpu_before = time.perf_counter(), time.process_time()
            heatmaps = contender.run()
            cpu[name].append(time.process_time() - cpu_before)
            wall[name].append(time.perf_counter() - wall_before)
            rounds[name].append(number)
            errors[name] = max(errors[name], error(heatmaps))
        number += 1
        if all(sum(times) > seconds / len(contenders) for times in wall.values()) and number >= least_rounds:
            break
    return {n: Times(tuple(wall[n]), tuple(cpu[n]), tuple(rounds[n]), errors[n]) for n in wall}


def summarize(times: dict[str, Times], batch: int, ours: str = "native") -> dict[str, Summary]:
    """Compute medians, minima and paired ratios by name of the contender.

    Args:
        times: Times by name, from ``take_turns``.
        batch: Images per run.
        ours: Name of the contender that the others are compared with.
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
