"""Every other network, from weights to each command that runs it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from litehrnet.engine.programfile import read_program
from litehrnet.export.native import export_native
from litehrnet.export.onnx import export_onnx
from litehrnet.keypoints.skeletons import COCO
from litehrnet.models import create_network
from litehrnet.models.weights import load_network, save_network
from litehrnet.runtimes import open_runtime
from litehrnet.weights.weights_file import WeightsInfo

NAMES = ["shufflenetv2", "mobilenetv2", "mobilenetv3", "small_hrnet_w16", "dite_hrnet_18"]
one_quickly = pytest.mark.parametrize("name", [NAMES[0], *(pytest.param(n, marks=pytest.mark.slow) for n in NAMES[1:])])


def _weights(name: str, folder: Path) -> Path:
    """Write a network whose running statistics are those of a batch."""
    torch.manual_seed(0)
    network = create_network(name)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.randn(4, 3, 64, 64))
    path = folder / f"{name}.safetensors"
    save_network(path, network, WeightsInfo(name, COCO, (64, 64)))
    return path


def _exact(weights: Path, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Compute the maps in float64."""
    network, info = load_network(weights)
    images = (crops / 255 - np.array(info.mean)) / np.array(info.std)
    with torch.no_grad():
        maps: NDArray[np.float64] = network.double().eval()(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    return maps


@one_quickly
def test_exported_model_is_verified_and_runs_on_onnx_runtime(name: str, tmp_path: Path) -> None:
    weights = _weights(name, tmp_path)
    comparisons = export_onnx(weights, tmp_path / "model.onnx")
    assert all(comparison.equal for comparison in comparisons)
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    exported = open_runtime(tmp_path / "model.onnx", threads=1)
    assert exported.description.startswith("onnxruntime")
    assert exported.info.variant == name
    assert exported.forward(crops).shape == (3, 17, 16, 16)


@one_quickly
def test_default_runtime_is_the_native_engine_and_a_program_file_gives_the_same(name: str, tmp_path: Path) -> None:
    weights = _weights(name, tmp_path)
    program = export_native(weights, tmp_path / "network.native")
    again, info = read_program(tmp_path / "network.native")
    assert info.variant == name
    assert [replace(step, constants=()) for step in again.steps] == [replace(s, constants=()) for s in program.steps]
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    by_default, from_file, by_torch = (
        open_runtime(path, runtime, threads=1)
        for path, runtime in ((weights, None), (tmp_path / "network.native", None), (weights, "torch"))
    )
    assert by_default.description.startswith("native")
    found = by_default.forward(crops)
    np.testing.assert_array_equal(from_file.forward(crops), found)
    # Rounding of the input alone moves a random MobileNetV3 by 2e-4, so the bound is what PyTorch's float32 does.
    exact = _exact(weights, crops)
    error, usual = (np.abs(maps - exact).max() / np.abs(exact).max() for maps in (found, by_torch.forward(crops)))
    assert error < 2 * usual + 5e-6
