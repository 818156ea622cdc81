"""Muon: orthogonal updates of the matrices, Adam for the rest."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from litehrnet.config.schema import OptimizerConfig
from litehrnet.models import create_network
from litehrnet.training.muon import MATRIX_RATE, Muon, matrices_of, orthogonalized
from litehrnet.training.state import make_optimizer


@given(rows=st.integers(1, 40), columns=st.integers(1, 40), seed=st.integers(0, 1000), scale=st.floats(1e-6, 1e6))
@settings(max_examples=50, deadline=None)
def test_singular_vectors_stay_and_singular_values_are_about_one(
    rows: int, columns: int, seed: int, scale: float
) -> None:
    matrix = scale * torch.randn(3, rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    turned = left.mT @ orthogonalized(matrix) @ right.mT
    diagonal = turned.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(turned, torch.diag_embed(diagonal), atol=1e-9, rtol=0)
    not_tiny = values > 0.02 * torch.linalg.matrix_norm(matrix)[:, None]
    assert ((diagonal > 0.6) & (diagonal < 1.3))[not_tiny].all()


def test_zeros_stay_zeros() -> None:
    assert not orthogonalized(torch.zeros(2, 3, 5)).any()


def test_matrices_are_all_but_depthwise_and_last_convolutions() -> None:
    network = create_network("lite_hrnet_18")
    matrices = {id(weight) for weight in matrices_of(network)}
    for name, parameter in network.named_parameters():
        is_matrix = parameter.ndim == 4 and parameter.shape[1] > 1 and "final_layer" not in name
        assert (id(parameter) in matrices) == is_matrix, name


def _small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Conv2d(8, 2, 1))


def test_all_but_matrices_follow_adam() -> None:
    ours, adams = _small(), _small()
    optimizers = (
        Muon([{"params": list(ours.parameters())}], [], lr=1e-2),
        torch.optim.Adam(adams.parameters(), lr=1e-2),
    )
    for number in range(5):
        images = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(number))
        for network, optimizer in zip((ours, adams), optimizers, strict=True):
            optimizer.zero_grad()
            network(images).square().mean().backward()
            optimizer.step()
    for own, adam in zip(ours.parameters(), adams.parameters(), strict=True):
        torch.testing.assert_close(own, adam, atol=1e-6, rtol=1e-5)


def test_matrix_steps_along_the_orthogonal_gradient_with_momentum() -> None:
    network = _small()
    first = network[0].weight
    assert isinstance(first, nn.Parameter)
    before = copy.deepcopy(first.detach())
    optimizer = make_optimizer(OptimizerConfig("muon", learning_rate=1e-2, weight_decay=0.1), network)
    first.grad = torch.randn(first.shape, generator=torch.Generator().manual_seed(1))
    gradient = first.grad.flatten(1)
    optimizer.step()
    rate = MATRIX_RATE * 1e-2
    # Of the first step's momentum and gradient only the direction is left.
    expected = (1 - rate * 0.1) * before - rate * (8 / 3) ** 0.5 * orthogonalized(gradient[None])[0].view_as(before)
    torch.testing.assert_close(first.detach(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_memory_format_changes_nothing(memory_format: torch.memory_format) -> None:
    networks = [_small(), _small().to(memory_format=memory_format)]  # type: ignore[call-overload]
    images = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    for network in networks:
        optimizer = make_optimizer(OptimizerConfig("muon", learning_rate=1e-2), network)
        network(images).square().mean().backward()
        optimizer.step()
    for one, other in zip(*(network.parameters() for network in networks), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
