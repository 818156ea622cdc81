"""The published learning rates, iteration by iteration."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from litehrnet.config.schema import OptimizerConfig, ScheduleConfig
from litehrnet.training.schedule import learning_rate


@pytest.mark.parametrize("epoch_length", [40, 1])
def test_learning_rates_equal_the_published_ones(
    shared: Path, epoch_length: int, measured: Callable[[str, float, float], None]
) -> None:
    published = json.loads((shared / "reference" / "evaluation.json").read_text())["lr_schedule"]
    base = OptimizerConfig().learning_rate
    assert base == published["base_lr"]
    rates = {int(iteration): rate for iteration, rate in published[f"epoch_len_{epoch_length}"].items()}
    own = {i: learning_rate(ScheduleConfig(), base, i, i / epoch_length, 210) for i in rates}
    difference = max(abs(own[i] / rate - 1) for i, rate in rates.items())
    measured(f"learning rates, {epoch_length} iterations per epoch, relative", difference, 1e-9)
