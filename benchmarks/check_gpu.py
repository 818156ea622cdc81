"""Compare one GPU with the CPU, measure training steps on it, and write everything as JSON.

Run: ``python -m benchmarks.check_gpu OUT.json`` (``--device cpu`` for a trial without a GPU). The exit code is 1 if a
check fails. Errors are relative to the largest expected value, except those of pictures, which are gray levels.
"""

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from litehrnet.config.recipes import read_recipe
from litehrnet.config.schema import OptimizerConfig, RunConfig, TrainingConfig, with_outputs
from litehrnet.io.files import write_bytes
from litehrnet.io.images import read_image
from litehrnet.keypoints.crop import warp
from litehrnet.models.weights import load_network
from litehrnet.runtimes.torch import open_torch
from litehrnet.training.distributed import Processes, joined
from litehrnet.training.gpu.samples import warped
from litehrnet.training.gpu.timed import record_graphs
from litehrnet.training.loader import TensorBatch
from litehrnet.training.state import new_state
from litehrnet.training.steps import loss_and_accuracy, optimizer_step

PHOTO = Path(__file__).parents[1] / "src/litehrnet/photos/three_people.jpg"
WEIGHTS = Path("lite_hrnet_18")
SIZE = (192, 256)


def main() -> int:
    """Run all checks, print and write their results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement of steps")
    options = parser.parse_args()
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    report: dict[str, Any] = {"device": name, "torch": str(torch.__version__), "checks": [], "steps": []}
    for title, limit, check in checks(device):
        report["checks"].append({"check": title, "limit": limit, **outcome(check, limit)})
        sys.stdout.write(f"{json.dumps(report['checks'][-1])}\n")
    for batch_size in options.batch_sizes:
        for precision in ("float32", "bf16"):
            for graphs in (False, True) if device.type == "cuda" else (False,):
                row: dict[str, Any] = {"batch_size": batch_size, "precision": precision, "graphs": graphs}
                row |= measured(device, batch_size, precision, graphs, options.seconds)
                report["steps"].append(row)
                sys.stdout.write(f"{json.dumps(row)}\n")
    write_bytes(options.out, json.dumps(report, indent=1).encode())
    return 0 if all(row["passed"] for row in report["checks"]) else 1


def checks(device: torch.device) -> Iterator[tuple[str, float, Callable[[], float]]]:
    """Yield title, largest allowed error, and a function that computes the error, for each check."""
    heatmaps: dict[str, tuple[float, dict[str, Any]]] = {
        "heatmaps, float32 without TF32": (1e-4, {}),
        "heatmaps, float32 as PyTorch sets it": (2e-2, {}),
        "heatmaps, compiled": (2e-2, {"compiled": True}),
        "heatmaps, bf16": (1e-1, {"precision": "bf16"}),
        "heatmaps, fp16": (2e-2, {"precision": "fp16"}),
    }
    for title, (limit, settings) in heatmaps.items():
        yield title, limit, partial(heatmap_error, device, title, settings)
    yield "gradients, float32 without TF32", 1e-3, partial(gradient_error, device)
    yield "pictures of samples", 1.0, partial(picture_error, device)
    yield "one process with nccl (gloo on a CPU)", 0.0, partial(group_error, device)


def outcome(check: Callable[[], float], limit: float) -> dict[str, Any]:
    """Run one check; an exception fails it, and the others still run."""
    try:
        error = check()
    except Exception as exception:
        return {"passed": False, "failure": f"{type(exception).__name__}: {exception}"}
    return {"passed": bool(error <= limit), "error": error}


def heatmap_error(device: torch.device, title: str, settings: dict[str, Any]) -> float:
    """Compare heatmaps of the bundled weights with those of float32 on the CPU."""
    expected = open_torch(WEIGHTS).forward(crops())
    with without_tf32() if "without TF32" in title else contextlib.nullcontext():
        found = open_torch(WEIGHTS, device=str(device), **settings).forward(crops())
    return float(np.abs(found - expected).max() / expected.max())


def gradient_error(device: torch.device) -> float:
    """Compare the gradient of a training step with that of the CPU, as norms over all parameters."""
    gradients = []
    for place in (torch.device("cpu"), device):
        network, _ = load_network(WEIGHTS)
        network.train().to(place)
        with without_tf32():
            loss, _ = loss_and_accuracy(network, batch_of(crops(), place), TrainingConfig())
            loss.backward()  # type: ignore[no-untyped-call]
        parts = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        gradients.append(torch.cat([part.flatten().cpu() for part in parts]))
    return float((gradients[1] - gradients[0]).norm() / gradients[0].norm())


def picture_error(device: torch.device) -> float:
    """Compare pictures cut on the device with OpenCV's, as the mean difference in gray levels."""
    image = read_image(PHOTO)
    picture = torch.from_numpy(image).permute(2, 0, 1)[None].to(device)
    sizes = torch.tensor([image.shape[1::-1]], dtype=torch.float32, device=device)
    matrices = torch.from_numpy(_MATRICES).float().to(device)
    found = [warped(picture, sizes, matrix[None], SIZE)[0][0].permute(1, 2, 0).cpu().numpy() for matrix in matrices]
    return float(np.abs(np.stack(found) - crops()).mean())


