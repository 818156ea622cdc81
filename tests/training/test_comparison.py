"""Training of several networks for equal times: the time ends the schedule, and results belong to their settings."""

import dataclasses
import itertools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from litehrnet.config.schema import RunConfig, ScheduleConfig
from litehrnet.config.write import recipe_text
from litehrnet.data.settings import EvalConfig
from litehrnet.training import comparison, steps
from litehrnet.training.comparison import Trained, read_result, settings_of, train_and_test, train_for
from litehrnet.training.distributed import Processes
from litehrnet.training.start import prepare, starting_state


@pytest.fixture
def config(small_config: RunConfig) -> RunConfig:
    """Settings with worker processes and starting weights, which a comparison does not use."""
    data = small_config.train[0]
    training = replace(small_config.training, workers=3, schedule=ScheduleConfig("cosine", warmup_iterations=0))
    test = EvalConfig("coco", data.annotations, data.images)
    return replace(small_config, training=training, test=test, load_from="lite_hrnet_18")


def _without_network(monkeypatch: pytest.MonkeyPatch, rates: list[float]) -> None:
    def step(*arguments: Any) -> dict[str, float]:
        rates.append(arguments[4])
        return {"mse_loss": 2.0, "acc_pose": 0.5}

    monkeypatch.setattr(comparison, "optimizer_step", step)


def test_the_schedule_ends_with_the_time_whatever_the_epochs(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    lines: list[str] = []
    _without_network(monkeypatch, rates)
    own = settings_of(config, "naive_lite_hrnet_18")
    run = prepare(own, own, Processes(), torch.device("cpu"))
    state, _, _ = starting_state(run)
    ticks = itertools.count()
    train_for(run, state, 20, lines.append, clock=lambda: float(next(ticks)))
    # The clock is read once before the first step and once before each: 19 steps lie within 20 seconds.
    assert state.progress.iteration == len(rates) == 19
    assert rates == pytest.approx([5e-4 * (1 + math.cos(math.pi * i / 20)) for i in range(1, 20)])
    assert (state.progress.epoch, state.progress.samples_in_epoch) == (3, 8)
    assert len(lines) == 10
    assert lines[-1] == "naive_lite_hrnet_18: 100% of 0.333333 minutes, 38 samples, loss 2.000000"


def test_all_networks_start_from_random_weights_and_make_their_own_samples(config: RunConfig) -> None:
    own = settings_of(config, "mobilenetv2")
    assert (own.variant, own.load_from, own.training.workers) == ("mobilenetv2", None, 0)
    assert own.validation == config.test


def test_a_result_is_read_only_for_its_settings_and_minutes(
    config: RunConfig, tmp_path: Path, user_error: Callable[[Callable[[], Any]], str]
) -> None:
    folder = tmp_path / "network"
    assert read_result(folder, config, 5.0) is None
    folder.mkdir()
    assert "result.json: no such file" in user_error(lambda: read_result(folder, config, 5.0))
    result = Trained(recipe_text(config, []), 5.0, 320, "annotated boxes", {"AP": 0.25})
    (folder / "result.json").write_text(json.dumps(dataclasses.asdict(result)))
    assert read_result(folder, config, 5.0) == result
    others = ((config, 6.0), (replace(config, input_size_wh=(96, 96)), 5.0))
    for other, minutes in others:
        said = user_error(partial(read_result, folder, other, minutes))
        assert said.startswith(f"{folder}: was trained for 5 minutes or with other settings (expected")
    (folder / "result.json").write_text('{"minutes": 5}')
    assert "not a result of a comparison" in user_error(lambda: read_result(folder, config, 5.0))


def test_a_diverged_training_leaves_no_folder(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverged(*_: Any) -> dict[str, float]:
        raise steps.NonFiniteLossError(float("nan"), [0])

    monkeypatch.setattr(comparison, "optimizer_step", diverged)
    with pytest.raises(steps.NonFiniteLossError):
        train_and_test(settings_of(config, "naive_lite_hrnet_18"), 1.0, tmp_path / "network", lambda _: None)
    assert not (tmp_path / "network").exists()
