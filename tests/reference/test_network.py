"""The network against the published one: numbers in reference/*.npz, names in reference/keys_*.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from litehrnet.models import PoseNetwork, create_network
from litehrnet.variants import LITE, NAIVE, VARIANTS

Measured = Callable[[str, float, float], None]
OF_THE_PAPER = [name for name, variant in VARIANTS.items() if variant.unit in (LITE, NAIVE)]
every_variant = pytest.mark.parametrize("variant", OF_THE_PAPER)


def _reference(shared: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(shared / "reference" / name) as arrays:
        return dict(arrays)


def _keys(shared: Path, variant: str) -> list[tuple[str, list[int], str]]:
    text = (shared / "reference" / f"keys_{variant}.json").read_text()
    return [(name, shape, dtype) for name, shape, dtype in json.loads(text)["keys"]]


def _published_weights(shared: Path, variant: str) -> dict[str, Tensor]:
    flat = torch.from_numpy(_reference(shared, f"{variant}.npz")["state_flat"])
    state, start = {}, 0
    for name, shape, dtype in _keys(shared, variant):
        if dtype == "int64":
            state[name] = torch.zeros(shape, dtype=torch.int64)
            continue
        count = int(np.prod(shape))
        state[name] = flat[start : start + count].reshape(shape)
        start += count
    assert start == len(flat)
    return state


def _network(shared: Path, variant: str, dtype: torch.dtype) -> PoseNetwork:
    network = create_network(variant, 17)
    network.load_state_dict(_published_weights(shared, variant))
    return network.to(dtype)


def _relative_error(ours: np.ndarray, reference: np.ndarray) -> float:
    return float(np.abs(ours - reference).max() / np.abs(reference).max())


@every_variant
def test_state_dict_has_the_published_names_shapes_and_order(shared: Path, variant: str) -> None:
    ours = [
        (name, list(value.shape), str(value.dtype).removeprefix("torch."))
        for name, value in create_network(variant, 17).state_dict().items()
    ]
    assert ours == _keys(shared, variant)


@every_variant
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-10)])
def test_heatmaps_equal_the_published_ones(
    shared: Path, variant: str, dtype: torch.dtype, tolerance: float, measured: Measured
) -> None:
    reference = _reference(shared, f"{variant}.npz")
    network = _network(shared, variant, dtype).eval()
    with torch.inference_mode():
        heatmaps = network(torch.from_numpy(reference["input"]).to(dtype)).numpy()
    what = f"{variant}: heatmaps, {str(dtype).removeprefix('torch.')}, relative to the largest value"
    measured(what, _relative_error(heatmaps, reference["output_float64"]), tolerance)


def test_heatmaps_of_a_full_size_image_equal_the_published_ones(shared: Path, measured: Measured) -> None:
    reference = _reference(shared, "lite_hrnet_18.full.npz")
    network = _network(shared, "lite_hrnet_18", torch.float64).eval()
    with torch.inference_mode():
        heatmaps = network(torch.from_numpy(reference["input"]).double()).numpy()
    error = _relative_error(heatmaps, reference["output_float64"])
    measured("lite_hrnet_18 at 256x192: heatmaps, float64, relative to the largest value", error, 1e-10)


@pytest.fixture(scope="module", params=OF_THE_PAPER)
def training_step(request: pytest.FixtureRequest, shared: Path) -> tuple[PoseNetwork, Tensor, Tensor, Any]:
    """One forward and backward pass in float64: network, heatmaps, loss, reference."""
    reference = _reference(shared, f"{request.param}.train.npz")
    network = _network(shared, request.param, torch.float64).train()
    heatmaps = network(torch.from_numpy(reference["input"]).double())
    weight = torch.from_numpy(reference["target_weight"]).double()[..., None]
    target = torch.from_numpy(reference["target"]).double()
    # The weight enters squared, and there is no factor 1/2 (docs/spec/architecture.md, section 12).
    loss = (weight * heatmaps - weight * target).square().mean()
    loss.backward()
    return network, heatmaps.detach(), loss.detach(), reference


def test_training_loss_and_output_equal_the_published_ones(training_step: Any, measured: Measured) -> None:
    network, heatmaps, loss, reference = training_step
    name = network.variant.name
    measured(f"{name}: training loss, relative", abs(float(loss) / float(reference["loss"]) - 1), 1e-9)
    measured(f"{name}: training output, relative", _relative_error(heatmaps.numpy(), reference["output_float64"]), 1e-9)


def test_every_gradient_norm_equals_the_published_one(training_step: Any, measured: Measured) -> None:
    network, _, _, reference = training_step
    norms = np.array([float(p.grad.norm()) for p in network.parameters()])
    expected = reference["grad_norm"]
    assert norms.shape == expected.shape
    # Norms below 1e-12 are zero up to rounding: a batch normalization that follows cancels those parameters.
    vanishing = expected < 1e-12
    name = network.variant.name
    measured(f"{name}: vanishing gradient norms, absolute", float(norms[vanishing].max()), 1e-12)
    relative = np.abs(norms / np.where(vanishing, 1, expected) - 1)[~vanishing]
    measured(f"{name}: gradient norms, relative, worst tensor", float(relative.max()), 1e-7)


def test_running_statistics_and_counters_equal_the_published_ones(training_step: Any, measured: Measured) -> None:
    network, _, _, reference = training_step
    state = network.state_dict()
    for statistic in ("running_mean", "running_var"):
        ours = np.concatenate([v.numpy().ravel() for k, v in state.items() if k.endswith(statistic)])
        error = _relative_error(ours, reference[f"{statistic}_flat"])
        measured(f"{network.variant.name}: {statistic} after a step, relative", error, 1e-9)
    counters = [int(v) for k, v in state.items() if k.endswith("num_batches_tracked")]
    assert counters == reference["num_batches_tracked"].tolist()
