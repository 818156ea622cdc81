"""``litehrnet train`` up to the loop, and ``tools/train.py`` once as a whole; the loop is tested in tests/training."""

import argparse
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from litehrnet.cli.main import run_command
from litehrnet.cli.train import add_arguments, resolve, run
from litehrnet.config.read import LoadedConfig
from litehrnet.config.recipes import read_recipe
from litehrnet.errors import UserError

RECIPE = "litehrnet_18_coco_256x192"


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def _loaded(*flags: str) -> LoadedConfig:
    return resolve(parse([RECIPE, *flags]))


def test_without_flags_the_recipe_is_trained() -> None:
    loaded = _loaded()
    assert loaded.config == loaded.recipe == read_recipe(RECIPE)
    assert loaded.notes == ()


def test_flags_of_the_readme_and_of_the_parser_are_accepted() -> None:
    flags = (
        "--work-dir out --resume-from a.pth --validate --gpus 2 --seed 5 --deterministic --autoscale-lr "
        "--max-minutes 1.5 --launcher pytorch --local_rank 1 --cfg-options training.epochs=3 training.log_every=5"
    )
    options = parse([RECIPE, *flags.split()])
    assert (options.work_dir, options.resume_from, options.validate) == ("out", "a.pth", True)
    assert options.max_minutes == 1.5
    assert (options.gpus, options.seed, options.deterministic, options.autoscale_lr) == (2, 5, True, True)
    assert (options.launcher, options.local_rank) == ("pytorch", 1)
    assert options.cfg_options == ["training.epochs=3", "training.log_every=5"]
    assert parse([RECIPE, "--no-validate", "--gpu-ids", "0", "3", "--local-rank", "2"]).gpu_ids == [0, 3]


@pytest.mark.parametrize("flags", [["--gpus", "2", "--gpu-ids", "0"], ["--validate", "--no-validate"], ["--gpus", "0"]])
def test_flags_that_contradict_each_other_are_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse([RECIPE, *flags])
    assert "not allowed with" in capsys.readouterr().err or flags == ["--gpus", "0"]


def test_flags_go_before_the_configuration(tmp_path: Path) -> None:
    text = Path(__file__).parents[2].joinpath(f"configs/top_down/lite_hrnet/coco/{RECIPE}.py").read_text()
    path = tmp_path / "own.py"
    path.write_text(text + "work_dir = 'of_the_file'\nresume_from = 'b.pth'\n")
    plain = resolve(parse([str(path)])).config
    assert (plain.work_dir, plain.resume_from) == ("of_the_file", "b.pth")
    flagged = resolve(parse([str(path), "--work-dir", "of_the_flag", "--resume-from", "a.pth"])).config
    assert (flagged.work_dir, flagged.resume_from) == ("of_the_flag", "a.pth")


def test_validation_is_on_unless_it_is_turned_off() -> None:
    assert _loaded("--validate").config.validation == read_recipe(RECIPE).validation
    assert _loaded("--no-validate").config.validation is None


def test_seed_and_determinism_are_set() -> None:
    training = _loaded("--seed", "7", "--deterministic").config.training
    assert (training.seed, training.deterministic) == (7, True)


@pytest.mark.parametrize("flags", [["--gpus", "3"], ["--gpu-ids", "0", "1", "2"]])
def test_several_devices_in_one_process_mean_a_larger_batch(flags: list[str]) -> None:
    loaded = _loaded(*flags)
    assert (loaded.config.training.batch_size, loaded.config.training.workers) == (3 * 64, 3 * 4)
    assert "192 samples, with 12 workers" in loaded.notes[0]


def test_one_device_changes_nothing() -> None:
    assert _loaded("--gpus", "1").config == _loaded("--gpu-ids", "0").config == read_recipe(RECIPE)


def test_launcher_says_how_many_processes_there_are() -> None:
    loaded = _loaded("--launcher", "pytorch", "--gpus", "3")
    assert loaded.config == read_recipe(RECIPE)
    assert loaded.notes == ("--gpus and --gpu-ids: ignored, the launcher determines the number of processes",)


@pytest.mark.parametrize(
    ("flags", "world_size", "factor"),
    [
        ([], None, 1 / 8),
        (["--gpus", "4"], None, 4 / 8),
        (["--launcher", "pytorch"], "16", 2),
        (["--gpus", "8"], None, 1),
    ],
)
def test_learning_rate_scales_with_the_number_of_devices(
    monkeypatch: pytest.MonkeyPatch, flags: list[str], world_size: str | None, factor: float
) -> None:
    if world_size:
        monkeypatch.setenv("RANK", "0")
        monkeypatch.setenv("WORLD_SIZE", world_size)
    loaded = _loaded("--autoscale-lr", *flags)
    assert loaded.config.training.optimizer.learning_rate == pytest.approx(2e-3 * factor)
    assert loaded.notes[-1].startswith(f"--autoscale-lr: learning rate {2e-3 * factor:g}, 0.002 times")


def test_scaling_for_a_launcher_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UserError, match="RANK is not set"):
        _loaded("--autoscale-lr", "--launcher", "pytorch")


def test_missing_data_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(run, parse([RECIPE])) == 2
    error = capsys.readouterr().err
    assert re.search(r"person_keypoints_train2017\.json: no such file", error)
    assert error.count("\n") == 1
    assert not (tmp_path / "work_dirs").exists()


def test_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert run_command(run, parse([RECIPE, "--gpu-ids", "5"])) == 2
    assert "--gpu-ids 5: unknown GPU (expected 0 to 1)" in capsys.readouterr().err


def _environment() -> dict[str, str]:
    """Without the package on Python's path, and with a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PORT": port, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_published_configuration_is_trained_from_a_checkout(published: Path, project: Path, processes: int) -> None:
    alone = [sys.executable, str(project / "tools" / "train.py"), str(published)]
    together = [str(project / "tools" / "dist_train.sh"), str(published), "2"]
    command = [*(alone if processes == 1 else together), "--work-dir", "out", "--cfg-options", "data.samples_per_gpu=1"]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "model.keypoint_head.in_channels is 40, but the backbone has 30 channels" in done.stdout
    assert re.search(rf"processes: +{processes}\n", done.stdout)
    assert Path("out/epoch_2.pth").is_file()
    assert Path("out/latest.pth").resolve().name == "epoch_2.pth"
    assert resolve(parse(["out/config.py"])).config.training.batch_size == 1
