import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from litehrnet.errors import UserError
from litehrnet.training import distributed
from litehrnet.training.distributed import (
    Launcher,
    Processes,
    alone_note,
    first_host,
    joined,
    meeting_point,
    own_device,
    own_share,
    read_environment,
    start_processes,
)
from litehrnet.training.loader import epoch_batches

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
SRUN = {"SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1", "SLURM_NODELIST": "gpu[03-04]"}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "5",
    "OMPI_COMM_WORLD_SIZE": "8",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
}
MPICH = {"PMI_RANK": "5", "PMI_SIZE": "8", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "4"}
LAUNCHED = pytest.mark.parametrize(
    ("launcher", "environment"),
    [("pytorch", TORCHRUN), ("slurm", SRUN), ("mpi", OPEN_MPI), ("mpi", MPICH)],
    ids=["torchrun", "srun", "Open MPI", "MPICH"],
)


@LAUNCHED
def test_launchers_say_who_a_process_is(launcher: Launcher, environment: dict[str, str]) -> None:
    # What other launchers left around does not matter.
    everything = TORCHRUN | SRUN | {"RANK": "0", "SLURM_PROCID": "0"} | environment
    assert read_environment(launcher, everything) == Processes(rank=5, world_size=8, local_rank=1)


@LAUNCHED
def test_without_a_number_on_the_machine_the_rank_chooses_the_gpu(
    launcher: Launcher, environment: dict[str, str]
) -> None:
    local = {"LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"}
    rest = {name: value for name, value in environment.items() if name not in local}
    assert read_environment(launcher, rest).local_rank == 5


def test_without_a_launcher_there_is_one_process_whatever_the_environment_says() -> None:
    assert read_environment("none", SRUN | OPEN_MPI | {"WORLD_SIZE": "8"}) == Processes()
    assert read_environment("none", {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "1"}) == Processes()


def test_processes_of_torchrun_that_were_not_told_so_are_stopped() -> None:
    with pytest.raises(UserError, match=r"torchrun started several processes \(expected --launcher pytorch\)"):
        read_environment("none", TORCHRUN | {"TORCHELASTIC_RUN_ID": "x"})


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"WORLD_SIZE": "8"}, "WORLD_SIZE is 8, but this process trains alone (expected --launcher pytorch)"),
        ({"RANK": "1"}, "RANK is 1, but this process trains alone (expected --launcher pytorch)"),
        (SRUN, "--launcher slurm"),
        (OPEN_MPI, "--launcher mpi"),
    ],
)
def test_processes_of_another_launcher_that_train_alone_are_warned_of(environment: dict[str, str], named: str) -> None:
    assert named in str(alone_note("none", environment))
    assert alone_note("pytorch", environment) is None
    assert alone_note("none", {"WORLD_SIZE": "1", "RANK": "0"}) is None


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        ("pytorch", "RANK is not set (expected to be started by torchrun)"),
        ("slurm", "SLURM_PROCID is not set (expected to be started by srun)"),
        ("mpi", "OMPI_COMM_WORLD_RANK or PMI_RANK is not set (expected to be started by mpirun)"),
    ],
)
def test_missing_variables_are_one_sentence(launcher: Launcher, message: str) -> None:
    with pytest.raises(UserError) as raised:
        read_environment(launcher, {})
    assert str(raised.value) == f"--launcher {launcher}: {message}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"WORLD_SIZE": "many"}, "WORLD_SIZE is many (expected a whole number)"),
        ({"RANK": "-1"}, "RANK is -1 (expected a whole number)"),
        ({"LOCAL_RANK": ""}, "LOCAL_RANK is  (expected a whole number)"),
        ({"RANK": "8"}, "RANK is 8 (expected less than WORLD_SIZE, 8)"),
    ],
)
def test_variables_that_make_no_sense_are_one_sentence(change: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as raised:
        read_environment("pytorch", TORCHRUN | change)
    assert str(raised.value) == f"--launcher pytorch: {message}"
    with pytest.raises(UserError, match="WORLD_SIZE is not set"):
        read_environment("pytorch", {"RANK": "0"})


@pytest.mark.parametrize(
    ("node_list", "first"),
    [
        ("gpu1", "gpu1"),
        ("gpu1,gpu2", "gpu1"),
        ("gpu[03-05,9],cpu1", "gpu03"),
        ("gpu[7,03-05]", "gpu7"),
        ("cpu1,gpu[03-05,9]", "cpu1"),
        ("rack[1-2]n[07-09]", "rack1n07"),
        ("gpu-a-[10-12]-ib", "gpu-a-10-ib"),
        ("gpu-node.site.org", "gpu-node.site.org"),
    ],
)
def test_first_machine_of_slurms_node_list(node_list: str, first: str) -> None:
    assert first_host(node_list) == first


def test_processes_meet_at_master_addr_and_master_port() -> None:
    place = {"MASTER_ADDR": "head", "MASTER_PORT": "1234"}
    for launcher, environment in (("pytorch", TORCHRUN), ("slurm", SRUN), ("mpi", OPEN_MPI)):
        assert meeting_point(launcher, environment | place) == ("head", 1234)  # type: ignore[arg-type]
    assert meeting_point("slurm", SRUN | {"MASTER_PORT": "1234"}) == ("gpu03", 1234)


def test_slurms_processes_meet_at_the_first_machine_of_the_step() -> None:
    assert meeting_point("slurm", SRUN) == ("gpu03", 29500)
    assert meeting_point("slurm", SRUN | {"SLURM_STEP_NODELIST": "gpu04"}) == ("gpu04", 29500)
    renamed = {"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_JOB_NODELIST": "gpu[5-6]"}
    assert meeting_point("slurm", renamed) == ("gpu5", 29500)
    with pytest.raises(UserError, match="SLURM_NODELIST is not set"):
        meeting_point("slurm", {"SLURM_PROCID": "0", "SLURM_NTASKS": "1"})


@pytest.mark.parametrize("environment", [OPEN_MPI, MPICH], ids=["Open MPI", "MPICH"])
def test_mpis_processes_meet_on_their_machine_if_it_is_one(environment: dict[str, str]) -> None:
    one = environment | {"OMPI_COMM_WORLD_LOCAL_SIZE": "8", "MPI_LOCALNRANKS": "8"}
    assert meeting_point("mpi", one) == ("127.0.0.1", 29500)
    with pytest.raises(UserError, match="on several machines but MASTER_ADDR is not set"):
        meeting_point("mpi", environment)


def test_a_port_is_a_number() -> None:
    with pytest.raises(UserError, match=r"MASTER_PORT is http \(expected a whole number\)"):
        meeting_point("pytorch", TORCHRUN | {"MASTER_PORT": "http"})


def test_processes_that_cannot_meet_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "70000"}
    monkeypatch.setattr(os, "environ", os.environ | variables)
    with pytest.raises(UserError) as raised:
        start_processes("pytorch")
    sentence = str(raised.value)
    assert sentence.startswith("the 2 processes cannot connect at 127.0.0.1:70000 (")
    assert "\n" not in sentence


