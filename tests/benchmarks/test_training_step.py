"""The transcription of the reference code computes the same as our network and loss."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

from litehrnet.training.losses import keypoint_mse
from litehrnet.variants import LITE, NAIVE, VARIANTS


@pytest.fixture
def benchmark(project: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(project)
    return importlib.import_module("benchmarks.training_step")


@pytest.mark.parametrize("variant", [pytest.param("lite_hrnet_18", marks=pytest.mark.slow), "naive_lite_hrnet_18"])
def test_a_step_gives_the_same_loss_gradients_and_statistics(benchmark: ModuleType, variant: str) -> None:
    benchmark.check_equal(variant)


@pytest.mark.parametrize("variant", [name for name, v in VARIANTS.items() if v.unit in (LITE, NAIVE)])
def test_names_of_parameters_and_buffers_are_the_same(benchmark: ModuleType, variant: str) -> None:
    reference, ours = benchmark.make_networks(variant)
    names = [(name, tensor.shape) for name, tensor in reference.state_dict().items()]
    assert names == [(name, tensor.shape) for name, tensor in ours.state_dict().items()]


def test_the_loss_joint_by_joint_is_the_same(benchmark: ModuleType) -> None:
    batch = benchmark.make_batch(3, (64, 64)).to(torch.float64)
    output = torch.randn_like(batch.target)
    reference = benchmark.reference_loss(output, batch.target, batch.weight)
    torch.testing.assert_close(keypoint_mse(output, batch.target, batch.weight), reference, rtol=1e-14, atol=0)
