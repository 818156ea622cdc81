"""A run that was stopped and goes on gives what one that was not stopped gives, bit for bit."""

import itertools
import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from litehrnet.config.schema import OptimizerConfig, RunConfig, ScheduleConfig
from litehrnet.models import create_network
from litehrnet.models.checkpoint import read_contents
from litehrnet.training.checkpoints import LATEST, write_checkpoint
from litehrnet.training.distributed import Processes
from litehrnet.training.start import run_training
from litehrnet.training.state import TrainingState, checkpoint_of, new_state, resume
from litehrnet.weights.weights_file import read_weights

TIMES = ("data_time", "time", "seconds")
THREE_EPOCHS_OF_TWO_STEPS: dict[str, Any] = {
    "epochs": 3,
    "accumulate": 2,
    "ema": 0.9,
    "schedule": ScheduleConfig("cosine", warmup_iterations=3),
    "log_every": 2,
    "validate": True,
    "evaluate_every": 2,
}
"""Ten persons in batches of two, two batches to a step; two persons of each epoch are left over."""


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_times(item) for name, item in value.items() if name not in TIMES}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def checkpoint(path: Path) -> dict[str, Any]:
    """What counts of a checkpoint, read as anybody may read it."""
    contents: dict[str, Any] = torch.load(path, weights_only=True)
    assert contents["meta"].pop("config")
    assert contents["meta"].pop("time")
    return contents


def log_lines(folder: Path) -> list[Any]:
    """Training and validation lines of all logs in a folder, in the order in which they were written."""
    files = sorted(folder.glob("*.log.json"), key=lambda path: path.stat().st_mtime_ns)
    lines = [json.loads(text) for path in files for text in path.read_text().splitlines()]
    return [without_times(line) for line in lines if "mode" in line]


def assert_same(one: Any, other: Any, place: str = "") -> None:
    """Equal bit for bit, in the same order."""
    assert type(one) is type(other), place
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, place
        assert torch.equal(one, other), place
    elif isinstance(one, dict):
        assert list(one) == list(other), place
        for name in one:
            assert_same(one[name], other[name], f"{place}/{name}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), place
        for number, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{place}/{number}")
    else:
        assert one == other, place


def assert_same_runs(whole: Path, resumed: Path) -> None:
    names = sorted(path.name for path in whole.iterdir() if path.suffix in (".pth", ".safetensors"))
    assert "last.safetensors" in names
    assert names == sorted(path.name for path in resumed.iterdir() if path.suffix in (".pth", ".safetensors"))
    for name in names:
        if name == "best.pth":
            assert_same(*(torch.load(folder / name, weights_only=True)["state_dict"] for folder in (whole, resumed)))
        elif name.endswith(".pth"):
            assert_same(*(without_times(checkpoint(folder / name)) for folder in (whole, resumed)))
        else:
            (one, described), (other, also) = (read_weights(folder / name) for folder in (whole, resumed))
            assert described == also
            assert {name: array.tobytes() for name, array in one.items()} == {
                name: array.tobytes() for name, array in other.items()
            }
    assert log_lines(whole) == log_lines(resumed)


@pytest.mark.parametrize(
    ("stop_after", "workers"),
    [(6, 0), *(pytest.param(*p, marks=pytest.mark.slow) for p in ((0, 0), (1, 0), (2, 0), (1, 2), (2, 2)))],
)
def test_stopped_and_resumed_is_the_same_as_not_stopped(runs: Any, stop_after: int, workers: int) -> None:
    settings = THREE_EPOCHS_OF_TWO_STEPS | {"workers": workers}
    assert runs.run(runs.config("parts", **settings), stop_after=stop_after) == 128 + signal.SIGTERM
    assert not (runs.folder / "parts" / "last.safetensors").exists()
    assert runs.run(runs.config("parts", **settings, resume_from="latest")) == 0
    assert_same_runs(runs.whole(**settings), runs.folder / "parts")


@pytest.mark.slow
def test_stopped_after_every_step_is_the_same_as_not_stopped(runs: Any) -> None:
    config = runs.config("parts", **THREE_EPOCHS_OF_TWO_STEPS, resume_from="latest")
    codes = [runs.run(config, stop_after=1, number=signal.SIGINT) for _ in range(6)]
    assert codes == [130] * 6
    assert runs.run(config) == 0
    assert_same_runs(runs.whole(**THREE_EPOCHS_OF_TWO_STEPS), runs.folder / "parts")


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "fp16"},
        {"precision": "bf16", "optimizer": OptimizerConfig("adamw", 1e-3, weight_decay=0.1, clip_norm=0.01)},
        {"optimizer": OptimizerConfig("sgd", 1e-2)},
        {"optimizer": OptimizerConfig("muon", 1e-3, weight_decay=0.1)},
        {"channels_last": False},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_other_options_resume_exactly_too(runs: Any, settings: dict[str, Any]) -> None:
    runs.run(runs.config("parts", **settings), stop_after=3)
    assert runs.run(runs.config("parts", **settings, resume_from="latest")) == 0
    assert_same_runs(runs.whole(**settings), runs.folder / "parts")


