"""The native engine compared with ncnn, MNN, LiteRT and the other runtimes of the package: one image, one thread.

Run: ``python benchmarks/engine_peers.py [VARIANT ...] [--input-size W H] [--seconds 20] [--rounds 5]``, after
``pip install --no-deps -r benchmarks/requirements.txt`` and with the extras ``export``, ``openvino`` and ``litert``.
All run in turn in one process, as in ``litehrnet bench``; a runtime that is absent or fails has a row with the
reason. pnnx converts the folded network for ncnn, without half precision. MNN converts our ONNX export and runs at
high precision. LiteRT runs the model that ``litehrnet export`` writes for it.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.bench.contenders import Absent, Contender, attempt, better_graphs, open_contenders
from litehrnet.bench.measure import Case, Result
from litehrnet.bench.report import case_notes, case_table, machine
from litehrnet.bench.subject import Subject, make_subject
from litehrnet.bench.timing import summarize, take_turns
from litehrnet.optional import is_installed


def main() -> None:
    """Measure all variants and print the results."""
    from rich.console import Console

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", nargs="*", default=["lite_hrnet_18"])
    parser.add_argument("--input-size", type=int, nargs=2, default=[192, 256], metavar=("W", "H"))
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(machine())
    for variant in options.variants:
        with tempfile.TemporaryDirectory() as folder:
            subject = make_subject(variant, tuple(options.input_size), Path(folder))
            case = measure_case(subject, Path(folder), options.seconds, options.rounds)
        result = Result(variant, subject.program.input_size_wh, subject.reference, {}, (case,), None, None, {}, None)
        Console(width=120, highlight=False).print(case_table(result, case))
        print(*case_notes(case), sep="\n")


def measure_case(subject: Subject, folder: Path, seconds: float, rounds: int) -> Case:
    """Run all runtimes in turn."""
    take = partial(take_turns, error=subject.error, pause=False)

    def choose(contenders: list[Contender]) -> dict[str, float]:
        times = take(contenders, seconds=seconds / 8, least_rounds=rounds)
        return {name: summary.cpu_ms[0] for name, summary in summarize(times, 1).items()}

    opened = open_contenders(subject, 1, 1, better_graphs(subject, choose))
    for name, packages, open_peer in (
        ("ncnn", ("ncnn", "pnnx"), open_ncnn),
        ("MNN", ("MNN",), open_mnn),
        ("LiteRT", ("ai_edge_litert",), open_litert),
    ):
        missing = [package for package in packages if not is_installed(package)]
        if missing:
            opened.append(Absent(name, f"{missing[0]} is not installed (see the top of benchmarks/engine_peers.py)"))
        else:
            opened.append(attempt(name, partial(open_peer, subject, folder)))
    contenders = [contender for contender in opened if isinstance(contender, Contender)]
    absent = {contender.name: contender.reason for contender in opened if isinstance(contender, Absent)}
    summaries = summarize(take(contenders, seconds=seconds, least_rounds=rounds), 1)
    return Case(1, 1, summaries, {contender.name: contender.settings for contender in contenders}, absent)


def open_ncnn(subject: Subject, folder: Path) -> Contender:
    """Open ncnn in float32, with its own choice of Winograd and packing."""
    import ncnn
    import pnnx
    import torch

    from litehrnet.models.folding import fold_batch_norms
    from litehrnet.models.weights import load_network

    network = fold_batch_norms(load_network(subject.weights)[0])
    images = subject.normalized(1)
    with quiet_output(), contextlib.chdir(folder):
        pnnx.export(network, "peer.pt", torch.from_numpy(images), fp16=False)
    net: Any = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_vulkan_compute = False
    for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, half, False)
    net.load_param(str(folder / "peer.ncnn.param"))
    net.load_model(str(folder / "peer.ncnn.bin"))

    def run() -> np.ndarray:
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(images[0]))
        return np.array(extractor.extract("out0")[1])[None]

    return Contender("ncnn", f"ncnn {metadata.version('ncnn')}, float32, 1 thread, converted by pnnx", run)


def open_mnn(subject: Subject, folder: Path) -> Contender:
    """Open MNN on the CPU at high precision."""
    import MNN

    images = subject.normalized(1)
    # MNN.tools.mnnconvert is avoided: importing it installs packages and reports usage to its authors.
    convert = "import sys, _tools; _tools.mnnconvert(sys.argv)"
    command = [sys.executable, "-c", convert, "-f", "ONNX", "--bizCode", "peer"]
    files = ["--modelFile", str(subject.graphs["our export"]), "--MNNModel", str(folder / "peer.mnn")]
    subprocess.run([*command, *files], check=True, capture_output=True)
    interpreter = MNN.Interpreter(str(folder / "peer.mnn"))
    session = interpreter.createSession({"backend": "CPU", "numThread": 1, "precision": "high"})
    taken = interpreter.getSessionInput(session)
    interpreter.resizeTensor(taken, images.shape)
    interpreter.resizeSession(session)
    put = MNN.Tensor(images.shape, MNN.Halide_Type_Float, images, MNN.Tensor_DimensionType_Caffe)
    given = interpreter.getSessionOutput(session)
    shape = (1, *subject.expected.shape[1:])
    got = MNN.Tensor(shape, MNN.Halide_Type_Float, np.zeros(shape, np.float32), MNN.Tensor_DimensionType_Caffe)

    def run() -> np.ndarray:
        taken.copyFrom(put)
        interpreter.runSession(session)
        given.copyToHostTensor(got)
        return np.array(got.getNumpyData()).reshape(shape)

    return Contender("MNN", f"MNN {metadata.version('MNN')}, float32 (precision high), 1 thread, our export", run)


def open_litert(subject: Subject, folder: Path) -> Contender:
    """Open LiteRT with XNNPACK."""
    from ai_edge_litert.interpreter import Interpreter

    from litehrnet.export.litert import translate

    model = folder / "peer.tflite"
    model.write_bytes(translate(subject.graphs["our export"].read_bytes(), subject.info, subject.name))
    interpreter = Interpreter(str(model), num_threads=1)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    images = np.ascontiguousarray(subject.normalized(1).transpose(0, 2, 3, 1))

    def run() -> np.ndarray:
        interpreter.set_tensor(taken["index"], images)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(given["index"])).transpose(0, 3, 1, 2)

    version = metadata.version("ai-edge-litert")
    return Contender("LiteRT", f"LiteRT {version}, float32 (XNNPACK), 1 thread, our export", run)


@contextlib.contextmanager
def quiet_output() -> Any:
    """Suppress the output that converters print from C++."""
    sys.stdout.flush()
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nothing)


if __name__ == "__main__":
    main()
