import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from litehrnet.models import create_network
from litehrnet.models.blocks import TwiceTrackedBatchNorm
from litehrnet.models.sync_batch_norm import SynchronizedBatchNorm, convert


def _close(ours: Tensor, expected: Tensor) -> None:
    assert float((ours - expected).abs().max()) <= 1e-9 * max(1.0, float(expected.abs().max()))


def _train_alone(given: dict[str, Any]) -> dict[str, Any]:
    network = create_network("naive_lite_hrnet_18", 3).double()
    network.load_state_dict(given["state"])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    outputs, gradients = [], []
    for images, target in given["batches"]:
        optimizer.zero_grad()
        output = network(images)
        torch.autograd.backward(torch.nn.functional.mse_loss(output, target))
        optimizer.step()
        outputs.append(output.detach())
        gradients.append([p.grad for p in network.parameters()])
    return {"outputs": outputs, "gradients": gradients, "state": network.state_dict()}


def _given() -> dict[str, Any]:
    torch.manual_seed(0)
    network = create_network("naive_lite_hrnet_18", 3)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    batches = [
        (torch.randn(4, 3, 64, 64).double() + torch.arange(4)[:, None, None, None], torch.rand(4, 3, 16, 16).double())
        for _ in range(2)
    ]
    return {"state": network.double().state_dict(), "batches": batches}


@pytest.mark.slow
def test_two_processes_with_half_the_batch_equal_one_with_the_whole(tmp_path: Path) -> None:
    given = _given()
    torch.save(given, tmp_path / "given.pt")
    script = Path(__file__).with_name("synchronized_process.py")
    processes = [subprocess.Popen([sys.executable, str(script), str(rank), str(tmp_path)]) for rank in range(2)]
    alone = _train_alone(given)
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    results = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for rank, result in enumerate(results):
        for ours, expected in zip(result["outputs"], alone["outputs"], strict=True):
            _close(ours, expected[rank::2])
        for ours, expected in zip(result["gradients"], alone["gradients"], strict=True):
            for gradient, expected_gradient in zip(ours, expected, strict=True):
                _close(gradient, expected_gradient)
        assert list(result["state"]) == list(alone["state"])
        for name, expected in alone["state"].items():
            _close(result["state"][name], expected)


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, TwiceTrackedBatchNorm])
def test_alone_it_is_plain_batch_normalization(kind: type[nn.BatchNorm2d]) -> None:
    torch.manual_seed(0)
    plain, network = kind(5).double(), nn.Sequential(kind(5).double())
    convert(network)
    for training in (True, True, False):
        x = (3 + torch.randn(4, 5, 6, 7, dtype=torch.float64)).requires_grad_(True)
        plain.train(training)
        network.train(training)
        weights = torch.randn(4, 5, 6, 7, dtype=torch.float64)
        expected = plain(x)
        ours = network(x)
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
        for a, b in zip(
            torch.autograd.grad((ours * weights).sum(), [x, *network.parameters()]),
            torch.autograd.grad((expected * weights).sum(), [x, *plain.parameters()]),
            strict=True,
        ):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    for a, b in zip(network.state_dict().values(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_small_variance_beside_a_large_mean_is_kept() -> None:
    norm = SynchronizedBatchNorm(nn.BatchNorm2d(1))
    x = 1000 + torch.randn(8, 1, 16, 16)
    expected = nn.BatchNorm2d(1).double()(x.double())
    assert float((norm(x).double() - expected).detach().abs().max()) < 1e-3


def test_converting_keeps_names_tensors_and_mode() -> None:
    network = create_network("lite_hrnet_18").eval()
    before = network.state_dict(keep_vars=True)
    convert(network)
    after = network.state_dict(keep_vars=True)
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 204
    assert all(isinstance(norm, SynchronizedBatchNorm) and not norm.training for norm in norms)
    assert sum(norm.count_per_batch == 2 and norm.momentum == 0.19 for norm in norms) == 52


def test_one_value_per_channel_is_refused_in_training() -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        SynchronizedBatchNorm(nn.BatchNorm2d(2))(torch.zeros(1, 2, 1, 1))