def test_run_whose_time_is_up_stops_with_a_checkpoint_and_no_error(
    runs: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        clock = itertools.count(step=60.0)
        patch.setattr("litehrnet.training.signals.monotonic", lambda: next(clock))
        assert run_training(runs.config("parts"), runs.base, max_minutes=4.5).exit_code == 0
    assert "stopped in epoch" in capsys.readouterr().out
    assert not (runs.folder / "parts" / "last.safetensors").exists()
    assert runs.run(runs.config("parts", resume_from="latest")) == 0
    assert_same_runs(runs.whole(), runs.folder / "parts")


def test_stop_during_an_evaluation_ends_it_first(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from litehrnet.training import evaluate

    def interrupted(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return evaluate.evaluate_runtime(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("litehrnet.training.task.evaluate_runtime", interrupted)
        assert runs.run(runs.config("parts", validate=True)) == 143
    assert (runs.folder / "parts" / LATEST).readlink() == Path("snapshot.pth")
    assert [line["epoch"] for line in log_lines(runs.folder / "parts") if line["mode"] == "val"] == [1]
    runs.run(runs.config("parts", validate=True, resume_from="latest"))
    assert_same_runs(runs.whole(validate=True), runs.folder / "parts")


def test_stop_during_the_last_evaluation_ends_a_finished_run(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from litehrnet.training import evaluate

    def interrupted(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return evaluate.evaluate_runtime(*arguments)

    monkeypatch.setattr("litehrnet.training.task.evaluate_runtime", interrupted)
    assert runs.run(runs.config("run", validate=True, epochs=1)) == 0
    assert (runs.folder / "run" / "last.safetensors").exists()


def test_finished_run_goes_on_for_more_epochs_from_any_of_its_checkpoints(runs: Any) -> None:
    runs.run(runs.config("parts", epochs=1))
    runs.run(runs.config("parts", epochs=3, resume_from=runs.folder / "parts" / "epoch_1.pth"))
    assert_same_runs(runs.whole(epochs=3), runs.folder / "parts")


def test_finished_run_that_is_resumed_has_nothing_to_do(runs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    runs.run(runs.config("run"))
    before = (runs.folder / "run" / "epoch_2.pth").read_bytes()
    assert runs.run(runs.config("run", resume_from="latest")) == 0
    assert "done: 2 epochs, 10 iterations" in capsys.readouterr().out
    assert (runs.folder / "run" / "epoch_2.pth").read_bytes() == before


def test_latest_of_an_empty_folder_is_a_new_run(runs: Any) -> None:
    assert runs.run(runs.config("run", epochs=1, resume_from="latest")) == 0


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 10), (4, 2), (5, 2)])
def test_batches_of_another_size_go_on_where_the_run_was(
    runs: Any, batch_size: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from litehrnet.training import loader

    runs.run(runs.config("run", schedule=ScheduleConfig("cosine", warmup_iterations=0)), stop_after=3)
    used: list[int] = []
    load = loader.load_batches

    def spied(training_set: Any, epoch: int, batches: Any, **more: Any) -> Any:
        for batch in load(training_set, epoch, batches, **more):
            if epoch == 0:
                used.extend(batch.indices)
            yield batch

    monkeypatch.setattr("litehrnet.training.loop.load_batches", spied)
    settings = {"batch_size": batch_size, "schedule": ScheduleConfig("cosine", warmup_iterations=0), "log_every": 1}
    assert runs.run(runs.config("run", **settings, resume_from="latest")) == 0
    order = loader.epoch_batches(10, 10, 0, 0, Processes())[0].tolist()
    done = 6 // batch_size * batch_size  # six samples were used; the step with the next one is begun anew
    assert used == order[done : 10 // batch_size * batch_size]
    lines = log_lines(runs.folder / "run")
    assert lines[-1]["iter"] == steps
    rates = [line["lr"] for line in lines]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0


def test_published_checkpoint_goes_on_at_its_next_epoch(runs: Any) -> None:
    """Its optimizer state is that of an older PyTorch, and it lacks everything but weights, optimizer and counters."""
    whole_folder = runs.whole(channels_last=False)
    contents = torch.load(whole_folder / "epoch_1.pth", weights_only=True)
    published = {
        "meta": {"epoch": 1, "iter": 5, "mmcv_version": "1.1.4", "time": "then"},
        "state_dict": {f"module.{name}": value for name, value in contents["state_dict"].items()},
        "optimizer": {
            "state": {
                1000 + number: {
                    "step": int(kept["step"]), "exp_avg": kept["exp_avg"], "exp_avg_sq": kept["exp_avg_sq"]
                }
                for number, kept in contents["optimizer"]["state"].items()
            },
            "param_groups": [
                {
                    "lr": 5.0,
                    "betas": (0.9, 0.999),
                    "eps": 1e-08,
                    "weight_decay": 0,
                    "amsgrad": False,
                    "initial_lr": 5.0,
                    "params": [1000 + n for n in contents["optimizer"]["param_groups"][0]["params"]],
                }
            ],
        },
    }  # fmt: skip
    torch.save(published, runs.folder / "published.pth")
    resumed = runs.config("resumed", channels_last=False, resume_from=runs.folder / "published.pth")
    assert runs.run(resumed) == 0
    whole, other = (checkpoint(folder / "epoch_2.pth") for folder in (whole_folder, runs.folder / "resumed"))
    assert_same(whole["state_dict"], other["state_dict"])
    assert_same(whole["optimizer"], other["optimizer"])


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_moments_follow_their_parameters_into_another_memory_format(
    small_config: RunConfig, kind: Any, tmp_path: Path
) -> None:
    """One step along the same gradient gives the same weights, whatever the format before and after."""
    states = []
    for channels_last in (True, False):
        training = replace(
            small_config.training, channels_last=channels_last, optimizer=OptimizerConfig(kind, learning_rate=0.1)
        )
        torch.manual_seed(0)
        network = create_network("naive_lite_hrnet_18", 17)
        states.append(new_state(network, replace(small_config, training=training), torch.device("cpu")))
    kept, other = states
    _step_along_random_gradients(kept)
    write_checkpoint(tmp_path / "kept.pth", checkpoint_of(kept, "", 0))
    resume(other, read_contents(tmp_path / "kept.pth"), tmp_path / "kept.pth")
    for state in states:
        torch.manual_seed(1)
        _step_along_random_gradients(state)
    for one, two in zip(kept.network.parameters(), other.network.parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-6)


def _step_along_random_gradients(state: TrainingState) -> None:
    for parameter in state.network.parameters():
        gradient = torch.randn(parameter.shape)
        parameter.grad = torch.empty_like(parameter).copy_(gradient)
    state.optimizer.step()


def test_average_starts_from_the_weights_where_a_checkpoint_has_none(runs: Any) -> None:
    runs.run(runs.config("run", epochs=1))
    assert runs.run(runs.config("run", ema=0.9, resume_from="latest"), stop_after=0) == 143
    average = checkpoint(runs.folder / "run" / LATEST)["run"]["average"]
    assert_same(average, dict(checkpoint(runs.folder / "run" / "epoch_1.pth")["state_dict"]))


def test_precision_may_change_between_the_parts_of_a_run(runs: Any) -> None:
    runs.run(runs.config("run", epochs=1))
    assert runs.run(runs.config("run", precision="fp16", resume_from="latest")) == 0
    assert runs.run(runs.config("run", epochs=3, resume_from="latest")) == 0


def _broken(contents: dict[str, Any], what: str) -> Any:
    state = contents["optimizer"]["state"]
    match what:
        case "a list":
            return [1, 2]
        case "no optimizer":
            del contents["optimizer"]
        case "no meta":
            contents["meta"] = None
            del contents["run"]
        case "another network":
            contents["state_dict"].pop("keypoint_head.final_layer.bias")
        case "fewer parameters":
            contents["optimizer"]["param_groups"][0]["params"].pop()
        case "moments of another shape":
            state[0]["exp_avg"] = torch.zeros(3)
        case "another optimizer":
            contents["optimizer"]["state"] = {number: {"momentum_buffer": torch.zeros(1)} for number in state}
        case "epoch in words":
            contents["meta"]["epoch"] = "one"
            del contents["run"]
    return contents


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("a list", "has no optimizer state"),
        ("no optimizer", "has no optimizer state"),
        ("no meta", "cannot be resumed from"),
        ("another network", "keypoint_head.final_layer.bias"),
        ("fewer parameters", "parameters instead of"),
        ("moments of another shape", "exp_avg of a parameter has shape (3,)"),
        ("another optimizer", "its optimizer keeps momentum_buffer instead of exp_avg, exp_avg_sq, step"),
        ("epoch in words", "invalid literal"),
    ],
)
def test_checkpoint_that_does_not_fit_is_one_sentence(runs: Any, what: str, message: str, user_error: Any) -> None:
    runs.run(runs.config("run", epochs=1))
    path = runs.folder / "broken.pth"
    torch.save(_broken(torch.load(runs.folder / "run" / "epoch_1.pth", weights_only=True), what), path)
    said = user_error(lambda: runs.run(runs.config("other", resume_from=path)))
    assert said.startswith(f"{path}: ")
    assert message in said
    assert not (runs.folder / "other").exists()


def test_checkpoint_that_is_gone_is_one_sentence(runs: Any, user_error: Any) -> None:
    gone = runs.folder / "gone.pth"
    assert f"{gone}: no such checkpoint" in user_error(lambda: runs.run(runs.config("run", resume_from=gone)))
    runs.run(runs.config("run", epochs=1))
    (runs.folder / "run" / "epoch_1.pth").unlink()
    said = user_error(lambda: runs.run(runs.config("run", resume_from="latest")))
    assert "latest.pth: points to epoch_1.pth, which is missing" in said


def test_new_run_in_the_folder_of_an_earlier_one_is_new(runs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    runs.run(runs.config("run", validate=True, seed=5), stop_after=7)
    capsys.readouterr()
    folder, aside = runs.folder / "run", runs.folder / "run_1"
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert runs.run(runs.config("run", validate=True)) == 0
    assert f"{folder} held an earlier run, whose files are now in {aside}" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in aside.iterdir() if path.is_file()} == before
    assert_same_runs(runs.whole(validate=True), folder)


def test_changed_settings_are_those_of_the_configuration_after_a_resume(runs: Any) -> None:
    config: RunConfig = runs.config("run", epochs=1)
    runs.run(config)
    slower = replace(config.training.optimizer, learning_rate=5e-4)
    schedule = ScheduleConfig(steps=(), warmup_iterations=0)
    runs.run(runs.config("run", optimizer=slower, schedule=schedule, resume_from="latest"))
    group = checkpoint(runs.folder / "run" / "epoch_2.pth")["optimizer"]["param_groups"][0]
    assert group["lr"] == group["initial_lr"] == 5e-4
