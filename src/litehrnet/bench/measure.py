"""All measurements of one network."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from litehrnet.bench.contenders import Absent, Contender, better_graphs, open_contenders
from litehrnet.bench.floor import Floor, Peaks, measure_floor, measure_peaks
from litehrnet.bench.memory import measure_memory
from litehrnet.bench.pipeline import PipelineCost, measure_pipeline
from litehrnet.bench.subject import Subject, make_subject
from litehrnet.bench.timing import Summary, summarize, take_turns
from litehrnet.engine.native import native_module

_CHOICE_ROUNDS = 5


@dataclass(frozen=True)
class Settings:
    """Settings of a measurement.

    Attributes:
        input_size_wh: (width, height) for weights without an input size.
        batches: Numbers of images per run.
        threads: Numbers of CPU threads.
        seconds: Time for all contenders of one case together.
        rounds: Minimum number of rounds of every contender.
        compiled: Whether to measure PyTorch with torch.compile, too.
        photos: JPEG files and their description, see ``pipeline.read_photos``.
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
    """Results for one batch size and number of threads.

    Attributes:
        batch: Images per run.
        threads: CPU threads.
        contenders: Times by name, the native engine first.
        settings: Settings by name.
        absent: Reason by name of each runtime that could not be measured.
    """

    batch: int
    threads: int
    contenders: dict[str, Summary]
    settings: dict[str, str]
    absent: dict[str, str]


@dataclass(frozen=True)
class Result:
    """Results for one network.

    Attributes:
        network: Name of the variant or of the weights file.
        input_size_wh: (width, height).
        reference: Description of the heatmaps that the contenders' heatmaps are compared with.
        graphs: Name of the faster graph for each runtime of ONNX models.
        cases: Results by batch size and number of threads.
        peaks: Peak rates of this machine; None without the native engine.
        floor: Native engine compared with the theoretical minimum; None without the engine.
        memory: Growth of a process in bytes by runtime, or why it is unknown.
        pipeline: JPEG bytes to poses; None without the native engine and for segmentation networks.
    """

    network: str
    input_size_wh: tuple[int, int]
    reference: str
    graphs: dict[str, str]
    cases: tuple[Case, ...]
    peaks: Peaks | None
    floor: Floor | None
    memory: dict[str, int | str]
    pipeline: PipelineCost | None


def measure(network: str, settings: Settings, say: Callable[[str], None]) -> Result:
    """Measure one network, and send progress messages to ``say``; ``network`` and errors as for ``make_subject``."""
    with tempfile.TemporaryDirectory() as folder:
        say(f"{network}: compiling and exporting")
        subject = make_subject(network, settings.input_size_wh, Path(folder))
        present = native_module() is not None
        say(f"{network}: measuring the native engine alone, and peak rates")
        floor = measure_floor(subject, settings.seconds / 4) if present else None
        peaks = measure_peaks() if present else None
        say(f"{network}: choosing graphs")
        graphs = better_graphs(subject, lambda contenders: _seconds(contenders, subject, settings))
        cases = []
        for threads in settings.threads:
            for batch in settings.batches:
                say(f"{network}: batch {batch}, {threads} threads")
                cases.append(measure_case(subject, batch, threads, graphs, settings))
        say(f"{network}: measuring memory, and JPEG bytes to poses")
        memory = measure_memory(subject)
        of_poses = present and not subject.info.segments
        pipeline = measure_pipeline(subject, settings.photos, settings.rounds) if of_poses else None
    size = subject.program.input_size_wh
    return Result(network, size, subject.reference, graphs, tuple(cases), peaks, floor, memory, pipeline)


def measure_case(subject: Subject, batch: int, threads: int, graphs: dict[str, str], settings: Settings) -> Case:
    """Run all contenders in turn for one batch size and number of threads."""
    opened = open_contenders(subject, batch, threads, graphs, compiled=settings.compiled)
    contenders = [contender for contender in opened if isinstance(contender, Contender)]
    times = take_turns(
        contenders, subject.error, seconds=settings.seconds, least_rounds=settings.rounds, pause=threads > 1
    )
    return Case(
        batch,
        threads,
        summarize(times, batch),
        {contender.name: contender.settings for contender in contenders},
        {contender.name: contender.reason for contender in opened if isinstance(contender, Absent)},
    )


def _seconds(contenders: list[Contender], subject: Subject, settings: Settings) -> dict[str, float]:
    rounds = min(_CHOICE_ROUNDS, settings.rounds)
    times = take_turns(contenders, subject.error, seconds=settings.seconds / 8, least_rounds=rounds, pause=False)
    return {name: summary.cpu_ms[0] for name, summary in summarize(times, 1).items()}
