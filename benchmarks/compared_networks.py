"""The native engine and ONNX Runtime by turns, on the networks that Lite-HRNet is compared with.

CPU time of one image of 256x192 on one thread, with random weights. ONNX Runtime gets normalized floats, so normalizing
does not count as its time. ``OMP_NUM_THREADS=1 python -m benchmarks.compared_networks [NETWORK ...]``
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from litehrnet.bench.subject import write_random_weights
from litehrnet.export.onnx import serialize
from litehrnet.keypoints.crop import normalize
from litehrnet.models.folding import fold_batch_norms
from litehrnet.models.weights import load_network
from litehrnet.runtimes.native import open_native
from litehrnet.variants import find_variant

NETWORKS = ("small_hrnet_w16", "mobilenetv2", "shufflenetv2", "mobilenetv3")
SIZE_WH = (192, 256)
ROUNDS = 25


def milliseconds(run: Callable[[], object]) -> float:
    """CPU time of a second call, whose data the first has brought into the caches."""
    run()
    start = time.process_time()
    run()
    return 1e3 * (time.process_time() - start)


def opened(name: str) -> tuple[Callable[[], NDArray[np.float32]], Callable[[], NDArray[np.float32]]]:
    """Two functions that give the heatmaps of one image: by the native engine, and by ONNX Runtime."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / f"{name}.safetensors"
        write_random_weights(weights, find_variant(name), SIZE_WH)
        native = open_native(weights, threads=1)
        network, info = load_network(weights)
        model = serialize(fold_batch_norms(network), info)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    crops = np.random.default_rng(0).integers(0, 256, (1, SIZE_WH[1], SIZE_WH[0], 3), dtype=np.uint8)
    inputs = {session.get_inputs()[0].name: np.ascontiguousarray(normalize(crops))}
    return lambda: native.forward(crops), lambda: session.run(None, inputs)[0]


def report(name: str) -> str:
    """Median and minimum of both, in one line."""
    native, peer = opened(name)
    difference = np.abs(native() - peer()).max() / np.abs(peer()).max()
    times = [(milliseconds(native), milliseconds(peer)) for _ in range(ROUNDS)]
    ours, theirs = (f"{statistics.median(t):.1f} / {min(t):.1f}" for t in zip(*times, strict=True))
    ratio = statistics.median(b / a for a, b in times)
    return f"{name}: native {ours}, ONNX Runtime {theirs} ms, ratio {ratio:.2f}, difference {difference:.1g}"


if __name__ == "__main__":
    for chosen in sys.argv[1:] or NETWORKS:
        print(report(chosen), flush=True)
