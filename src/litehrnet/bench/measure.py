"""All measurements of one network, in order."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from litehrnet.bench.engines import Absent, Engine, better_graphs, open_engines
from litehrnet.bench.floor import Floor, Peaks, measure_floor, measure_peaks
from litehrnet.bench.memory import measure_memory
from litehrnet.bench.pipeline import PipelineCost, measure_pipeline
from litehrnet.bench.subject import Subject, make_subject
from litehrnet.bench.timing import Summary, summarize, take_turns
from litehrnet.engine.native import native_module

_CHOICE_ROUNDS = 5


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        input_size_wh: (width, height) where weights do not say it.
        batches: Images per run.
        threads: CPU threads.
        seconds: For all engines of one case together.
        rounds: Every engine's least number of them.
        compiled: PyTorch through torch.compile, too.
        photos: JPEG files and what they are, see ``pipeline.read_photos``.
    """

    input_size_wh: tuple[int, int] | None
    batches: tuple[int, ...]
    threads: tuple[int, ...]
    seconds: float
    rounds: int
    compiled: bool
    photos: tuple[list[bytes], str]


@dataclass(frozen=True)
class Case:
    """One batch size and number of threads.

    Attributes:
        batch: Images of a run.
        threads: CPU threads.
        engines: Figures by name, ours first.
        settings: How each engine was set.
        absent: Why the others are not among them.
    """

    batch: int
    threads: int
    engines: dict[str, Summary]
    settings: dict[str, str]
    absent: dict[str, str]


@dataclass(frozen=True)
class Result:
    """Of one network; None where the native engine, which it is about, is absent.

    Attributes:
        network: Name of the variant or of the weights' file.
        input_size_wh: (width, height).
        judge: What the engines' heatmaps were compared with.
        graphs: The faster graph of each runtime that takes ONNX models.
        cases: One per batch size and number of threads.
        peaks: Of this machine.
        floor: Our engine alone beside them.
        memory: Growth of a process in bytes, by runtime, or why it is not known.
        pipeline: From JPEG bytes to Poses; None for a network that segments, too.
    """

    network: str
    input_size_wh: tuple[int, int]
    judge: str
    graphs: dict[str, str]
    cases: tuple[Case, ...]
    peaks: Peaks | None
    floor: Floor | None
    memory: dict[str, int | str]
    pipeline: PipelineCost | None


def measure(network: str, settings: Settings, say: Callable[[str], None]) -> Result:
    """Measure one network.

    Args:
        network: A variant, which gets random weights, or a file of weights.
        settings: What to measure.
        say: Told what is being done.

    Raises:
        UserError: See ``make_subject``.
    """
    with tempfile.TemporaryDirectory() as folder:
        say(f"{network}: compiling and exporting")
        subject = make_subject(network, settings.input_size_wh, Path(folder))
        present = native_module() is not None
        say(f"{network}: alone in its loop, peak rates")
        floor = measure_floor(subject, settings.seconds / 4) if present else None
        peaks = measure_peaks() if present else None
        say(f"{network}: choosing graphs")
        graphs = better_graphs(subject, lambda engines: _seconds(engines, subject, settings))
        cases = []
        for threads in settings.threads:
            for batch in settings.batches:
                say(f"{network}: batch {batch}, {threads} threads")
                cases.append(measure_case(subject, batch, threads, graphs, settings))
        say(f"{network}: memory, from JPEG bytes to Poses")
        memory = measure_memory(subject)
        of_poses = present and not subject.info.segments
        pipeline = measure_pipeline(subject, settings.photos, settings.rounds) if of_poses else None
    size = subject.program.input_size_wh
    return Result(network, size, subject.judge, graphs, tuple(cases), peaks, floor, memory, pipeline)


def measure_case(subject: Subject, batch: int, threads: int, graphs: dict[str, str], settings: Settings) -> Case:
    """All engines in turn for one batch size and number of threads."""
    opened = open_engines(subject, batch, threads, graphs, compiled=settings.compiled)
    engines = [engine for engine in opened if isinstance(engine, Engine)]
    times = take_turns(
        engines, subject.error, seconds=settings.seconds, least_rounds=settings.rounds, pause=threads > 1
    )
    return Case(
        batch,
        threads,
        summarize(times, batch),
        {engine.name: engine.settings for engine in engines},
        {engine.name: engine.reason for engine in opened if isinstance(engine, Absent)},
    )


def _seconds(engines: list[Engine], subject: Subject, settings: Settings) -> dict[str, float]:
    rounds = min(_CHOICE_ROUNDS, settings.rounds)
    times = take_turns(engines, subject.error, seconds=settings.seconds / 8, least_rounds=rounds, pause=False)
    return {name: summary.cpu_ms[0] for name, summary in summarize(times, 1).items()}
