"""Theoretical minimum of a network's time on this machine, and the time of the native engine by kind of step."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from litehrnet.bench.subject import Subject
from litehrnet.bench.timing import seconds_of
from litehrnet.engine.native import native_module
from litehrnet.engine.program import Kind
from litehrnet.runtimes.native import open_native

BLOCKS = {"16 KiB": 1 << 14, "512 KiB": 1 << 19, "8 MiB": 1 << 23, "128 MiB": 1 << 27}
"""Block sizes that fit the first, second and third cache level of most CPUs, and one that fits none."""

_WARM_RUNS = 10
_LOADS = 5


@dataclass(frozen=True)
class Peaks:
    """Peak rates of one thread, measured with the engine's instruction set.

    Attributes:
        kernels: Name of the instruction set.
        macs_per_second: Multiply-adds in float32.
        read_bytes_per_second: Reading rate by name of the block size in ``BLOCKS``.
    """

    kernels: str
    macs_per_second: float
    read_bytes_per_second: dict[str, float]


@dataclass(frozen=True)
class KindCost:
    """Cost of the steps of one kind for one image.

    Attributes:
        kind: Name of the kind.
        steps: Number of steps.
        ms: Sum of the steps' median times in milliseconds.
        macs: Multiply-adds.
    """

    kind: str
    steps: int
    ms: float
    macs: int


@dataclass(frozen=True)
class Floor:
    """Time of the native engine alone, for one image on one thread, and the theoretical minimum.

    Attributes:
        macs: Multiply-adds of the program for one image.
        floor_ms: Theoretical minimum in milliseconds: the multiply-adds divided by the peak rate.
        cpu_ms: Median and minimum of the CPU time in milliseconds.
        ratio: Minimum CPU time divided by ``floor_ms``.
        profile: Cost by kind of step, the highest first.
        arena_bytes: Working memory of a thread.
        constant_bytes: Size of weights and biases.
        load_ms: Minimum milliseconds to open a program file.
        library_bytes: Size of the engine's shared object.
    """

    macs: int
    floor_ms: float
    cpu_ms: tuple[float, float]
    ratio: float
    profile: tuple[KindCost, ...]
    arena_bytes: int
    constant_bytes: int
    load_ms: float
    library_bytes: int


def measure_peaks() -> Peaks:
    """Measure the peak rates of this machine; ``native_module()`` must not be None."""
    native = native_module()
    assert native is not None
    reads = {name: native.peak_reading(size) for name, size in BLOCKS.items()}
    return Peaks(native.kernels(), native.peak_macs(), reads)


def measure_floor(subject: Subject, seconds: float) -> Floor:
    """Run the native engine alone. The peak rate is the higher one of two measurements, before and after."""
    native = native_module()
    assert native is not None
    runtime, crop = open_native(subject.program_file, threads=1), subject.batch(1)
    before = native.peak_macs()
    times = _cpu_times(lambda: runtime.forward(crop), seconds)
    peak = max(before, native.peak_macs())
    profiles = [runtime.runner.profile(crop) for _ in range(len(times))]
    load = partial(open_native, subject.program_file, threads=1)
    loads = [seconds_of(load, time.perf_counter) for _ in range(_LOADS)]
    floor_ms, least = 1000 * subject.program.macs / peak, 1000 * min(times)
    return Floor(
        macs=subject.program.macs,
        floor_ms=floor_ms,
        cpu_ms=(1000 * float(np.median(times)), least),
        ratio=least / floor_ms,
        profile=_per_kind(subject, 1000 * np.median(profiles, axis=0)),
        arena_bytes=runtime.runner.arena_bytes,
        constant_bytes=subject.program.constant_bytes,
        load_ms=1000 * min(loads),
        library_bytes=Path(str(native.__file__)).stat().st_size,
    )


def _cpu_times(run: Callable[[], object], seconds: float) -> list[float]:
    for _ in range(_WARM_RUNS):
        run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < _WARM_RUNS:
        times.append(seconds_of(run))
    return times


def _per_kind(subject: Subject, step_ms: np.ndarray) -> tuple[KindCost, ...]:
    costs = []
    for kind in Kind:
        own = [(step, float(ms)) for step, ms in zip(subject.program.steps, step_ms, strict=True) if step.kind is kind]
        if own:
            macs = sum(step.macs for step, _ in own)
            costs.append(KindCost(kind.name.lower(), len(own), sum(ms for _, ms in own), macs))
    return tuple(sorted(costs, key=lambda cost: -cost.ms))
