"""``litehrnet demo``: the networks and the whole predict path at work on a drawn figure."""

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from litehrnet.cli.options import add_runtime_options, input_size, say

if TYPE_CHECKING:
    from litehrnet.models import PoseNetwork

_TIMED_RUNS = 7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``litehrnet demo`` takes."""
    parser.add_argument("--weights", type=Path, help="trained weights (default: random ones, which find nothing)")
    parser.add_argument("--photo", type=Path, help="a photo of one person (default: a drawn figure)")
    parser.add_argument("--out-dir", type=Path, default=Path("demo-out"), metavar="DIR", help="default: demo-out")
    add_runtime_options(parser)


def run(options: argparse.Namespace) -> int:
    """Print the variants with what they cost on this machine, then predict and draw.

    Raises:
        UserError: PyTorch is missing, or something that was named cannot be used.
    """
    from litehrnet.files import make_folder
    from litehrnet.images import write_image
    from litehrnet.inference.draw import draw_poses
    from litehrnet.inference.estimator import PoseEstimator, make_photo
    from litehrnet.inference.figure import draw_figure
    from litehrnet.optional import require

    require("torch", "train", "the demo")
    out_dir = make_folder(options.out_dir)
    _print_variants()
    if options.photo is None:
        image, _, box = draw_figure()
        photo = make_photo(image, [box], name="a drawn figure")
    else:
        photo = make_photo(options.photo)
    with tempfile.TemporaryDirectory() as folder:
        weights = options.weights or random_weights(Path(folder) / "random.safetensors")
        size = input_size(options)
        estimator = PoseEstimator(weights, options.runtime, input_size_wh=size, threads=options.threads)
        ((_, poses),) = estimator.predict_many([photo])
    picture = out_dir / "demo.png"
    write_image(picture, draw_poses(photo.image, poses))
    say(f"\n{picture}: {len(poses)} person on {photo.name}, by {estimator.runtime.description}")
    if options.weights is None:
        say(
            "The weights are random, untrained: the points in the picture mean nothing. With trained weights "
            "(.onnx, .safetensors, or a published .pth):\n"
            "  litehrnet demo --weights WEIGHTS --photo PHOTO\n"
            "  litehrnet predict PHOTO --weights WEIGHTS --out-dir DIR"
        )
    return 0


def _print_variants() -> None:
    from rich.console import Console
    from rich.table import Table

    from litehrnet.cli.version import cpu_features
    from litehrnet.models import create_network
    from litehrnet.models.complexity import measure
    from litehrnet.variants import VARIANTS

    table = Table("network", "parameters", "MACs (10^6)", "ms, PyTorch", title="17 keypoints, input 256 x 192")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in VARIANTS:
        network = create_network(name)
        cost = measure(network, (192, 256))
        table.add_row(name, f"{cost.params:,}", f"{cost.macs / 1e6:.1f}", f"{_milliseconds(network):.0f}")
    console = Console()
    console.print(table)
    console.print(
        f"Milliseconds: median of {_TIMED_RUNS} single images, all threads, CPU with {' '.join(cpu_features())}; "
        "exported models run several times as fast (litehrnet export).",
        highlight=False,
    )


def _milliseconds(network: "PoseNetwork") -> float:
    import torch

    image = torch.zeros(1, 3, 256, 192)
    times = []
    with torch.inference_mode():
        network.eval()(image)
        for _ in range(_TIMED_RUNS):
            start = time.perf_counter()
            network(image)
            times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def random_weights(path: Path, variant: str = "lite_hrnet_18", input_size_wh: tuple[int, int] = (192, 256)) -> Path:
    """Write weights of no use, but with bounded activations: one batch of noise sets the normalisation."""
    import torch
    from torch import nn

    from litehrnet.keypoints.skeletons import COCO
    from litehrnet.models import create_network
    from litehrnet.models.weights import save_network
    from litehrnet.weightsfile import WeightsInfo

    torch.manual_seed(0)
    network = create_network(variant)
    norms: list[Any] = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(4, 3, 128, 96))
    save_network(path, network, WeightsInfo(variant, COCO, input_size_wh, provenance="random numbers"))
    return path
