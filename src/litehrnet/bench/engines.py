"""Every runtime, opened for a batch and a number of threads, each in the ways that may be its fastest.

The others get images that are already normalized floats, for which they are not charged; ours takes uint8 crops.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.bench.subject import Subject
from litehrnet.optional import is_installed
from litehrnet.runtimes import Runtime
from litehrnet.runtimes.native import ABSENT, native_module, open_native
from litehrnet.runtimes.openvino import openvino_core
from litehrnet.segmentation.scores import enlarged

Run = Callable[[], NDArray[np.float32]]


@dataclass(frozen=True)
class Engine:
    """A runtime that is ready.

    Attributes:
        name: Of the runtime, and how it takes a batch.
        settings: All that may matter for its speed.
        run: Gives the heatmaps of the case's images.
    """

    name: str
    settings: str
    run: Run


@dataclass(frozen=True)
class Absent:
    """A runtime that cannot be measured.

    Attributes:
        name: Of the runtime.
        reason: Why not.
    """

    name: str
    reason: str


def open_engines(
    subject: Subject, batch: int, threads: int, graphs: dict[str, str], *, compiled: bool = False
) -> list[Engine | Absent]:
    """All runtimes for one case, ours first.

    Args:
        subject: The network.
        batch: Images that a run takes.
        threads: CPU threads.
        graphs: For onnxruntime and openvino, the name of the graph to run (see ``Subject.graphs``).
        compiled: PyTorch through torch.compile, too.
    """
    engines = open_ours(subject, batch, threads)
    for name, open_peer in (("onnxruntime", open_onnxruntime), ("openvino", open_openvino)):
        if not is_installed(name):
            package = name if name == "onnxruntime" else f"'litehrnet[{name}]'"
            engines.append(Absent(name, f"not installed (pip install {package})"))
        elif not subject.graphs:
            engines.append(Absent(name, subject.no_graphs))
        else:
            graph = subject.graphs[graphs[name]]
            for streams in _ways(batch):
                engines.append(attempt(name, partial(open_peer, graph, subject, batch, threads, streams)))
    if not is_installed("torch"):
        return [*engines, Absent("torch", "not installed (pip install 'litehrnet[train]')")]
    for way in (False, True) if compiled else (False,):
        for singles in _ways(batch):
            engine = partial(open_torch, subject, batch, threads, singles, compiled=way)
            engines.append(attempt("torch, compiled" if way else "torch", engine))
    return engines


def _ways(batch: int) -> Iterator[bool]:
    """Whether single images go to streams of one thread each; else all threads share one call for the whole batch."""
    yield False
    if batch > 1:
        yield True


def attempt(name: str, open_engine: Callable[[], Engine]) -> Engine | Absent:
    """Open a foreign engine and run it once; whatever it fails with becomes its reason."""
    try:
        engine = open_engine()
        engine.run()
    except Exception as error:  # these libraries share no class of exceptions
        return Absent(name, f"does not run here ({_first_line(error)})")
    return engine


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def open_ours(subject: Subject, batch: int, threads: int) -> list[Engine | Absent]:
    """The native engine in float32, and in bfloat16 where the CPU has that."""
    native = native_module()
    if native is None:
        return [Absent("native", ABSENT)]
    crops = subject.batch(batch)
    engines: list[Engine | Absent] = []
    for name, precision in {"native": "float32", "native, bf16": "bf16"}.items():
        if precision == "float32" or native.has_bfloat16():
            runtime = open_native(subject.program_file, threads=threads, precision=precision)
            what = "uint8 crops, scores enlarged by OpenCV" if subject.info.segments else "uint8 crops"
            engines.append(Engine(name, f"{runtime.description}, {what}", partial(maps, runtime, crops)))
    return engines


def maps(runtime: Runtime, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a network gives: heatmaps, or scores at the size of the images, to which the engine leaves enlarging."""
    found = runtime.heatmaps(crops)
    if not runtime.info.segments:
        return found
    return np.stack([enlarged(scores, runtime.input_size_wh) for scores in found])


