"""Several networks in turn, one image and one thread: CPU time, and its ratio to that of the first network.

Run: ``python benchmarks/engine_networks.py [VARIANT or FILE ...] [--input-size W H] [--rounds 200]``. A variant gets
random weights and runs on the native engine. A file runs on its default runtime, an ``.onnx`` file on ONNX Runtime,
including the normalization of the crop.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from litehrnet.bench.report import machine
from litehrnet.bench.subject import write_random_weights
from litehrnet.bench.timing import seconds_of
from litehrnet.runtimes import Runtime, open_runtime
from litehrnet.variants import VARIANTS, find_variant


def main() -> None:
    """Measure and print a line per network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=["lite_hrnet_18", "dite_hrnet_18"], metavar="NETWORK")
    parser.add_argument("--input-size", type=int, nargs=2, default=[192, 256], metavar=("W", "H"))
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    width, height = options.input_size
    runtimes = {name: _opened(name, (width, height)) for name in options.networks}
    crop = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    runs = [partial(runtime.forward, crop) for runtime in runtimes.values()]
    rounds = np.array([[seconds_of(run) for run in runs] for _ in range(options.rounds + 1)])[1:]
    print(machine())
    for (name, runtime), seconds in zip(runtimes.items(), rounds.T, strict=True):
        ratio = np.median(seconds / rounds[:, 0])
        times = f"{1e3 * np.median(seconds):.2f} / {1e3 * seconds.min():.2f} ms"
        print(f"{name}: {times}, median / minimum; {ratio:.3f} of the first; {runtime.description}")


def _opened(name: str, size_wh: tuple[int, int]) -> Runtime:
    if name not in VARIANTS:
        return open_runtime(name, threads=1)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / f"{name}.safetensors"
        write_random_weights(weights, find_variant(name), size_wh)
        return open_runtime(weights, "native", threads=1)


if __name__ == "__main__":
    main()
