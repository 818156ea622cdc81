"""Timing of contenders in turn: each round runs all of them once, so a slow moment of the machine affects all."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from litehrnet.arrays import Floats32
from litehrnet.bench.contenders import Contender

_PAUSE = 0.02
"""Seconds until the threads of the previous contender stop busy waiting, which would count as the next one's time."""


@dataclass
class Times:
    """Times of one contender.

    Attributes:
        wall: Wall time in seconds by number of the round.
        cpu: CPU time of the whole process in seconds by number of the round.
        error: Largest error of all rounds, see ``Subject.error``.
    """

    wall: dict[int, float] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)
    error: float = 0.0


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


def seconds_of(run: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Return the seconds that a call takes: CPU time of the process, or those of another clock."""
    start = clock()
    run()
    return clock() - start


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
    times = {contender.name: Times() for contender in contenders}
    share = seconds / max(len(contenders), 1)
    for contender in contenders:
        contender.run()
    start = time.perf_counter()
    for number in itertools.count() if contenders else ():
        spent = {name: sum(own.wall.values()) for name, own in times.items()}
        if number >= least_rounds and (time.perf_counter() - start >= seconds or min(spent.values()) > share):
            break
        for contender in contenders:
            own = times[contender.name]
            if number >= least_rounds and spent[contender.name] > share:
                continue
            if pause:
                time.sleep(_PAUSE)
            wall_before, cpu_before = time.perf_counter(), time.process_time()
            heatmaps = contender.run()
            own.cpu[number] = time.process_time() - cpu_before
            own.wall[number] = time.perf_counter() - wall_before
            own.error = max(own.error, error(heatmaps))
    return times


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
            None if base is None else _ratio(own.wall, base.wall),
            None if base is None else _ratio(own.cpu, base.cpu),
            len(own.wall),
            own.error,
        )
        for name, own in times.items()
    }


def _per_image(seconds: dict[int, float], batch: int) -> tuple[float, float]:
    times = [*seconds.values()]
    return 1000 * float(np.median(times)) / batch, 1000 * min(times) / batch


def _ratio(seconds: dict[int, float], base: dict[int, float]) -> float | None:
    ratios = [own / base[number] for number, own in seconds.items() if base.get(number)]
    return float(np.median(ratios)) if ratios else None