def test_the_lost_connection_to_another_process_is_one_sentence() -> None:
    with (
        pytest.raises(UserError, match=r"process 0 of 1: another process has ended, see its error \(\[gloo/transport"),
        joined("none"),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer\nmore")
    with pytest.raises(RuntimeError, match="shapes do not fit"), joined("none"):
        raise RuntimeError("shapes do not fit")


_THREADS = """
from pathlib import Path
import torch
import torch.distributed as dist
from litehrnet.training.distributed import joined

def threads():
    return sorted(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))

with joined("pytorch"):
    dist.all_reduce(torch.ones(2))
    import torch.distributed.nn.functional  # as PyTorch does late
    assert any("gloo" in name for name in threads())
left = [name for name in threads() if "gloo" in name]
assert not left, left
"""


def test_threads_of_the_process_group_end_with_it() -> None:
    place = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    done = subprocess.run(
        [sys.executable, "-c", _THREADS],
        env=os.environ | place,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_single_process_exchanges_nothing(tmp_path: Path) -> None:
    alone, device = Processes(), torch.device("cpu")
    assert distributed.highest_of(3, alone, device) == 3
    assert distributed.mean_of(0.1, alone, device) == 0.1
    assert distributed.gather({"a": 1}, alone, tmp_path / "parts") == [{"a": 1}]
    assert not (tmp_path / "parts").exists()


def test_the_number_on_the_machine_chooses_among_its_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    assert own_device(Processes(9, 16, 1)) == torch.device("cuda:1")
    assert own_device(Processes(9, 16, 6)) == torch.device("cuda:2")
    assert own_device(Processes(9, 16, 1), "cuda:3") == torch.device("cuda:3")
    assert [device.index for device in current] == [1, 2, 3]
    assert own_device(Processes(9, 16, 1), "cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert own_device(Processes(9, 16, 1)) == torch.device("cpu")


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
@pytest.mark.parametrize("items", [0, 1, 2, 13, 14])
def test_every_item_is_in_exactly_one_share_in_order(world_size: int, items: int) -> None:
    shares = [own_share(range(items), Processes(rank, world_size)) for rank in range(world_size)]
    assert [item for share in shares for item in share] == list(range(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("samples", [1, 13, 24, 25])
def test_processes_together_see_the_batches_of_one_with_the_whole_batch(world_size: int, samples: int) -> None:
    whole = epoch_batches(samples, 2 * world_size, 7, 3, Processes())
    parts = [epoch_batches(samples, 2, 7, 3, Processes(rank, world_size)) for rank in range(world_size)]
    assert len({len(part) for part in parts}) == 1
    together = [{int(index) for part in step for index in part} for step in zip(*parts, strict=True)]
    assert together[: len(whole)] == [set(batch.tolist()) for batch in whole]
    assert len(together) - len(whole) in (0, 1)  # the order is filled up to a multiple of the number of processes
