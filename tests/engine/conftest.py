"""Networks whose normalization was settled by a batch of noise, and their arrays."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from litehrnet.keypoints.crop import normalize
from litehrnet.models import PoseNetwork, create_network

MakeNetwork = Callable[[str, int], PoseNetwork]


def noise(batch: int, size_wh: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Crops of random gray levels."""
    return np.random.default_rng(seed).integers(0, 256, (batch, size_wh[1], size_wh[0], 3), dtype=np.uint8)


@cache
def _settled(variant: str, num_keypoints: int) -> PoseNetwork:
    torch.manual_seed(0)
    network = create_network(variant, num_keypoints)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
        elif isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.uniform_(module.bias, -0.5, 0.5)
    with torch.no_grad():
        network.train()(torch.from_numpy(normalize(noise(4, (96, 128)))))
    return network.eval()


@pytest.fixture(scope="session")
def settled() -> MakeNetwork:
    """A function of variant and number of keypoints that gives a network in evaluation mode."""
    return _settled


def arrays_of(network: PoseNetwork) -> dict[str, NDArray[np.generic]]:
    """A network's arrays by published parameter name."""
    return {name: value.numpy() for name, value in network.state_dict().items()}
