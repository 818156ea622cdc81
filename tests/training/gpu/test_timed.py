"""Timed runs on a clock of their own: they end on time, with weights and a log."""

import importlib
import itertools
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from litehrnet.config.schema import DistillConfig, OptimizerConfig, RunConfig, ScheduleConfig
from litehrnet.data.packing import ANNOTATIONS, PackSource, pack
from litehrnet.data.settings import DataConfig, EvalConfig
from litehrnet.errors import UserError
from litehrnet.models import create_network
from litehrnet.models.weights import load_network, save_network
from litehrnet.runtimes.torch import TorchRuntime
from litehrnet.training import steps
from litehrnet.training.gpu.people import load_people
from litehrnet.training.gpu.timed import train_for
from litehrnet.weights.weights_file import WeightsInfo, read_weights

CPU = torch.device("cpu")
Sentence = Callable[[Callable[[], Any]], str]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock takes half a second."""
    ticks = itertools.count()
    for module in ("signals", "gpu.timed"):
        monkeypatch.setattr(f"litehrnet.training.{module}.monotonic", lambda: next(ticks) / 2)


@pytest.fixture
def config(small_config: RunConfig) -> RunConfig:
    data = small_config.train[0]
    training = replace(
        small_config.training,
        batch_size=5,
        optimizer=OptimizerConfig("adamw", 2e-3),
        schedule=ScheduleConfig("cosine", warmup_iterations=0),
        ema=0.9,
        snapshot_minutes=0.4,
    )
    return replace(
        small_config, training=training, validation=EvalConfig("coco", data.annotations, data.images, flip=False)
    )


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_run_ends_on_time_with_loadable_weights(
    config: RunConfig, clock: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for missing in ("pycocotools", "pycocotools.coco", "platformdirs", "onnxruntime", "tensorboard"):
        monkeypatch.setitem(sys.modules, missing, None)
    out = tmp_path / "out"
    assert train_for(1, config, out, CPU, cuda_graphs=False) == 0
    lines = _lines(out)
    assert 50 < lines[-1]["seconds"] <= 60
    steps_logged = [line for line in lines if "mse_loss" in line]
    assert steps_logged[-1]["mse_loss"] < steps_logged[0]["mse_loss"]
    rates = [line["rate"] for line in steps_logged]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.2 * 2e-3
    assert all(line["samples_per_second"] > 0 for line in steps_logged)
    evaluations = [line for line in lines if "oks" in line]
    assert len(evaluations) >= 3  # before, in between, at the end
    assert all(0 <= line["pck"] <= 1 for line in evaluations)
    arrays, info = read_weights(out / "weights.safetensors")
    assert arrays["keypoint_head.final_layer.weight"].dtype == np.float16
    assert info.provenance.endswith(f"{lines[-1]['step']} steps")
    load_network(out / "weights.safetensors")
    assert sorted(path.name for path in out.iterdir()) == ["log.jsonl", "weights.safetensors"]
    with pytest.raises(UserError, match="has files already"):
        train_for(1, config, out, CPU, cuda_graphs=False)


def test_two_steps_lower_the_loss_with_a_teacher(
    config: RunConfig, clock: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = tmp_path / "teacher.safetensors"
    save_network(teacher, create_network("naive_lite_hrnet_18"), WeightsInfo("naive_lite_hrnet_18", config.outputs))
    config = replace(config, distill=DistillConfig(str(teacher), 0.5))
    losses = []

    def step(network: Any, state: Any, batches: Any, *arguments: Any) -> dict[str, float]:
        first = steps.optimizer_step(network, state, batches, *arguments)
        second = steps.optimizer_step(network, state, batches, *arguments)
        losses.append((first["mse_loss"], second["mse_loss"]))
        signal.raise_signal(signal.SIGTERM)
        return second

    monkeypatch.setattr("litehrnet.training.gpu.timed.optimizer_step", step)
    assert train_for(9, config, tmp_path / "out", CPU, cuda_graphs=False) == 143
    ((before, after),) = losses
    assert after < before
    assert (tmp_path / "out" / "weights.safetensors").exists()


def test_a_teacher_in_pytorch_gives_the_same_on_the_device(config: RunConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = create_network("naive_lite_hrnet_18")
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, mode="fan_out")
    runtime = TorchRuntime(network, WeightsInfo("naive_lite_hrnet_18", config.outputs), (64, 64))
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    expected = runtime.forward(crops)
    np.testing.assert_allclose(runtime.maps(torch.from_numpy(crops)).numpy(), expected, atol=1e-5 * expected.max())
    assert network.training


def test_where_graphs_cannot_be_recorded_the_run_says_so(
    config: RunConfig, clock: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise RuntimeError("no such thing\nat all")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", refused)
    assert train_for(0.3, config, tmp_path / "out", CPU, cuda_graphs=True) == 0
    assert [line["note"] for line in _lines(tmp_path / "out") if "note" in line] == [
        "without CUDA graphs: no such thing"
    ]


def test_what_cannot_be_trained_for_minutes_is_one_sentence(
    config: RunConfig, clock: None, tmp_path: Path, user_error: Sentence
) -> None:
    def said(config: RunConfig, minutes: float = 1) -> str:
        return user_error(lambda: train_for(minutes, config, tmp_path / "out", CPU, cuda_graphs=False))

    assert "has no validation on annotated boxes" in said(replace(config, validation=None))
    assert "do not fill a step" in said(replace(config, training=replace(config.training, batch_size=11)))
    assert "over before the first step" in said(config, minutes=0.01)


def test_a_packed_set_comes_through_and_a_broken_one_is_one_sentence(
    config: RunConfig, tmp_path: Path, user_error: Sentence, monkeypatch: pytest.MonkeyPatch
) -> None:
    from litehrnet.data.trainingset import read_training_set

    data = config.train[0]
    source = PackSource("set", Path(data.annotations), Path(data.images), None, None, (64, 64), 100, 60)
    assert pack(source, tmp_path).persons == 10
    packed = DataConfig("coco", str(tmp_path / "set" / ANNOTATIONS), str(tmp_path / "set"))
    settings = (config.keypoint_set, (64, 64), config.codec, config.augmentation, 0)
    before, after = (read_training_set([each], *settings) for each in (data, packed))
    people, small = (load_people(each, CPU, workers=workers) for each, workers in ((before, 0), (after, 2)))
    assert people.pictures.shape[2] == 160
    assert small.pictures.shape[2:].numel() <= 100 * 100
    assert small.boxes_wh.amin() > 20
    # The same joints, relative to the box.
    relative = [(each.joints_xy - each.centers[:, None]) / each.scales[:, None] for each in (people, small)]
    seen = people.visible > 0
    assert torch.equal(people.visible, small.visible)
    assert (relative[0] - relative[1])[seen].abs().max() < 4  # of 200
    monkeypatch.setattr("litehrnet.training.gpu.people.LARGEST_SIDE", 90)
    assert "are too many to keep on the device" in user_error(lambda: load_people(before, CPU, workers=0))
    monkeypatch.undo()
    shard = tmp_path / "set" / "000.zip"
    content = bytearray(shard.read_bytes())
    content[300] ^= 1
    shard.write_bytes(content)
    assert "000.zip: is damaged" in user_error(lambda: load_people(after, CPU, workers=2))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["0"], "0 minutes: not a length"), (["1", "--device", "cuda"], "PyTorch does not have it")],
)
def test_the_command_refuses_in_one_sentence(
    arguments: list[str],
    sentence: str,
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(project)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    device = [] if "--device" in arguments else ["--device", "cpu"]
    command = ["train_on_gpu", "litehrnet_18_256x192", *arguments, *device, "--out", str(tmp_path), "training.seed=3"]
    monkeypatch.setattr(sys, "argv", command)
    assert importlib.import_module("runs.train_on_gpu").main() == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
