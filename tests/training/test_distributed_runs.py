"""Several processes for real, on the CPU."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from litehrnet import read_image, write_image
from litehrnet.config.read import load_config
from litehrnet.config.schema import RunConfig
from litehrnet.config.write import recipe_text
from litehrnet.data.settings import EvalConfig

TOGETHER = Path(__file__).with_name("together.py")
PERSONS = 7

pytestmark = pytest.mark.slow

Start = Callable[..., list[subprocess.Popen[str]]]


@pytest.fixture(scope="module")
def recipe(small_config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small configuration as a file, evaluating on seven persons after each epoch."""
    data = small_config.train[0]
    content = json.loads(Path(data.annotations).read_text())
    content["annotations"] = content["annotations"][:PERSONS]
    path = tmp_path_factory.mktemp("recipe") / "drawn.py"
    path.with_name("seven.json").write_text(json.dumps(content))
    validation = EvalConfig("coco", str(path.with_name("seven.json")), data.images)
    path.write_text(recipe_text(replace(small_config, validation=validation), []))
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(project: Path, **variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMPI_", "PMI", "SLURM_"))}
    return kept | {"PYTHONPATH": str(project / "src"), "OMP_NUM_THREADS": "1"} | variables


@pytest.fixture
def start(project: Path) -> Iterator[Start]:
    """Starts processes as torchrun and srun would; all are killed at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def run(commands: Sequence[Sequence[str | Path]], *, slurm: bool = False) -> list[subprocess.Popen[str]]:
        port, count = str(_free_port()), len(commands)
        names = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID") if slurm else ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        place = {"SLURM_NODELIST": "localhost"} if slurm else {"MASTER_ADDR": "localhost"}
        own = []
        for rank, command in enumerate(commands):
            variables = dict(zip(names, (str(rank), str(count), str(rank)), strict=True)) | place
            environment = _environment(project, MASTER_PORT=port, **variables)
            own.append(
                subprocess.Popen(
                    [sys.executable, *command],
                    env=environment,
                    text=True,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
            )
        started.extend(own)
        return own

    yield run
    for process in started:
        process.kill()
        process.communicate()


def _finish(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    """What they printed; all must end well."""
    printed = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), printed
    return printed


@pytest.fixture
def together(start: Start, recipe: Path, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Runs a case of together.py in several processes; gives what each of them found."""

    def run(case: str, count: int, **training: Any) -> list[dict[str, Any]]:
        folder = tmp_path / f"{case}_{count}"
        folder.mkdir()
        overrides = [f"training.{name}={value}" for name, value in training.items()]
        _finish(start([[TOGETHER, case, recipe, folder, *overrides]] * count))
        return [torch.load(folder / f"{case}_{rank}.pth", weights_only=True) for rank in range(count)]

    return run


def test_processes_exchange_what_they_have(together: Callable[..., list[dict[str, Any]]]) -> None:
    found = together("exchange", 3)
    for own in found:
        torch.testing.assert_close(own["weight"], 2 * torch.arange(24.0).view(2, 3, 2, 2), rtol=0, atol=0)
        assert own["unused"] is None
        assert own["bias"].tolist() == [1, 1]
        assert [tensor.sum().item() for tensor in own["copied"]] == [0, 0]
        assert (own["highest"], own["mean"]) == (20, 1)
    assert [part["rank"] for part in found[0]["gathered"]] == [0, 1, 2]
    rounds = [[(int(part["rank"]), part["round"]) for part in parts] for parts in found[0]["by_files"]]
    assert rounds == [[(0, i), (1, i), (2, i)] for i in range(3)]
    assert [(own["gathered"], own["by_files"]) for own in found[1:]] == [(None, [None] * 3)] * 2


def test_evaluation_is_the_same_whatever_the_number_of_processes(
    together: Callable[..., list[dict[str, Any]]],
) -> None:
    (alone,) = together("evaluation", 1)
    assert alone["done"] == len(alone["found"]["by backend"][1]) == PERSONS
    assert alone["found"]["by files"] == alone["found"]["by backend"]
    for count, shares in ((2, [3, 4]), (3, [2, 2, 3])):
        first, *others = together("evaluation", count)
        # Results depend on what else is in a batch, in their last digits.
        torch.testing.assert_close(first["found"], alone["found"], rtol=1e-5, atol=0)
        assert [own["done"] for own in (first, *others)] == shares
        assert all(report is None for own in others for report in own["found"].values())
        assert first["left"] == []


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_with_half_the_batch_train_as_one_with_the_whole(
    together: Callable[..., list[dict[str, Any]]], accumulate: int
) -> None:
    # Not Adam, which makes of the last digits of a gradient near zero a whole step.
    same = {"accumulate": accumulate, "sync_batch_norm": True, "optimizer.kind": "sgd", "optimizer.learning_rate": 0.01}
    (whole,) = together("training", 1, batch_size=4, **same)
    halves = together("training", 2, batch_size=2, **same)
    for half in halves:
        torch.testing.assert_close(half["losses"], whole["losses"], rtol=0, atol=1e-9)
        torch.testing.assert_close(half["state"], whole["state"], rtol=0, atol=1e-9)


def test_all_processes_have_the_same_weights_but_statistics_of_their_own(
    together: Callable[..., list[dict[str, Any]]],
) -> None:
    first, *others = (own["state"] for own in together("training", 3, batch_size=1))
    statistics = {name for name in first if name.endswith(("running_mean", "running_var"))}
    for own in others:
        assert {name for name in first if not torch.equal(first[name], own[name])} == statistics


def _train(project: Path, recipe: Path, launcher: str, folder: Path, *options: str) -> list[str | Path]:
    options = ("--launcher", launcher, "--work-dir", str(folder), *options)
    return [project / "tools" / "train.py", recipe, *options]


def _wait_for_lines(folder: Path, count: int, processes: Sequence[subprocess.Popen[str]]) -> None:
    """Until the log of a run tells of ``count`` steps or lines of other kinds."""
    for _ in range(12_000):
        if sum(path.read_text().count("\n") for path in folder.glob("*.log.json")) >= count:
            return
        assert [process.poll() for process in processes] == [None] * len(processes), processes[0].communicate()
        time.sleep(0.05)
    pytest.fail("the run does not get on")


def _weights(folder: Path, name: str) -> dict[str, Any]:
    content = torch.load(folder / name, weights_only=True)
    return {"state": content["state_dict"], "optimizer": content["optimizer"]["state"]}


def _evaluations(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for path in sorted(folder.glob("*.log.json")) for line in path.read_text().splitlines()]
    return [line for line in lines if line.get("mode") == "val"]


@pytest.mark.parametrize("count", [2, 3])
def test_stopped_and_resumed_processes_give_the_weights_of_a_run_that_was_not_stopped(
    start: Start, project: Path, recipe: Path, tmp_path: Path, count: int
) -> None:
    # srun cannot be had here: its variables are. Twelve epochs, so that the signal comes long before the end.
    settings = ("--cfg-options", "training.epochs=12", "training.batch_size=1", "training.log_every=1")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    _finish(start([_train(project, recipe, "slurm", whole, *settings)] * count, slurm=True))
    processes = start([_train(project, recipe, "slurm", parts, *settings)] * count, slurm=True)
    _wait_for_lines(parts, 7, processes)
    processes[-1].terminate()  # one of them alone, and not the one that writes
    printed = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [143] * count, printed
    assert "stopped in epoch" in printed[0]
    assert (parts / "latest.pth").readlink() == Path("snapshot.pth")
    assert not (parts / "epoch_12.pth").exists()
    _finish(start([_train(project, recipe, "slurm", parts, "--resume-from", "latest", *settings)] * count, slurm=True))
    torch.testing.assert_close(_weights(parts, "epoch_12.pth"), _weights(whole, "epoch_12.pth"), rtol=0, atol=0)
    assert _evaluations(parts) == _evaluations(whole)


def test_processes_that_start_from_different_checkpoints_say_so(
    start: Start, project: Path, recipe: Path, tmp_path: Path
) -> None:
    _finish(start([_train(project, recipe, "pytorch", tmp_path / "run", "--cfg-options", "training.epochs=1")] * 2))
    resumed = ("--resume-from", "latest", "--cfg-options", "training.epochs=2")
    processes = start([_train(project, recipe, "pytorch", tmp_path / name, *resumed) for name in ("run", "elsewhere")])
    for process in processes:
        assert (
            "the processes have 0 to 2 iterations to start from (expected the same files on every machine"
            in (process.communicate(timeout=600)[0])
        )
        assert process.returncode == 2


def test_the_death_of_a_process_is_one_sentence_in_the_others(
    start: Start, project: Path, recipe: Path, tmp_path: Path
) -> None:
    endless = ("--cfg-options", "training.epochs=1000", "training.log_every=1")
    processes = start([_train(project, recipe, "pytorch", tmp_path, *endless)] * 2)
    _wait_for_lines(tmp_path, 3, processes)
    processes[1].kill()
    printed = processes[0].communicate(timeout=600)[0]
    assert processes[0].returncode == 2
    assert "error: process 0 of 2: another process has ended, see its error (" in printed
    assert "Traceback" not in printed


def test_a_photo_broken_in_its_middle_ends_all_processes_with_a_checkpoint_or_is_left_out(
    start: Start, project: Path, recipe: Path, tmp_path: Path
) -> None:
    config = load_config(str(recipe)).config
    photos = tmp_path / "photos"
    shutil.copytree(config.train[0].images, photos)
    broken = sorted(photos.iterdir())[2]
    write_image(tmp_path / "whole.png", read_image(broken))
    content = bytearray((tmp_path / "whole.png").read_bytes())
    content[len(content) // 2] ^= 255
    broken.write_bytes(content)  # its beginning and its end are those of a good file
    cut = tmp_path / "cut.py"
    cut.write_text(recipe_text(replace(config, train=(replace(config.train[0], images=str(photos)),)), []))
    settings = ("--cfg-options", "training.epochs=2", "training.evaluate_every=0")
    processes = start([_train(project, cut, "pytorch", tmp_path / "run", *settings)] * 2)
    printed = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [2, 2], printed
    latest = tmp_path / "run" / "latest.pth"
    done = torch.load(latest, weights_only=True)["meta"]["iter"]
    saved = f"saved after iteration {done}: resume with --resume-from {latest}"
    reason = f"{broken}: "
    errors = [line for text in printed for line in text.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert all(saved in line for line in errors)
    assert (
        sum(reason in line and "training.skip_broken_photos=true trains on without it" in line for line in errors) == 1
    )
    assert sum("of 2: another process cannot load its samples, see its error" in line for line in errors) == 1
    assert not any("Traceback" in text for text in printed)
    options = ("--resume-from", "latest", *settings, "training.skip_broken_photos=true")
    printed = _finish(start([_train(project, cut, "pytorch", tmp_path / "run", *options)] * 2))
    assert f" left out 1 broken photos: {reason}" in printed[0]
    assert torch.load(latest, weights_only=True)["meta"]["epoch"] == 2


def test_torchrun_starts_a_killed_run_again_and_it_goes_on_by_itself(
    project: Path, recipe: Path, tmp_path: Path
) -> None:
    settings = ("--cfg-options", "training.epochs=4", "training.log_every=1", "training.snapshot_minutes=0")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["--max-restarts", "1", *map(str, _train(project, recipe, "pytorch", tmp_path, *settings))]
    torchrun = subprocess.Popen(
        command, env=_environment(project), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        _wait_for_lines(tmp_path, 5, [torchrun])
        children = Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split()
        os.kill(int(children[-1]), 9)
        printed = torchrun.communicate(timeout=600)[0]
    finally:
        torchrun.kill()
    assert torchrun.returncode == 0, printed
    assert f"{tmp_path / 'latest.pth'}, epoch " in printed
    assert "done: 4 epochs" in printed
    assert torch.load(tmp_path / "latest.pth", weights_only=True)["meta"]["epoch"] == 4
    assert {line["epoch"] for line in _evaluations(tmp_path)} == {1, 2, 3, 4}


def test_a_run_under_mpirun(project: Path, recipe: Path, tmp_path: Path) -> None:
    mpirun = shutil.which("mpirun")
    if mpirun is None:
        reason = "no mpirun (make tools-system installs it)"
        if os.environ.get("LITEHRNET_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    # Open MPI wants to be told that root and more processes than cores are meant.
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    allowed["OMPI_MCA_rmaps_base_oversubscribe"] = "1"
    command = [mpirun, "-n", "2", sys.executable, *map(str, _train(project, recipe, "mpi", tmp_path))]
    environment = _environment(project, MASTER_PORT=str(_free_port()), **allowed)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "processes:     2" in done.stdout
    assert "done: 2 epochs" in done.stdout
    assert (tmp_path / "epoch_2.pth").exists()