def open_onnxruntime(graph: Path, subject: Subject, batch: int, threads: int, streams: bool) -> Engine:
    """ONNX Runtime: static shape, all optimizations."""
    import onnxruntime

    images = subject.normalized(batch)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1 if streams else threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    options.add_free_dimension_override_by_name("batch", 1 if streams else batch)
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(part: NDArray[np.float32]) -> Any:
        return session.run(None, {name: part})[0]

    settings = f"onnxruntime {onnxruntime.__version__}, {graph_name(subject, graph)}, all optimizations, static shape"
    if not streams:
        return Engine("onnxruntime", f"{settings}, {threads} intra-op threads", lambda: run(images))
    singles = [images[i : i + 1] for i in range(batch)]
    pool = ThreadPoolExecutor(threads)
    mapped = map if threads == 1 else pool.map
    return Engine(
        "onnxruntime, single images",
        f"{settings}, {threads} calls of 1 thread side by side",
        lambda: np.concatenate(list(mapped(run, singles))),
    )


def open_openvino(graph: Path, subject: Subject, batch: int, threads: int, streams: bool) -> Engine:
    """OpenVINO: static shape, float32."""
    import openvino

    images = subject.normalized(batch)
    core = openvino_core()
    model = core.read_model(str(graph))
    model.reshape([1 if streams else batch, *images.shape[1:]])
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "THROUGHPUT" if streams else "LATENCY",
        "NUM_STREAMS": threads if streams else 1,
    }
    compiled = core.compile_model(model, "CPU", settings)
    version = openvino.__version__.split("-")[0]
    text = f"openvino {version}, {graph_name(subject, graph)}, f32, static shape, {threads} threads"
    if not streams:
        request = compiled.create_infer_request()
        return Engine(
            "openvino",
            f"{text}, latency mode, 1 stream",
            lambda: request.infer([images], share_inputs=True, share_outputs=True)[0],
        )
    queue = openvino.AsyncInferQueue(compiled, threads)
    results = np.empty((batch, *subject.expected.shape[1:]), np.float32)

    def keep(request: Any, index: int) -> None:
        results[index] = request.get_output_tensor(0).data[0]

    def run() -> NDArray[np.float32]:
        for index in range(batch):
            queue.start_async([images[index : index + 1]], index, share_inputs=True)
        queue.wait_all()
        return results

    queue.set_callback(keep)
    return Engine("openvino, single images", f"{text}, throughput mode, {threads} streams", run)


def open_torch(subject: Subject, batch: int, threads: int, singles: bool, *, compiled: bool) -> Engine:
    """PyTorch in channels last, normalizations folded; the number of threads is the whole process's."""
    import torch

    from litehrnet.models.folding import fold_batch_norms
    from litehrnet.models.weights import load_network

    torch.set_num_threads(threads)
    network = fold_batch_norms(load_network(subject.weights)[0]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    forward = torch.compile(network) if compiled else network
    images = torch.from_numpy(subject.normalized(batch)).contiguous(memory_format=torch.channels_last)
    parts = [images[i : i + 1] for i in range(batch)] if singles else [images]

    def run() -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.concatenate([forward(part).contiguous().numpy() for part in parts])

    how = "compiled" if compiled else "eager"
    settings = f"torch {metadata.version('torch')}, {how}, folded, channels last, {threads} threads"
    name = ("torch, compiled" if compiled else "torch") + (", single images" if singles else "")
    return Engine(name, f"{settings}, images one after another" if singles else settings, run)


def graph_name(subject: Subject, graph: Path) -> str:
    """What a graph is called."""
    return next(name for name, path in subject.graphs.items() if path == graph)


def better_graphs(subject: Subject, measure: Callable[[list[Engine]], dict[str, float]]) -> dict[str, str]:
    """For each runtime of ONNX models the graph that is faster for one image on one thread.

    Args:
        subject: The network.
        measure: Gives seconds for engines by name, taken in turn.
    """
    chosen: dict[str, str] = {}
    for name, open_peer in (("onnxruntime", open_onnxruntime), ("openvino", open_openvino)):
        if not subject.graphs or not is_installed(name):
            continue
        opened = []
        for graph, path in subject.graphs.items():
            engine = attempt(graph, partial(open_peer, path, subject, 1, 1, False))
            if isinstance(engine, Engine):
                opened.append(Engine(graph, engine.settings, engine.run))
        seconds = measure(opened) if len(opened) > 1 else {engine.name: 0.0 for engine in opened}
        chosen[name] = min(seconds, key=lambda graph: seconds[graph], default="our export")
    return chosen
