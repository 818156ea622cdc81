"""Dite-HRNet as a program: executed in NumPy and by the compiled engine, against PyTorch in float64."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from litehrnet.engine import _native
from litehrnet.engine.compiler import compile_network
from litehrnet.engine.program import Kind, Program
from litehrnet.engine.programfile import flatten, read_program, write_program
from litehrnet.engine.reference import run_program
from litehrnet.keypoints.crop import normalize
from litehrnet.keypoints.skeletons import COCO
from litehrnet.models import PoseNetwork
from litehrnet.weights.weights_file import WeightsInfo

from .conftest import MakeNetwork, arrays_of, noise

SIZES = [(32, 32), (61, 93)]
both = pytest.mark.parametrize("variant", ["dite_hrnet_18", "dite_hrnet_30"])


def _program(network: PoseNetwork, size_wh: tuple[int, int]) -> Program:
    return compile_network(network.variant, arrays_of(network), size_wh, "these weights")


def _expected(network: PoseNetwork, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    with torch.inference_mode():
        heatmaps: NDArray[np.float64] = network.double()(torch.from_numpy(normalize(crops)).double()).numpy()
    network.float()
    return heatmaps


def _error(found: NDArray[np.floating], expected: NDArray[np.float64]) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@both
@pytest.mark.parametrize("size_wh", SIZES)
def test_heatmaps_equal_those_of_pytorch(settled: MakeNetwork, variant: str, size_wh: tuple[int, int]) -> None:
    network, crops = settled(variant, 17), noise(3, size_wh, seed=1)
    expected, program = _expected(network, crops), _program(network, size_wh)
    assert _error(run_program(program, crops[:1], np.float64), expected[:1]) < 1e-7  # normalize() gives float32
    flat = flatten(program)
    found = _native.Runner(flat.numbers, flat.constants, 1, False).run(crops)
    assert _error(found, expected) < 5e-6
    assert _error(found[1:], expected[:2]) > 1e-4


@both
def test_threads_that_share_images_change_nothing(settled: MakeNetwork, variant: str) -> None:
    crops = noise(3, (32, 32), seed=1)
    flat = flatten(_program(settled(variant, 17), (32, 32)))
    expected = _native.Runner(flat.numbers, flat.constants, 1, False).run(crops)
    for threads in (2, 3, 5):
        runner = _native.Runner(flat.numbers, flat.constants, threads, False)
        np.testing.assert_array_equal(runner.run(crops), expected)
        np.testing.assert_array_equal(runner.run(crops[:1]), expected[:1])  # all threads work on one image


def test_every_dynamic_convolution_mixes_one_kernel(settled: MakeNetwork) -> None:
    program = _program(settled("dite_hrnet_18", 17), (32, 32))
    mixed = [step.writes[0] for step in program.steps if step.kind is Kind.MIX_KERNELS]
    used = [step.reads[2] for step in program.steps if len(step.reads) == 3]
    # Six in the stem; one in branches 0 and 1 and two in branch 2 of the 4, 8 and 4 units of the stages.
    assert len(mixed) == 6 + 4 * 2 + 8 * 4 + 4 * 4
    assert mixed == used


def test_program_comes_back_from_its_file(settled: MakeNetwork, tmp_path: Path) -> None:
    program, path = _program(settled("dite_hrnet_18", 17), (32, 32)), tmp_path / "dite.native"
    write_program(path, program, WeightsInfo("dite_hrnet_18", COCO, (32, 32)))
    again, _ = read_program(path)
    crops = noise(1, (32, 32))
    assert [step.kind for step in again.steps] == [step.kind for step in program.steps]
    np.testing.assert_array_equal(run_program(again, crops), run_program(program, crops))
