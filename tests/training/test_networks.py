"""A short run of every kind of other network: training, its evaluation, and its checkpoint."""

from dataclasses import replace
from typing import Any

import pytest

from litehrnet.errors import UserError
from litehrnet.models.weights import load_network


@pytest.mark.parametrize(
    "variant",
    [
        "small_hrnet_w16",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("shufflenetv2", "mobilenetv3", "dite_hrnet_18")),
    ],
)
def test_run_trains_evaluates_and_leaves_a_checkpoint_of_the_variant(runs: Any, variant: str) -> None:
    config = replace(runs.config(variant, validate=True, epochs=1), variant=variant)
    assert runs.run(config) == 0
    network, info = load_network(runs.folder / variant / "latest.pth")
    assert (network.variant.name, info.variant) == (variant, variant)
    assert (runs.folder / variant / "best.pth").is_file()


def test_dite_hrnet_needs_two_samples_per_step(runs: Any) -> None:
    config = replace(runs.config("one", batch_size=1), variant="dite_hrnet_18")
    with pytest.raises(UserError, match=r"batch_size is 1, but dite_hrnet_18 .*\(expected 2 or more\)"):
        runs.run(config)
