from dataclasses import replace
from functools import cache

import pytest
import torch

from litehrnet.errors import UserError
from litehrnet.models import create_network
from litehrnet.models.lite_hrnet import LiteHRNet
from litehrnet.variants import (
    NAIVE,
    UNITS,
    VARIANTS,
    Unit,
    accepts_side,
    check_input_size,
    find_variant,
    heatmap_size,
    identify_variant,
)


@cache
def _names(variant: str) -> list[str]:
    with torch.device("meta"):
        return list(create_network(variant).state_dict())


@pytest.mark.parametrize("name", VARIANTS)
def test_variant_is_identified_from_its_shapes(name: str) -> None:
    with torch.device("meta"):
        state = create_network(name, 5).state_dict()
    assert identify_variant({key: tuple(value.shape) for key, value in state.items()}) is VARIANTS[name]


def test_weights_of_an_unknown_unit_are_not_taken_for_another() -> None:
    with torch.device("meta"):
        state = create_network("naive_lite_hrnet_18", 5).state_dict()
    shapes = {key.replace(NAIVE.marker, ".nothing."): tuple(value.shape) for key, value in state.items()}
    assert identify_variant(shapes) is None
    assert identify_variant(shapes | {f"backbone.stage0.0.layers{unit.marker}weight": (1,) for unit in UNITS}) is None


def test_network_of_an_unknown_unit_is_not_built_from_another() -> None:
    variant = replace(VARIANTS["naive_lite_hrnet_18"], unit=Unit("unknown", ".nothing."))
    with pytest.raises(KeyError):
        LiteHRNet(variant)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_unit_has_a_block_and_marks_its_parameters_alone(unit: Unit) -> None:
    for variant in VARIANTS.values():
        names = _names(variant.name)
        assert any(unit.marker in name for name in names) == (variant.unit is unit)
        assert variant.unit.widths in names


def test_unknown_variant_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"hrnet_w32: unknown network .*lite_hrnet_18, lite_hrnet_30, naive"):
        find_variant("hrnet_w32")


def test_accepted_sides_are_those_that_meet_in_the_fusions() -> None:
    network = create_network("naive_lite_hrnet_18", 1).eval()
    for side in range(1, 100):
        images = torch.zeros(1, 3, side, 32)
        if accepts_side(side):
            with torch.no_grad():
                heatmaps = network(images)
            assert (heatmaps.shape[3], heatmaps.shape[2]) == heatmap_size(32, side)
        else:
            with pytest.raises((RuntimeError, ValueError)), torch.no_grad():
                network.backbone(images)
    assert [side for side in range(1, 100) if accepts_side(side)] == [29, 30, 31, 32, 61, 62, 63, 64, 93, 94, 95, 96]


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ((100, 100), "96x96 and 128x128"),
        ((252, 192), "224x192 and 256x192"),
        ((192, 250), "192x224 and 192x256"),
        ((1, 1), "32x32"),
        ((0, 64), "32x64"),
        ((-5, 64), "32x64"),
    ],
)
def test_other_sizes_are_refused_with_the_nearest_ones(size: tuple[int, int], nearest: str) -> None:
    with pytest.raises(UserError, match=rf"input size {size[0]}x{size[1]} .*nearest: {nearest}\)"):
        check_input_size(*size)
