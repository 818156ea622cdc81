"""Training steps a second: our network, loss and optimizer against the published way of running them.

Run: ``python -m benchmarks.training_step [--threads 2] [--rounds 10] [--full]``, from the checkout. Both take the same
steps in one process, in turn, from the same weights on the same batch, and must first agree on loss and gradients.
Ours is the setting that training uses on a CPU: channels last, fused kernels where they were built, fused Adam.
"""

import argparse
import datetime
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from benchmarks.pipeline import cpu_name, in_turn
from benchmarks.published_transcription import PublishedNetwork, published_loss, published_optimizer
from torch import Tensor, nn

from litehrnet.cli.version import cpu_features
from litehrnet.models import create_network
from litehrnet.models.fused import fuse
from litehrnet.training.losses import keypoint_mse
from litehrnet.training.memory import keep_freed_memory

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Batch:
    """Images (n, 3, H, W), targets (n, joints, H/4, W/4), weights (n, joints, 1)."""

    images: Tensor
    target: Tensor
    weight: Tensor

    def to(self, dtype: torch.dtype) -> "Batch":
        """The same numbers in another type."""
        return Batch(*(x.to(dtype) for x in (self.images, self.target, self.weight)))


def main() -> None:
    """Compare, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--full", action="store_true", help="all sizes and batches, not the smallest of each network")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # both of them gain
    print(
        f"{datetime.date.today()}, {cpu_name()} ({' '.join(cpu_features())}), Python {platform.python_version()}, "
        f"PyTorch {torch.__version__}, {options.threads} threads, {options.rounds} rounds\n"
    )
    print(f"{'steps/s: median / best':48} {'published':>15} {'ours':>15}   ratio of pairs: median (least)")
    cases = (
        [(batch, size) for batch in (16, 32) for size in ((96, 128), (192, 256))] if options.full else [(32, (96, 128))]
    )
    for variant in ("lite_hrnet_18", "wider_naive_lite_hrnet_18"):
        check_equal(variant)
        for batch, size_wh in cases:
            measure(variant, batch, size_wh, options.rounds)


def check_equal(variant: str) -> None:
    """Loss, gradients and running statistics of one step on a small batch, in float64, to within rounding.

    In float32 the two differ by more: PyTorch sums batch statistics in float32 in channels last and in float64
    otherwise, and random weights amplify what is left of a digit.

    Raises:
        AssertionError: They differ.
    """
    batch = make_batch(4, (64, 64)).to(torch.float64)
    published, ours = (network.double() for network in make_networks(variant))
    loss_a, gradients_a = loss_and_gradients(published, published_loss, batch)
    loss_b, gradients_b = loss_and_gradients(ours, keypoint_mse, batch)
    assert abs(loss_a / loss_b - 1) < 1e-12, variant
    largest = max(float(g.abs().max()) for g in gradients_a.values())
    for name, gradient in gradients_a.items():
        assert float((gradient - gradients_b[name]).abs().max()) < 1e-12 * largest, name
    statistics = dict(ours.named_buffers())
    for name, buffer in published.named_buffers():
        torch.testing.assert_close(statistics[name], buffer, rtol=1e-10, atol=1e-10)


def measure(variant: str, batch_size: int, size_wh: tuple[int, int], rounds: int) -> None:
    """Time both on the same batch and print a line."""
    batch = make_batch(batch_size, size_wh)
    published, ours = make_networks(variant)
    fuse(ours)
    last = replace(batch, images=batch.images.contiguous(memory_format=torch.channels_last))
    steps = {
        "published": step(published, published_loss, published_optimizer(published.parameters()), batch),
        "ours": step(ours, keypoint_mse, our_optimizer(ours), last),
    }
    seconds = {name: np.array(times) for name, times in in_turn(steps, rounds).items()}
    ratios = seconds["published"] / seconds["ours"]
    rates = [f"{1 / np.median(s):6.2f} / {1 / s.min():6.2f}" for s in seconds.values()]
    print(
        f"{variant:26} batch {batch_size} at {size_wh[0]}x{size_wh[1]:<9} {rates[0]:>15} {rates[1]:>15}"
        f"   {np.median(ratios):.2f} ({ratios.min():.2f})",
        flush=True,
    )


def make_batch(batch_size: int, size_wh: tuple[int, int]) -> Batch:
    """Noise, the same every time."""
    width, height = size_wh
    generator = torch.Generator().manual_seed(0)
    return Batch(
        torch.randn(batch_size, 3, height, width, generator=generator),
        torch.rand(batch_size, 17, height // 4, width // 4, generator=generator),
        torch.randint(0, 2, (batch_size, 17, 1), generator=generator).float(),
    )


def make_networks(variant: str) -> tuple[nn.Module, nn.Module]:
    """The published network and ours, in training mode, with the same well-scaled random weights."""
    torch.manual_seed(0)
    ours = create_network(variant)
    for module in ours.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    published = PublishedNetwork(variant)
    published.load_state_dict(ours.state_dict())
    return published, ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def our_optimizer(network: nn.Module) -> torch.optim.Optimizer:
    """Adam in one pass over all parameters."""
    return torch.optim.Adam(network.parameters(), lr=2e-3, fused=True)


def step(network: nn.Module, loss: Loss, optimizer: torch.optim.Optimizer, batch: Batch) -> Callable[[], object]:
    """One training step, as a call."""

    def run() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(loss(network(batch.images), batch.target, batch.weight))
        optimizer.step()

    return run


def loss_and_gradients(network: nn.Module, loss: Loss, batch: Batch) -> tuple[float, dict[str, Tensor]]:
    """Of one batch, by parameter name."""
    value = loss(network(batch.images), batch.target, batch.weight)
    names, parameters = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(value, parameters)
    return value.item(), dict(zip(names, gradients, strict=True))


if __name__ == "__main__":
    main()
