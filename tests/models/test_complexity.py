"""Costs of the networks compared with the paper's: spec/complexity_table.json and reference/evaluation.json."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from litehrnet.errors import UserError
from litehrnet.models import create_network
from litehrnet.models.complexity import Complexity, LayerCost, measure
from litehrnet.published import PUBLISHED
from litehrnet.variants import VARIANTS

MISPRINT = ("wider_naive_lite_hrnet_18", "MPII")


@pytest.fixture(scope="module")
def measured(shared: Path) -> list[tuple[dict[str, Any], Complexity]]:
    """Return the ten rows of the paper's tables, each with our measurement."""
    rows = json.loads((shared / "spec" / "complexity_table.json").read_text())["rows"]
    assert len(rows) == 10
    return [
        (row, measure(create_network(row["variant"], row["joints"]), (row["input_w"], row["input_h"]))) for row in rows
    ]


@pytest.fixture(scope="module")
def lite_hrnet_18() -> Complexity:
    return measure(create_network("lite_hrnet_18"), (192, 256))


def _layer(complexity: Complexity, name: str) -> LayerCost:
    (layer,) = (layer for layer in complexity.layers if layer.name == name)
    return layer


def test_published_flops_equal_the_rule_to_the_last_unit(measured: list[tuple[dict[str, Any], Complexity]]) -> None:
    assert [c.published_flops for _, c in measured] == [row["rule_total"] for row, _ in measured]


def test_nine_published_metrics_are_met_to_the_printed_digit_and_the_tenth_is_a_misprint(
    measured: list[tuple[dict[str, Any], Complexity]],
) -> None:
    printed = {(row["variant"], row["dataset"], row["input_h"]): row["published_mflops"] for row, _ in measured}
    ours = {
        (row["variant"], row["dataset"], row["input_h"]): round(c.published_flops / 2**20, 1) for row, c in measured
    }
    differing = {key: (printed[key], ours[key]) for key in printed if printed[key] != ours[key]}
    assert differing == {(*MISPRINT, 256): (418.7, 414.6)}


def test_the_rule_is_met_kind_by_kind(measured: list[tuple[dict[str, Any], Complexity]]) -> None:
    for row, complexity in measured:
        assert {k: part.published_flops for k, part in complexity.per_kind().items()} == row["rule_breakdown"]


def test_multiply_accumulates_are_exact_each_layer_once_and_as_executed(
    measured: list[tuple[dict[str, Any], Complexity]],
) -> None:
    for row, complexity in measured:
        assert complexity.macs == row["conv_macs_each_layer_once"]
        assert complexity.macs_as_published == row["conv_macs_as_executed"]


def test_parameters_and_convolutions_are_counted_exactly(measured: list[tuple[dict[str, Any], Complexity]]) -> None:
    for row, complexity in measured:
        assert complexity.params == row["params"]
        assert len(complexity.per_kind()["Conv2d"].layers) == row["conv_layers"]


def test_counts_equal_those_of_the_published_counter(
    shared: Path, measured: list[tuple[dict[str, Any], Complexity]]
) -> None:
    published = json.loads((shared / "reference" / "evaluation.json").read_text())["complexity"]["rows"]
    counted = {
        "{}_{}_{}x{}".format(
            row["variant"].replace("lite_hrnet", "litehrnet"), row["dataset"].lower(), row["input_h"], row["input_w"]
        ): (c.params, c.published_flops)
        for row, c in measured
    }
    assert counted == {row["config"]: (row["params"], row["flops"]) for row in published}


def test_multiply_accumulates_equal_what_pytorch_counts() -> None:
    network = create_network("lite_hrnet_18").eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 64, 96))
    assert 2 * measure(network, (96, 64)).macs == counter.get_total_flops()


def test_only_the_maps_from_branch_0_downward_are_executed_twice(lite_hrnet_18: Complexity) -> None:
    twice = [layer for layer in lite_hrnet_18.layers if layer.executions == 2]
    outputs_and_inputs = {tuple(layer.name.split("fuse_layers.")[1].split(".")[:2]) for layer in twice}
    assert outputs_and_inputs == {("1", "0"), ("2", "0"), ("3", "0")}
    assert sum(layer.kind == "BatchNorm2d" for layer in twice) == 52
    assert all(layer.executions == 1 for layer in lite_hrnet_18.layers if layer not in twice)


