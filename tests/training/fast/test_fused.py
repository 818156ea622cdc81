"""A network computed by the kernels of training, against the same network in plain PyTorch, in float64."""

import copy
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from litehrnet.models import create_network
from litehrnet.models.networks import channels_last
from litehrnet.models.sync_batch_norm import convert
from litehrnet.training.fast import kernels
from litehrnet.training.fast.fused import use_kernels
from litehrnet.variants import VARIANTS

pytestmark = pytest.mark.skipif(
    not kernels.available and os.environ.get("LITEHRNET_REQUIRE_SHARED") != "1", reason="the kernels were not built"
)


def _network(variant: str, keypoints: int = 5) -> nn.Module:
    torch.manual_seed(0)
    network = create_network(variant, keypoints)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        if isinstance(module, nn.BatchNorm2d):  # no statistic or scale that a mistake could hide behind
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return channels_last(network)


def _images(size_wh: tuple[int, int], count: int) -> Tensor:
    images = torch.randn(count, 3, size_wh[1], size_wh[0], generator=torch.Generator().manual_seed(1))
    return images.contiguous(memory_format=torch.channels_last)


def _step(network: nn.Module, images: Tensor) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Heatmaps, gradients, and what one forward pass leaves in the buffers."""
    heatmaps = network(images)
    target = torch.randn(heatmaps.shape, generator=torch.Generator().manual_seed(2)).to(heatmaps.dtype)
    torch.autograd.backward(torch.nn.functional.mse_loss(heatmaps, target))
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return heatmaps.detach(), gradients, dict(network.named_buffers())


def _strides(tensor: Tensor) -> list[int]:
    """Strides of the dimensions in which a step leads anywhere."""
    return [stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size > 1]


def _error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest distance of a tensor, over its norm; over a part of the mean norm where it is smaller."""
    norms = {name: float(value.double().norm()) for name, value in expected.items()}
    least = 0.1 * sum(norms.values()) / len(norms)
    return max(float((found[name] - expected[name]).double().norm()) / max(norms[name], least) for name in expected)


# Dite-HRNet-30 is left out: it has the operations of Dite-HRNet-18, and its plain float32 differs by 0.2 from float64.
@pytest.mark.parametrize(
    "variant",
    [
        name if name == "lite_hrnet_18" else pytest.param(name, marks=pytest.mark.slow)
        for name in VARIANTS
        if name != "dite_hrnet_30"
    ],
)
def test_step_equals_the_plain_one(variant: str) -> None:
    # Within a few times what plain float32 differs from float64 by: where it rounds across 0, a ReLU lets a gradient
    # through or not. Each operation by itself is held to rounding in test_kernels.py.
    plain, images = _network(variant), _images((64, 96), 4)
    fused, exact = copy.deepcopy(plain), copy.deepcopy(plain).double()
    assert use_kernels(fused)
    wanted_heatmaps, wanted_gradients, wanted_buffers = _step(exact, images.double())
    heatmaps, gradients, buffers = _step(fused, images)
    assert gradients.keys() == wanted_gradients.keys()
    parameters = dict(fused.named_parameters())
    assert all(_strides(gradient) == _strides(parameters[name]) for name, gradient in gradients.items())
    counters = {name for name in buffers if not buffers[name].is_floating_point()}
    assert all(int(buffers[name]) == int(wanted_buffers[name]) for name in counters)
    running = {name: buffers[name] for name in buffers.keys() - counters}
    # Dite-HRNet normalizes single numbers over the batch. Plain float32 is as far off: 5e-4, 2e-3, 0.33 and 0.06.
    times = 50 if variant.startswith("dite") else 1
    assert _error({"": heatmaps}, {"": wanted_heatmaps}) < 2e-4 * times
    assert _error(running, {name: wanted_buffers[name] for name in running}) < 1e-4 * times
    assert _error(gradients, wanted_gradients) < (0.1 if times == 1 else 0.5)
    together = [torch.cat([g[name].double().flatten() for name in g]) for g in (gradients, wanted_gradients)]
    assert _error({"": together[0]}, {"": together[1]}) < (0.02 if times == 1 else 0.1)


def _in_evaluation(network: nn.Module) -> nn.Module:
    return network.eval()


def _in_float64(network: nn.Module) -> nn.Module:
    return network.double()


def _in_planes(network: nn.Module) -> nn.Module:
    return network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("change", [_in_evaluation, _in_float64, _in_planes])
def test_what_the_kernels_are_not_for_is_computed_as_before(change: object) -> None:
    assert callable(change)
    plain = change(_network("lite_hrnet_18"))
    fused = copy.deepcopy(plain)
    assert use_kernels(fused)
    images = _images((64, 64), 2).to(next(plain.parameters()).dtype)
    if change is _in_planes:
        images = images.contiguous(memory_format=torch.contiguous_format)
    assert torch.equal(plain(images), fused(images))


def test_state_dict_stays_and_copies_are_fused_too() -> None:
    plain = _network("wider_naive_lite_hrnet_18")
    fused, exact = copy.deepcopy(plain), copy.deepcopy(plain).double()
    use_kernels(fused)
    assert list(plain.state_dict()) == list(fused.state_dict())
    copied = copy.deepcopy(fused)
    with torch.no_grad():
        for parameter in fused.parameters():
            parameter.zero_()
    images = _images((64, 64), 2)
    with torch.no_grad():
        assert float((copied(images) - exact(images.double())).abs().max()) < 1e-3
        assert float(fused(images).abs().max()) == 0


def test_shared_statistics_are_not_for_the_kernels() -> None:
    network = _network("lite_hrnet_18")
    convert(network)
    assert not use_kernels(network)


def test_not_a_number_is_not_hidden() -> None:
    network = _network("lite_hrnet_18")
    use_kernels(network)
    with torch.no_grad():
        next(network.parameters())[0, 0, 0, 0] = torch.nan
    assert not bool(network(_images((64, 64), 2)).isfinite().all())


def _said(instructions: str) -> subprocess.CompletedProcess[str]:
    code = "from litehrnet.training.fast import kernels; print(kernels.instruction_set())"
    environment = os.environ | {"LITEHRNET_KERNELS": instructions}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def test_instruction_set_that_the_machine_does_not_have_is_refused_in_one_sentence() -> None:
    sentence = "litehrnet.errors.UserError: LITEHRNET_KERNELS=abacus: not on this machine (expected one of "
    assert sentence in _said("abacus").stderr


def test_instruction_set_without_kernels_of_training_takes_the_nearest() -> None:
    assert _said("plain").stdout.strip() == kernels.instruction_sets()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("instructions", ["avx2", "baseline"])
def test_step_on_other_instruction_sets(instructions: str) -> None:
    environment = os.environ | {"LITEHRNET_KERNELS": instructions}
    if _said(instructions).stdout.strip() != instructions:
        pytest.skip(f"no {instructions} on this machine")
    test = f"{__file__}::test_step_equals_the_plain_one"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test, "-k", "lite_hrnet_18"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
