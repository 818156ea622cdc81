"""Speed of training steps: our kernels on every instruction set, PyTorch's operators, and the reference code.

Run: ``python -m benchmarks.training_step --threads 1 [--variants lite_hrnet_18] [--batches 1 32] [--sizes 96x128]``,
from the checkout. All run the same steps in turn in one process, from the same weights on the same batch. Loss and
gradients are compared first. The reference is a literal transcription of the reference implementation; "PyTorch" is
our network without the kernels. Both use the best instruction set that PyTorch finds. Ours has the settings of
training on a CPU: channels last, fused Adam. One thread is measured in CPU time, several threads in wall time.
"""

import argparse
import copy
import datetime
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from benchmarks.pipeline import cpu_name, in_turn
from benchmarks.reference_transcription import ReferenceNetwork, reference_loss, reference_optimizer
from torch import Tensor, nn

from litehrnet.cli.version import cpu_features
from litehrnet.models import create_network
from litehrnet.training.fast import kernels
from litehrnet.training.fast.fused import use_kernels
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
        """Convert all tensors to another type."""
        return Batch(*(x.to(dtype) for x in (self.images, self.target, self.weight)))


def main() -> None:
    """Compare the results, measure the times, and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--variants", nargs="+", default=["lite_hrnet_18", "wider_naive_lite_hrnet_18"])
    parser.add_argument("--batches", nargs="+", type=int, default=[32])
    parser.add_argument("--sizes", nargs="+", default=["96x128"], help="width x height of the images")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # makes all of them faster
    print(
        f"{datetime.date.today()}, {cpu_name()} ({' '.join(cpu_features())}), Python {platform.python_version()}, "
        f"PyTorch {torch.__version__}, {options.threads} threads, {options.rounds} rounds"
    )
    for variant in options.variants:
        check_equal(variant)
        for batch in options.batches:
            for size in options.sizes:
                width, height = map(int, size.split("x"))
                measure(variant, batch, (width, height), options.rounds)


def check_equal(variant: str) -> None:
    """Compare loss, gradients and running statistics of one step on a small batch in float64, except for rounding.

    In float32 the differences are larger: PyTorch sums batch statistics in float32 in channels last and in float64
    otherwise, and random weights amplify rounding errors.

    Raises:
        AssertionError: The results differ.
    """
    batch = make_batch(4, (64, 64)).to(torch.float64)
    reference, ours = (network.double() for network in make_networks(variant))
    loss_a, gradients_a = loss_and_gradients(reference, reference_loss, batch)
    loss_b, gradients_b = loss_and_gradients(ours, keypoint_mse, batch)
    assert abs(loss_a / loss_b - 1) < 1e-12, variant
    largest = max(float(g.abs().max()) for g in gradients_a.values())
    for name, gradient in gradients_a.items():
        assert float((gradient - gradients_b[name]).abs().max()) < 1e-12 * largest, name
    statistics = dict(ours.named_buffers())
    for name, buffer in reference.named_buffers():
        torch.testing.assert_close(statistics[name], buffer, rtol=1e-10, atol=1e-10)


def measure(variant: str, batch_size: int, size_wh: tuple[int, int], rounds: int) -> None:
    """Time all implementations on the same batch and print a line for each."""
    steps = ways(variant, make_batch(batch_size, size_wh))
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds = {name: np.array(times) for name, times in in_turn(steps, rounds, clock).items()}
    print(
        f"\n{variant}, batch {batch_size} at {size_wh[0]}x{size_wh[1]}\n{'':20} {'ms: median':>11} {'least':>8}"
        f" {'speed, of reference: median':>29} {'least':>6} {'of PyTorch: median':>20} {'least':>6}"
    )
    for name, times in seconds.items():
        reference, pytorch = seconds["reference"] / times, seconds["PyTorch"] / times
        print(
            f"{name:20} {1000 * np.median(times):11.1f} {1000 * times.min():8.1f}"
            f" {np.median(reference):29.2f} {reference.min():6.2f} {np.median(pytorch):20.2f} {pytorch.min():6.2f}",
            flush=True,
        )


def ways(variant: str, batch: Batch) -> dict[str, Callable[[], object]]:
    """Return training steps of the reference, of PyTorch's operators, and of the kernels of every instruction set."""
    reference, ours = make_networks(variant)
    last = replace(batch, images=batch.images.contiguous(memory_format=torch.channels_last))
    steps = {
        "reference": step(reference, reference_loss, reference_optimizer(reference.parameters()), batch),
        "PyTorch": step(ours, keypoint_mse, our_optimizer(ours), last),
    }
    for instruction_set in kernels.instruction_sets() if kernels.available else []:
        network = copy.deepcopy(ours)
        use_kernels(network)
        run = step(network, keypoint_mse, our_optimizer(network), last)
        steps[f"kernels, {instruction_set}"] = on_instruction_set(instruction_set, run)
    return steps


def on_instruction_set(name: str, run: Callable[[], object]) -> Callable[[], object]:
    """Return a call of the kernels on this instruction set."""

    def use_and_run() -> None:
        kernels.use(name)
        run()

    return use_and_run


def make_batch(batch_size: int, size_wh: tuple[int, int]) -> Batch:
    """Draw a batch of noise, always the same."""
    width, height = size_wh
    generator = torch.Generator().manual_seed(0)
    return Batch(
        torch.randn(batch_size, 3, height, width, generator=generator),
        torch.rand(batch_size, 17, height // 4, width // 4, generator=generator),
        torch.randint(0, 2, (batch_size, 17, 1), generator=generator).float(),
    )


def make_networks(variant: str) -> tuple[nn.Module, nn.Module]:
    """Create the reference network and ours, in training mode, with the same well-scaled random weights."""
    torch.manual_seed(0)
    ours = create_network(variant)
    for module in ours.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    reference = ReferenceNetwork(variant)
    reference.load_state_dict(ours.state_dict())
    return reference, ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def our_optimizer(network: nn.Module) -> torch.optim.Optimizer:
    """Create Adam in one pass over all parameters."""
    return torch.optim.Adam(network.parameters(), lr=2e-3, fused=True)


def step(network: nn.Module, loss: Loss, optimizer: torch.optim.Optimizer, batch: Batch) -> Callable[[], object]:
    """Return one training step as a function."""

    def run() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(loss(network(batch.images), batch.target, batch.weight))
        optimizer.step()

    return run


def loss_and_gradients(network: nn.Module, loss: Loss, batch: Batch) -> tuple[float, dict[str, Tensor]]:
    """Compute the loss and gradients by parameter name for one batch."""
    value = loss(network(batch.images), batch.target, batch.weight)
    names, parameters = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(value, parameters)
    return value.item(), dict(zip(names, gradients, strict=True))


if __name__ == "__main__":
    main()
