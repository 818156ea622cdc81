"""Compiled programs, run by the NumPy executor, against the network in PyTorch in float64."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.compiled_variants import COMPARED, COMPILED, FLOAT32_ERROR

from litehrnet.engine import _native
from litehrnet.engine.compiler import UnsupportedUnitError, compile_network
from litehrnet.engine.program import Kind, Program
from litehrnet.engine.programfile import flatten
from litehrnet.engine.reference import run_program
from litehrnet.errors import UserError
from litehrnet.keypoints.crop import IMAGENET_MEAN, IMAGENET_STD
from litehrnet.models import PoseNetwork
from litehrnet.models.complexity import measure
from litehrnet.variants import UNITS, VARIANTS, Unit, Variant, find_variant

from .conftest import MakeNetwork, arrays_of, noise

every_variant = pytest.mark.parametrize("variant", COMPILED)
# Where one variant takes seconds, the quick suite asks only the published default.
one_quickly = pytest.mark.parametrize(
    "variant", [name if name == "lite_hrnet_18" else pytest.param(name, marks=pytest.mark.slow) for name in COMPILED]
)
Crops = NDArray[np.uint8]


def _compiled(network: PoseNetwork, size_wh: tuple[int, int], *, bgr: bool = False) -> Program:
    return compile_network(network.variant, arrays_of(network), size_wh, "these weights", bgr=bgr)


def _expected(network: PoseNetwork, crops: Crops) -> NDArray[np.float64]:
    images = ((crops / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)).transpose(0, 3, 1, 2)
    with torch.inference_mode():
        heatmaps: NDArray[np.float64] = network.double()(torch.from_numpy(images)).numpy()
    network.float()
    return heatmaps


def _error(found: NDArray[np.floating], expected: NDArray[np.float64]) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _check(network: PoseNetwork, size_wh: tuple[int, int]) -> None:
    crops = noise(1, size_wh, seed=1)
    expected, program = _expected(network, crops), _compiled(network, size_wh)
    assert _error(run_program(program, crops, np.float64), expected) < 1e-11
    assert _error(run_program(program, crops, np.float32), expected) < FLOAT32_ERROR.get(network.variant.name, 5e-6)


@one_quickly
@pytest.mark.parametrize("size_wh", [(96, 128), (32, 32), (189, 253)])
def test_program_gives_the_networks_heatmaps(settled: MakeNetwork, variant: str, size_wh: tuple[int, int]) -> None:
    _check(settled(variant, 17), size_wh)


@pytest.mark.parametrize("size_wh", [(64, 96), (61, 93)])
@pytest.mark.parametrize("variant", COMPARED)
def test_compared_networks_in_c_plus_plus(settled: MakeNetwork, variant: str, size_wh: tuple[int, int]) -> None:
    network, crops = settled(variant, 17), noise(3, size_wh, seed=1)
    expected, program = _expected(network, crops), _compiled(network, size_wh)
    assert program.macs == measure(network, size_wh).macs
    flat = flatten(program)
    found = _native.Runner(flat.numbers, flat.constants, 1).run(crops)
    assert _error(found, expected) < 5e-6
    shared = _native.Runner(flat.numbers, flat.constants, 2)
    np.testing.assert_array_equal(shared.run(crops), found)
    np.testing.assert_array_equal(shared.run(crops[:1]), found[:1])


@pytest.mark.parametrize("variant", COMPARED)
def test_compared_networks_take_crops_in_the_order_of_opencv(settled: MakeNetwork, variant: str) -> None:
    network, crops = settled(variant, 2), noise(1, (32, 32))
    program = _compiled(network, (32, 32), bgr=True)
    assert _error(run_program(program, crops[..., ::-1], np.float64), _expected(network, crops)) < 1e-11


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_unit_compiles(unit: Unit) -> None:
    variant = next(variant for variant in VARIANTS.values() if variant.unit is unit)
    arrays = arrays_of(PoseNetwork(variant, 3))
    assert len(compile_network(variant, arrays, (32, 32), "weights").output) == 3


def test_unknown_unit_is_refused() -> None:
    variant = Variant("small", Unit("unknown", ".nothing."), (40, 80, 160, 320), (1, 1, 1))
    with pytest.raises(UnsupportedUnitError, match="weights: the native engine does not support small"):
        compile_network(variant, {}, (32, 32), "weights")


@pytest.mark.slow
@every_variant
@pytest.mark.parametrize("size_wh", [(192, 256), (288, 384), (256, 256)])
def test_program_gives_the_networks_heatmaps_at_published_sizes(
    settled: MakeNetwork, variant: str, size_wh: tuple[int, int]
) -> None:
    _check(settled(variant, 17), size_wh)


@pytest.mark.parametrize("num_keypoints", [1, pytest.param(16, marks=pytest.mark.slow)])
@pytest.mark.parametrize("variant", ["lite_hrnet_18", pytest.param("naive_lite_hrnet_18", marks=pytest.mark.slow)])
def test_any_number_of_keypoints(settled: MakeNetwork, variant: str, num_keypoints: int) -> None:
    _check(settled(variant, num_keypoints), (64, 96))


def test_batch_gives_what_single_crops_give(settled: MakeNetwork) -> None:
    program, crops = _compiled(settled("lite_hrnet_18", 17), (64, 64)), noise(3, (64, 64))
    together = run_program(program, crops)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(together, np.concatenate([run_program(program, crop[None]) for crop in crops]))


def test_crops_in_the_order_of_opencv_give_the_same(settled: MakeNetwork) -> None:
    network, crops = settled("naive_lite_hrnet_18", 17), noise(1, (64, 96))
    expected = _expected(network, crops)
    program = _compiled(network, (64, 96), bgr=True)
    assert program.bgr
    assert _error(run_program(program, crops[..., ::-1], np.float64), expected) < 1e-11
    assert _error(run_program(program, crops, np.float64), expected) > 1e-3


def test_other_normalization_than_the_published_one(settled: MakeNetwork) -> None:
    network, crops = settled("naive_lite_hrnet_18", 17), noise(1, (64, 64))
    mean, std = (0.1, 0.6, 0.3), (0.5, 0.25, 1.0)
    arrays = arrays_of(network)
    program = compile_network(network.variant, arrays, (64, 64), "these weights", mean=mean, std=std)
    as_published = (crops / 255 - np.array(mean)) / np.array(std) * np.array(IMAGENET_STD) + np.array(IMAGENET_MEAN)
    expected = _expected(network, 255 * as_published)
    assert _error(run_program(program, crops, np.float64), expected) < 1e-11


@one_quickly
def test_program_multiplies_as_often_as_the_layers_do(settled: MakeNetwork, variant: str) -> None:
    network = settled(variant, 17)
    assert _compiled(network, (189, 253)).macs == measure(network, (189, 253)).macs


def test_channels_are_split_joined_and_shuffled_without_a_step(settled: MakeNetwork) -> None:
    kinds = [step.kind for step in _compiled(settled("naive_lite_hrnet_18", 17), (64, 64)).steps]
    # 2 units on 2, 3 and 4 branches in 2, 4 and 2 modules: two products and one depthwise convolution each.
    units = 2 * (2 * 2 + 4 * 3 + 2 * 4)
    assert kinds.count(Kind.FUSE_FIRST) == 8
    assert kinds.count(Kind.DEPTHWISE) == units + 4 + 4 + 22  # transitions, head, chains of the fusions
    light = {Kind.DEPTHWISE, Kind.ENLARGE, Kind.ENLARGE_BILINEAR}
    assert set(kinds) == {Kind.STEM, Kind.POINTWISE, Kind.FUSE_FIRST, *light}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda a: a.pop("backbone.stem.conv1.conv.weight"), "stem.conv1.conv.weight is missing"),
        (lambda a: a.pop("keypoint_head.final_layer.weight"), "final_layer.weight is missing or empty"),
        (lambda a: a.update(extra=np.zeros(3)), "1 arrays too many, such as extra"),
        (lambda a: a.update({"backbone.stem.conv1.bn.bias": np.zeros(31)}), r"has shape \(31,\) \(expected \(32,\)\)"),
        (lambda a: a.update({"backbone.stem.conv1.bn.bias": np.full(32, np.inf)}), "not finite"),
        (lambda a: a.update({"backbone.stem.conv1.bn.running_var": np.full(32, -1.0)}), "negative"),
    ],
)
def test_arrays_that_are_not_the_networks_are_refused(
    settled: MakeNetwork, damage: Callable[[dict[str, NDArray[np.generic]]], object], message: str
) -> None:
    arrays = arrays_of(settled("naive_lite_hrnet_18", 17))
    damage(arrays)
    with pytest.raises(UserError, match=f"these weights: .*{message}"):
        compile_network(find_variant("naive_lite_hrnet_18"), arrays, (64, 64), "these weights")


def test_size_that_the_network_cannot_take_is_refused(settled: MakeNetwork) -> None:
    with pytest.raises(UserError, match="input size 100x100"):
        _compiled(settled("naive_lite_hrnet_18", 17), (100, 100))
