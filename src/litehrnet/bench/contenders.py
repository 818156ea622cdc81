"""All runtimes, opened for a batch size and a number of threads, in every mode that may be the fastest.

Other runtimes receive images as normalized floats, which does not count as their time. The native engine receives
uint8 crops.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.arrays import Floats32, Image
from litehrnet.bench.subject import Subject
from litehrnet.engine.native import ABSENT, native_module
from litehrnet.optional import is_installed
from litehrnet.runtimes import Runtime
from litehrnet.runtimes.native import open_native
from litehrnet.runtimes.onnxruntime import first_line
from litehrnet.runtimes.openvino import openvino_core
from litehrnet.segmentation.scores import enlarged

Run = Callable[[], Floats32]


@dataclass(frozen=True)
class Contender:
    """Runtime that is ready to run.

    Attributes:
        name: Name of the runtime and its mode for a batch.
        settings: Version and all settings that may matter for its speed.
        run: Function that returns the heatmaps of the case's images.
    """

    name: str
    settings: str
    run: Run


@dataclass(frozen=True)
class Absent:
    """Runtime that cannot be measured.

    Attributes:
        name: Name of the runtime.
        reason: Reason, such as a missing package.
    """

    name: str
    reason: str


def open_contenders(
    subject: Subject, batch: int, threads: int, graphs: dict[str, str], *, compiled: bool = False
) -> list[Contender | Absent]:
    """Open all runtimes for one case, the native engine first.

    Args:
        subject: The network.
        batch: Images per run.
        threads: CPU threads.
        graphs: Name of the graph to run (see ``Subject.graphs``) for onnxruntime and openvino.
        compiled: Whether to measure PyTorch with torch.compile, too.
    """
    contenders = open_native_contenders(subject, batch, threads)
    for name, open_peer in (("onnxruntime", open_onnxruntime), ("openvino", open_openvino)):
        if not is_installed(name):
            extra = "onnx" if name == "onnxruntime" else name
            contenders.append(Absent(name, f"not installed (pip install 'litehrnet[{extra}]')"))
        elif not subject.graphs:
            contenders.append(Absent(name, subject.no_graphs))
        else:
            graph = subject.graphs[graphs[name]]
            for streams in _single_image_modes(batch):
                contenders.append(attempt(name, partial(open_peer, graph, subject, batch, threads, streams)))
    if not is_installed("torch"):
        return [*contenders, Absent("torch", "not installed (pip install 'litehrnet[train]')")]
    for way in (False, True) if compiled else (False,):
        for singles in _single_image_modes(batch):
            contender = partial(open_torch, subject, batch, threads, singles, compiled=way)
            contenders.append(attempt("torch, compiled" if way else "torch", contender))
    return contenders


def _single_image_modes(batch: int) -> Iterator[bool]:
    """Yield the modes for a batch: False for one call with all threads, True for single images on one thread each."""
    yield False
    if batch > 1:
        yield True


def attempt(name: str, open_contender: Callable[[], Contender]) -> Contender | Absent:
    """Open another runtime and run it once; return the error as the reason if it fails."""
    try:
        contender = open_contender()
        contender.run()
    except Exception as error:  # these libraries have no common class of exceptions
        return Absent(name, f"does not run here ({first_line(error)})")
    return contender


def open_native_contenders(subject: Subject, batch: int, threads: int) -> list[Contender | Absent]:
    """Open the native engine in float32, and in bfloat16 if the CPU supports it."""
    native = native_module()
    if native is None:
        return [Absent("native", ABSENT)]
    crops = subject.batch(batch)
    contenders: list[Contender | Absent] = []
    for name, precision in {"native": "float32", "native, bf16": "bf16"}.items():
        if precision == "float32" or native.has_bfloat16():
            runtime = open_native(subject.program_file, threads=threads, precision=precision)
            what = "uint8 crops, scores enlarged by OpenCV" if subject.info.segments else "uint8 crops"
            contenders.append(Contender(name, f"{runtime.description}, {what}", partial(maps, runtime, crops)))
    return contenders


def maps(runtime: Runtime, crops: Image) -> Floats32:
    """Run a network: heatmaps, or class scores enlarged to the size of the images, as the engine does not do that."""
    found = runtime.forward(crops)
    if not runtime.info.segments:
        return found
    return np.stack([enlarged(scores, runtime.input_size_wh) for scores in found])


def open_onnxruntime(graph: Path, subject: Subject, batch: int, threads: int, streams: bool) -> Contender:
    """Open ONNX Runtime with a static shape and all optimizations."""
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

    def run(part: Floats32) -> Any:
        return session.run(None, {name: part})[0]

    settings = f"onnxruntime {onnxruntime.__version__}, {graph_name(subject, graph)}, all optimizations, static shape"
    if not streams:
        return Contender("onnxruntime", f"{settings}, {threads} intra-op threads", lambda: run(images))
    singles = [images[i : i + 1] for i in range(batch)]
    pool = ThreadPoolExecutor(threads)
    mapped = map if threads == 1 else pool.map
    return Contender(
        "onnxruntime, single images",
        f"{settings}, {threads} calls of 1 thread side by side",
        lambda: np.concatenate(list(mapped(run, singles))),
    )


def open_openvino(graph: Path, subject: Subject, batch: int, threads: int, streams: bool) -> Contender:
    """Open OpenVINO with a static shape in float32."""
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
        return Contender(
            "openvino",
            f"{text}, latency mode, 1 stream",
            lambda: request.infer([images], share_inputs=True, share_outputs=True)[0],
        )
    queue = openvino.AsyncInferQueue(compiled, threads)
    results = np.empty((batch, *subject.expected.shape[1:]), np.float32)

    def keep(request: Any, index: int) -> None:
        results[index] = request.get_output_tensor(0).data[0]

    def run() -> Floats32:
        for index in range(batch):
            queue.start_async([images[index : index + 1]], index, share_inputs=True)
        queue.wait_all()
        return results

    queue.set_callback(keep)
    return Contender("openvino, single images", f"{text}, throughput mode, {threads} streams", run)


def open_torch(subject: Subject, batch: int, threads: int, singles: bool, *, compiled: bool) -> Contender:
    """Open PyTorch in channels last with folded normalizations; the number of threads applies to the process."""
    import torch

    from litehrnet.models.folding import fold_batch_norms
    from litehrnet.models.weights import load_network

    torch.set_num_threads(threads)
    network = fold_batch_norms(load_network(subject.weights)[0]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    forward = torch.compile(network) if compiled else network
    images = torch.from_numpy(subject.normalized(batch)).contiguous(memory_format=torch.channels_last)
    parts = [images[i : i + 1] for i in range(batch)] if singles else [images]

    def run() -> Floats32:
        with torch.inference_mode():
            return np.concatenate([forward(part).contiguous().numpy() for part in parts])

    how = "compiled" if compiled else "eager"
    settings = f"torch {metadata.version('torch')}, {how}, folded, channels last, {threads} threads"
    name = ("torch, compiled" if compiled else "torch") + (", single images" if singles else "")
    return Contender(name, f"{settings}, images one after another" if singles else settings, run)


def graph_name(subject: Subject, graph: Path) -> str:
    """Return the name of a graph."""
    return next(name for name, path in subject.graphs.items() if path == graph)


def better_graphs(subject: Subject, measure: Callable[[list[Contender]], dict[str, float]]) -> dict[str, str]:
    """Choose for each runtime of ONNX models the graph that is faster for one image on one thread.

    ``measure`` runs contenders in turn and returns seconds by name.
    """
    chosen: dict[str, str] = {}
    for name, open_peer in (("onnxruntime", open_onnxruntime), ("openvino", open_openvino)):
        if not subject.graphs or not is_installed(name):
            continue
        opened = []
        for graph, path in subject.graphs.items():
            contender = attempt(graph, partial(open_peer, path, subject, 1, 1, False))
            if isinstance(contender, Contender):
                opened.append(Contender(graph, contender.settings, contender.run))
        seconds = measure(opened) if len(opened) > 1 else {contender.name: 0.0 for contender in opened}
        chosen[name] = min(seconds, key=lambda graph: seconds[graph], default="our export")
    return chosen
