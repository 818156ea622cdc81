"""Cost of prediction on this machine: start-up, crop and decode compared with the network, and the runtimes.

Run: ``python benchmarks/pipeline.py [--variant lite_hrnet_18] [--rounds 5]``. All steps are timed in turn in one
process (A, B, C, A, B, C ...), because the speed of a shared machine drifts. Medians and minima are printed.
"""

import argparse
import datetime
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from litehrnet.bench.pipeline import BUNDLED_PHOTO
from litehrnet.bench.subject import write_random_weights
from litehrnet.cli.version import cpu_features
from litehrnet.export.onnx import export_onnx
from litehrnet.inference.batching import CropJob, cut_crops
from litehrnet.io.images import read_image
from litehrnet.keypoints.boxes import centers_and_scales
from litehrnet.keypoints.codec import decode, heatmap_to_image
from litehrnet.runtimes import Runtime, open_runtime
from litehrnet.variants import DEFAULT_INPUT_SIZE_WH, find_variant

BATCH = 32


def main() -> None:
    """Run all measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", default="lite_hrnet_18")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{datetime.date.today()}, {cpu_name()} ({' '.join(cpu_features())}), Python {platform.python_version()}\n")
    start_up(options.rounds)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "w.safetensors"
        write_random_weights(weights, find_variant(options.variant), DEFAULT_INPUT_SIZE_WH)
        exported = Path(folder) / "w.onnx"
        export_onnx(weights, exported)
        share_of_crop_and_decode(exported, options.rounds)
        runtimes(weights, exported, options.rounds)


def start_up(rounds: int) -> None:
    """Print the seconds for importing the package and for printing the help, next to Python's own start."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import litehrnet": [sys.executable, "-c", "import litehrnet"],
        "litehrnet --help": [sys.executable, "-m", "litehrnet", "--help"],
    }

    def call(command: list[str]) -> Callable[[], object]:
        return lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    times = in_turn({name: call(command) for name, command in commands.items()}, rounds)
    print("start-up (must be < 0.3 s)")
    for name, values in times.items():
        print(f"  {name:22} median {np.median(values):.3f} s   min {min(values):.3f} s")


def share_of_crop_and_decode(exported: Path, rounds: int) -> None:
    """Print (crop + decode) / (crop + network + decode) for 32 people in one photo."""
    runtime = open_runtime(exported, "onnxruntime")
    image, box = read_image(BUNDLED_PHOTO), np.array([100.0, 20.0, 360.0, 480.0])
    centers, scales = centers_and_scales(np.repeat(box[None], BATCH, axis=0), runtime.input_size_wh)
    job = CropJob(image, centers, scales, None)
    crops = cut_crops(job, runtime)
    heatmaps = runtime.forward(crops)
    size_wh, codec = (heatmaps.shape[3], heatmaps.shape[2]), runtime.info.codec
    steps: dict[str, Callable[[], object]] = {
        "crop": lambda: cut_crops(job, runtime),
        "network": lambda: runtime.forward(crops),
        "decode": lambda: heatmap_to_image(decode(heatmaps, codec)[0], centers, scales, size_wh, codec),
    }
    times = in_turn(steps, rounds)
    own = np.array(times["crop"]) + times["decode"]
    share = own / (own + times["network"])
    print(f"\nbatch {BATCH}, {runtime.description} (normalization counts as network)")
    for name, values in times.items():
        median, least = (1000 * f(values) / BATCH for f in (np.median, np.min))
        print(f"  {name:22} median {median:.3f} ms/person   min {least:.3f} ms/person")
    print(f"  crop + decode: {100 * np.median(share):.1f} % of the whole (must be < 15 %)")


def runtimes(weights: Path, exported: Path, rounds: int) -> None:
    """Print milliseconds per crop of each runtime at batch 1 and 32, with one thread and with all threads."""
    crops = np.random.default_rng(0).integers(0, 256, (BATCH, 256, 192, 3), dtype=np.uint8)
    print("\nnetwork, normalization included, ms per crop: median / min (ratio of medians to ONNX Runtime)")
    for threads in (1, None):
        opened: dict[str, Runtime] = {
            "onnxruntime": open_runtime(exported, "onnxruntime", threads=threads),
            "openvino": open_runtime(exported, "openvino", threads=threads),
            "torch": open_runtime(weights, "torch", threads=threads),
        }
        for batch in (1, BATCH):
            steps = {name: running(runtime, crops[:batch]) for name, runtime in opened.items()}
            times = in_turn(steps, rounds if batch == BATCH else 4 * rounds)
            base = np.median(times["onnxruntime"])
            for name, values in times.items():
                median, least = (1000 * f(values) / batch for f in (np.median, np.min))
                print(
                    f"  {opened[name].description:42} batch {batch:2}: {median:7.2f} / {least:7.2f}"
                    f"   ({np.median(values) / base:.2f})"
                )


def running(runtime: Runtime, crops: np.ndarray) -> Callable[[], object]:
    """Return a call of the runtime on ``crops``, for timing."""
    return lambda: runtime.forward(crops)


def in_turn(
    steps: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Measure the seconds of each step in each round, all steps in turn; the first round does not count."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for counted in [False] + [True] * rounds:
        for name, step in steps.items():
            start = clock()
            step()
            if counted:
                times[name].append(clock() - start)
    return times


def cpu_name() -> str:
    """Return the name of the CPU and its number of cores."""
    import os

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