def test_a_layer_says_what_it_takes_gives_and_moves(lite_hrnet_18: Complexity) -> None:
    assert _layer(lite_hrnet_18, "keypoint_head.final_layer") == LayerCost(
        name="keypoint_head.final_layer",
        kind="Conv2d",
        input_shape=(40, 64, 48),
        output_shape=(17, 64, 48),
        params=40 * 17 + 17,
        published_flops=64 * 48 * 17 * (40 + 1),
        macs=64 * 48 * 17 * 40,
        executions=1,
        memory_read_bytes=4 * (40 * 64 * 48 + 40 * 17 + 17),
        memory_written_bytes=4 * 17 * 64 * 48,
    )


def test_the_shared_activation_of_a_module_counts_on_its_lowest_resolution(lite_hrnet_18: Complexity) -> None:
    assert _layer(lite_hrnet_18, "backbone.stage2.0.activation").published_flops == 320 * 8 * 6


def test_shapes_are_kept_of_blocks_with_several_branches(lite_hrnet_18: Complexity) -> None:
    branches = ((40, 64, 48), (80, 32, 24), (160, 16, 12))
    assert lite_hrnet_18.shapes["backbone.stage1.0.fuse_layers"] == (branches, branches)
    assert lite_hrnet_18.shapes[""] == (((3, 256, 192),), ((17, 64, 48),))


def test_totals_of_kinds_add_up(lite_hrnet_18: Complexity) -> None:
    kinds = lite_hrnet_18.per_kind().values()
    assert sum(part.params for part in kinds) == lite_hrnet_18.params
    assert sum(part.memory_read_bytes for part in kinds) == lite_hrnet_18.memory_read_bytes
    assert sum(part.memory_written_bytes for part in kinds) == lite_hrnet_18.memory_written_bytes
    assert sum(len(part.layers) for part in kinds) == len(lite_hrnet_18.layers)


def test_measuring_leaves_the_network_as_it_was() -> None:
    network = create_network("lite_hrnet_18").double()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    measure(network, (64, 64))
    after = network.state_dict()
    assert all(torch.equal(after[name], value) and after[name].dtype == value.dtype for name, value in before.items())
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())


def test_measuring_takes_any_network_of_such_layers() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Sigmoid(), nn.Upsample(scale_factor=2))
    complexity = measure(network, (8, 6))
    assert [layer.published_flops for layer in complexity.layers] == [4 * 6 * 8 * (27 + 1), 0, 12 * 16]
    assert complexity.macs == complexity.macs_as_published == 4 * 6 * 8 * 27


def test_memory_is_that_of_float32_whatever_the_network_is_in() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1))
    assert measure(network.half(), (8, 6)) == measure(network.float(), (8, 6))


def test_a_size_that_the_network_cannot_take_is_refused() -> None:
    with pytest.raises(UserError, match=r"input size 100x256 .*multiples of 32"):
        measure(create_network("lite_hrnet_18"), (100, 256))


def _plain(name: str) -> str:
    return name.lower().replace(" ", "").replace("-", "").replace("_", "")


def _table(project: Path) -> list[list[str]]:
    """Rows of the table of published figures in docs/equivalence.md."""
    page = (project / "docs" / "equivalence.md").read_text().partition("### Published figures")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:2] == "| "]
    return rows[1:]


def test_the_table_of_published_figures_has_all_of_them(project: Path) -> None:
    rows = {}
    for network, data, published, *_ in _table(project):
        height, width = map(int, data.split()[1].split("x"))
        if published != "none":
            rows[_plain(network), (width, height)] = tuple(published.split(", "))
    assert rows == {(_plain(name), size): figures for (name, size), figures in PUBLISHED.items()}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n.startswith(("lite", "dite")) else n for n in VARIANTS],
)
def test_the_table_of_published_figures_has_what_is_computed(project: Path, name: str) -> None:
    rows = [row for row in _table(project) if _plain(row[0]) == _plain(name)]
    assert len(rows) >= 2
    for _, data, _, flops, parameters, _ in rows:
        height, width = map(int, data.split()[1].split("x"))
        with torch.device("meta"):
            network = create_network(name, 16 if data.startswith("MPII") else 17)
        cost = measure(network, (width, height))
        millions, billions = cost.published_flops / 2**20, cost.published_flops / 2**30
        assert flops == (f"{millions:.2f}M" if flops.endswith("M") else f"{billions:.4f}G")
        assert parameters == f"{cost.params:,}"