def group_error(device: torch.device) -> float:
    """Join a group of one process, and sum over it."""
    os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT="29517")
    with joined("pytorch", str(device)):
        wanted = "nccl" if device.type == "cuda" else "gloo"
        values = torch.arange(3.0, device=device)
        dist.all_reduce(values)
        is_right = values.tolist() == [0, 1, 2] and dist.get_backend() == wanted
        return 0.0 if is_right else 1.0


def measured(device: torch.device, batch_size: int, precision: Any, graphs: bool, seconds: float) -> dict[str, Any]:
    """Measure optimizer steps with Muon on one batch; a failure is a result too."""
    network, _ = load_network(WEIGHTS)
    settings = replace(
        TrainingConfig(), precision=precision, channels_last=True, ema=0.998, optimizer=OptimizerConfig("muon", 1e-4)
    )
    state = new_state(network, replace(_recipe(), training=settings), device)
    batch = batch_of(np.resize(crops(), (batch_size, *crops().shape[1:])), device)
    try:
        if graphs:
            record_graphs(state.network, batch.images, settings)
        for _ in range(2):
            optimizer_step(state.network, state, [batch], settings, 1e-4, Processes())
        times: list[float] = []
        while sum(times) < seconds:
            started = time.perf_counter()
            optimizer_step(state.network, state, [batch], settings, 1e-4, Processes())
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - started)
    except RuntimeError as error:
        return {"failure": str(error).splitlines()[0]}
    return {"samples_per_second": round(batch_size / float(np.median(times)), 1), "measured_steps": len(times)}


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """Compute convolutions in full float32 while the block runs."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


_MATRICES = np.array([[[0.9, 0.1 * i, -90.0 * i], [-0.1 * i, 0.9, 10.0]] for i in range(4)])


def crops() -> NDArray[np.uint8]:
    """Cut four crops of the bundled photo: uint8 (4, 256, 192, 3)."""
    image = read_image(PHOTO)
    return np.stack([warp(image, matrix, SIZE) for matrix in _MATRICES])


def batch_of(images: NDArray[np.uint8], device: torch.device) -> TensorBatch:
    """Make a batch with random targets, the same at every call."""
    random = torch.Generator().manual_seed(0)
    targets: Tensor = torch.rand((len(images), 17, 64, 48), generator=random)
    weights = torch.ones(len(images), 17)
    return TensorBatch(torch.from_numpy(images).to(device), targets.to(device), weights.to(device), [0])


def _recipe() -> RunConfig:
    return with_outputs(read_recipe("litehrnet_18_256x192"))


if __name__ == "__main__":
    sys.exit(main())
