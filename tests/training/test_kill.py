"""Real processes, real signals, real limits: ``litehrnet train`` from the command line, and killed in the middle."""

import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from litehrnet.config.schema import RunConfig, ScheduleConfig
from litehrnet.config.write import recipe_text
from litehrnet.models.checkpoint import read_contents
from litehrnet.training.checkpoints import LATEST
from litehrnet.training.start import run_training

pytestmark = pytest.mark.slow

KILLS = 50
PATIENCE = 300


def _command(config: RunConfig, folder: Path, *more: str) -> list[str]:
    recipe = folder / "drawn.py"
    recipe.write_text(recipe_text(config, []))
    return [sys.executable, "-m", "litehrnet", "train", str(recipe), *more]


def _steps_logged(folder: Path) -> int:
    texts = [path.read_text() for path in folder.glob("*.log.json")]
    return sum('"mode": "train"' in line for text in texts for line in text.splitlines())


def _same_weights(one: Path, other: Path) -> bool:
    mine, yours = (torch.load(path, weights_only=True)["state_dict"] for path in (one, other))
    return all(torch.equal(value, yours[name]) for name, value in mine.items())


def _run_until_next_step(command: list[str], folder: Path, number: int) -> int:
    """Start, send the signal after the first step that this process logs, and give the exit code."""
    before = _steps_logged(folder)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        deadline = time.monotonic() + PATIENCE
        while _steps_logged(folder) == before and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        output, _ = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in output
    assert f"resume with --resume-from {folder / LATEST}" in output
    return process.returncode


@pytest.mark.parametrize("workers", [0, 2])
def test_command_that_is_interrupted_and_terminated_goes_on_to_the_same_weights(runs: Any, workers: int) -> None:
    settings = {"epochs": 12, "log_every": 1, "save_every": 12}
    whole = runs.whole(**settings)
    config = runs.config("run", **settings, workers=workers)
    folder = runs.folder / "run"
    command = _command(config, runs.folder, "--resume-from", "latest")
    assert _run_until_next_step(command, folder, signal.SIGTERM) == 143
    assert _run_until_next_step(command, folder, signal.SIGINT) == 130
    subprocess.run(command, check=True, timeout=PATIENCE, capture_output=True)
    assert _same_weights(whole / "epoch_12.pth", folder / "epoch_12.pth")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_to_the_whole_group_ends_with_a_checkpoint(runs: Any, number: int) -> None:
    """The loading processes get it too."""
    config = runs.config("run", epochs=12, log_every=1, workers=2)
    command = _command(config, runs.folder)

    def heed() -> None:
        signal.signal(number, signal.SIG_DFL)  # nohup around the tests would ignore it

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, preexec_fn=heed
    ) as run:
        deadline = time.monotonic() + PATIENCE
        while not _steps_logged(runs.folder / "run") and time.monotonic() < deadline and run.poll() is None:
            time.sleep(0.01)
        os.killpg(run.pid, number)
        output, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 128 + number
    assert "Traceback" not in output
    assert f"resume with --resume-from {runs.folder / 'run' / LATEST}" in output


def test_full_disk_is_one_line_and_exit_code_2_and_the_run_goes_on_later(runs: Any) -> None:
    """A limit of the file size stands for the full disk: the system refuses to write the second half."""
    whole = runs.whole()
    config = runs.config("run")
    folder = runs.folder / "run"
    assert runs.run(config, stop_after=3) == 143
    before = (folder / LATEST).read_bytes()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, len(before) // 2))

    command = _command(config, runs.folder, "--resume-from", "latest")
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {folder / 'epoch_1.pth'}: cannot be written (File too large); no state of this step could be saved: "
        "latest.pth is an earlier one\n"
    )
    assert (folder / LATEST).read_bytes() == before
    assert not list(folder.glob(".*"))
    assert runs.run(runs.config("run", resume_from="latest")) == 0
    assert _same_weights(whole / "epoch_2.pth", folder / "epoch_2.pth")


def _started(context: Any, config: RunConfig, folder: Path) -> Any:
    """A training process that has read its checkpoint and begun."""
    logs = len(list(folder.glob("*.log.json")))
    process = context.Process(target=run_training, args=(config, config))
    process.start()
    deadline = time.monotonic() + PATIENCE
    while len(list(folder.glob("*.log.json"))) == logs and time.monotonic() < deadline:
        assert process.is_alive()
        time.sleep(0.005)
    return process


def _seconds_per_step(runs: Any, settings: dict[str, Any]) -> float:
    """With the snapshot after it, on this machine at this hour."""
    runs.run(runs.config("warm", **settings), stop_after=1)
    started = time.monotonic()
    runs.run(runs.config("timed", **settings), stop_after=5)
    return (time.monotonic() - started) / 5


def test_run_that_is_killed_at_random_moments_always_goes_on(runs: Any) -> None:
    """Snapshots after every step and evaluations: most of the time some file is being written."""
    settings: dict[str, Any] = {
        "epochs": 60,
        "save_every": 2,
        "ema": 0.9,
        "schedule": ScheduleConfig("cosine", warmup_iterations=3),
        "validate": True,
        "evaluate_every": 5,
    }
    whole = runs.whole(**settings)
    folder = runs.folder / "run"
    saving = settings | {"snapshot_minutes": 0.0}
    config = runs.config("run", **saving, resume_from="latest")
    longest = 4 * _seconds_per_step(runs, saving)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["litehrnet.training.start", "torch.utils.tensorboard", "matplotlib.figure"])
    moments, reached = random.Random(0), 0
    for _ in range(KILLS):
        process = _started(context, config, folder)
        time.sleep(moments.uniform(0, longest))
        assert process.is_alive()
        process.kill()
        process.join(PATIENCE)
        if reached or (folder / LATEST).exists():
            contents = read_contents(folder / LATEST)
            assert contents["meta"]["iter"] >= reached
            reached = contents["meta"]["iter"]
        time.sleep(1.05 - time.time() % 1)  # a log file is named by its second
    assert reached >= KILLS / 5
    assert runs.run(runs.config("run", **settings, resume_from="latest")) == 0
    assert _same_weights(whole / "epoch_60.pth", folder / "epoch_60.pth")
    assert not list(folder.glob(".*"))
    scores = [json.loads((each / "best.json").read_text())["best_score"] for each in (whole, folder)]
    assert scores[0] == scores[1]
