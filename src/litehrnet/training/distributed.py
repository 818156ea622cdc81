"""Training in several processes: how they connect, and what they exchange.

The launchers' variables: docs/spec/protocol.md, section 5.3. Gathering of results: docs/spec/protocol.md, section 5.2.
"""

import contextlib
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch
import torch.distributed as dist

# Its functions keep the process group of the moment of import as a default argument. Without this line PyTorch imports
# it while a group stands, so the threads of that group outlive it, and can abort the process when Python ends.
import torch.distributed.nn.functional
from torch import Tensor
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from litehrnet.errors import UserError
from litehrnet.io.files import make_folder, replacing

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

T = TypeVar("T")

Launcher = Literal["none", "pytorch", "slurm", "mpi"]

DEFAULT_PORT = 29500

START_SECONDS = 300
"""Seconds that the first process waits for the others."""

# The launchers' variables for rank, number of processes, rank on the machine, and number on the machine.
_VARIABLES: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "pytorch": (("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),),
    "slurm": (("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", ""),),
    "mpi": (
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
        ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),  # MPICH and Intel MPI
    ),
}
# A step of a job may use only some of the job's machines; older names come last.
_NODE_LISTS = ("SLURM_STEP_NODELIST", "SLURM_NODELIST", "SLURM_JOB_NODELIST")


@dataclass(frozen=True)
class Processes:
    """Place of this process among those of the run.

    Attributes:
        rank: Number of this process; process 0 writes and prints.
        world_size: Number of processes.
        local_rank: Number of this process on its machine.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0


def read_environment(launcher: Launcher, environment: Mapping[str, str]) -> Processes:
    """Read the place of this process from the launcher's environment variables.

    Raises:
        UserError: The variables are missing or contradict each other; or torchrun started several processes without
            ``--launcher pytorch``.
    """
    if launcher == "none":
        if "TORCHELASTIC_RUN_ID" in environment and environment.get("WORLD_SIZE", "1") != "1":
            raise UserError("--launcher none: torchrun started several processes (expected --launcher pytorch)")
        return Processes()
    names = _variables(launcher, environment)
    rank, world_size = (_number(environment, name, launcher) for name in names[:2])
    local_rank = _number(environment, names[2], launcher) if names[2] in environment else rank
    if rank >= world_size:
        raise UserError(f"--launcher {launcher}: {names[0]} is {rank} (expected less than {names[1]}, {world_size})")
    return Processes(rank, world_size, local_rank)


def alone_note(launcher: Launcher, environment: Mapping[str, str]) -> str | None:
    """Warn in one sentence if a launcher has started several processes, but each trains alone."""
    if launcher != "none":
        return None
    for kind, groups in _VARIABLES.items():
        for rank, world_size, *_ in groups:
            for name, alone in ((world_size, "1"), (rank, "0")):
                if (value := environment.get(name, alone)) != alone:
                    return f"warning: {name} is {value}, but this process trains alone (expected --launcher {kind})"
    return None


def meeting_point(launcher: Launcher, environment: Mapping[str, str]) -> tuple[str, int]:
    """Find the machine and port through which the processes connect.

    MASTER_ADDR and MASTER_PORT are used if they are set. Otherwise it is the first machine of Slurm's list, or this
    machine, and port 29500.

    Raises:
        UserError: The port is not a number; or there are several machines and the first is unknown.
    """
    port = _number(environment, "MASTER_PORT", launcher) if "MASTER_PORT" in environment else DEFAULT_PORT
    if "MASTER_ADDR" in environment:
        return environment["MASTER_ADDR"], port
    if launcher == "slurm":
        for name in _NODE_LISTS:
            if name in environment:
                return first_host(environment[name]), port
        raise UserError(f"--launcher slurm: {_NODE_LISTS[1]} is not set (expected to be started by srun)")
    names = _variables(launcher, environment)
    if names[3] in environment and environment[names[3]] != environment[names[1]]:
        raise UserError(
            f"--launcher {launcher}: the processes are on several machines but MASTER_ADDR is not set "
            "(expected the name of the machine of rank 0, in the environment of all of them)"
        )
    return "127.0.0.1", port


def first_host(node_list: str) -> str:
    """Return the first machine of a Slurm node list: ``gpu03`` of ``gpu[03-05,9],cpu1``."""
    first: str = re.split(r",(?![^\[]*\])", node_list)[0]
    return re.sub(r"\[([^\]\-,]*)[^\]]*\]", r"\1", first)


@contextlib.contextmanager
def joined(launcher: Launcher, device: str | None = None) -> Iterator[Processes]:
    """Join the process group for the duration of the block; arguments as for ``start_processes``.

    Raises:
        UserError: See ``start_processes``; or another process has ended.
    """
    processes = start_processes(launcher, device)
    try:
        yield processes
    except RuntimeError as error:
        # gloo has no exception of its own.
        if not isinstance(error, dist.DistError) and "gloo/transport" not in str(error):
            raise
        own = f"process {processes.rank} of {processes.world_size}"
        raise UserError(f"{own}: another process has ended, see its error ({_line(error)})") from error
    finally:
        stop_processes()


def start_processes(launcher: Launcher, device: str | None = None) -> Processes:
    """Join the process group, with nccl on GPUs and gloo on CPUs.

    RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT are set in the environment.

    Args:
        launcher: Launcher that started this process.
        device: Name of a device, see ``own_device``.

    Raises:
        UserError: The launcher's variables are missing or wrong, or the processes cannot connect.
    """
    processes = read_environment(launcher, os.environ)
    if launcher == "none":
        return processes
    host, port = meeting_point(launcher, os.environ)
    os.environ.update(MASTER_ADDR=host, MASTER_PORT=str(port), LOCAL_RANK=str(processes.local_rank))
    os.environ.update(RANK=str(processes.rank), WORLD_SIZE=str(processes.world_size))
    backend = "nccl" if own_device(processes, device).type == "cuda" else "gloo"
    try:
        store, rank, world_size = next(rendezvous("env://"))
        dist.init_process_group(backend, store=store_of_this_start(store, processes), rank=rank, world_size=world_size)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the {processes.world_size} processes cannot connect at {host}:{port} "
            f"({_line(error)}; MASTER_ADDR and MASTER_PORT set another address)"
        ) from error
    return processes


def store_of_this_start(store: "Store", processes: Processes) -> "Store":
    """Return a part of the key-value store that no process of an earlier start has written to.

    torchrun keeps one store over restarts (seen in PyTorch 2.13), so a process could read the address of a dead process
    and wait for it. Here the first process invents a prefix, and tells it to each other process that asks under a fresh
    name.

    Raises:
        RuntimeError: Some processes do not ask within ``START_SECONDS``.
    """
    own = uuid.uuid4().hex
    if not processes.is_first:
        store.set(f"call/{processes.rank}", own)
        name = store.get(f"answer/{own}").decode()
        store.set(f"{name}/{processes.rank}", "heard")
        return PrefixStore(name, store)
    waiting, until = set(range(1, processes.world_size)), time.monotonic() + START_SECONDS
    while waiting:
        for rank in waiting:
            if store.check([f"call/{rank}"]):
                store.set(f"answer/{store.get(f'call/{rank}').decode()}", own)
        waiting = {rank for rank in waiting if not store.check([f"{own}/{rank}"])}
        if time.monotonic() > until:
            raise RuntimeError(f"processes {sorted(waiting)} are missing")
        time.sleep(0.01)
    return PrefixStore(own, store)


def stop_processes() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def own_device(processes: Processes, wanted: str | None = None) -> torch.device:
    """Choose the device of this process, and make it PyTorch's current one.

    Args:
        processes: Place of this process, whose number on the machine selects a GPU.
        wanted: Device such as ``cpu`` or ``cuda:1``; None for this process's GPU, or the CPU without GPUs.
    """
    if wanted is None:
        gpus = torch.cuda.device_count()
        wanted = f"cuda:{processes.local_rank % gpus}" if gpus else "cpu"
    device = torch.device(wanted)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def highest_of(value: int, processes: Processes, device: torch.device) -> int:
    """Return the highest ``value`` of all processes; all of them must call this together."""
    if processes.world_size == 1:
        return value
    highest = torch.tensor(value, device=device)
    dist.all_reduce(highest, dist.ReduceOp.MAX)
    return int(highest.item())


def mean_of(value: float, processes: Processes, device: torch.device) -> float:
    """Return the mean of ``value`` over all processes; all of them must call this together."""
    if processes.world_size == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return float(total.item()) / processes.world_size


def average_gradients(parameters: Iterable[Tensor], processes: Processes) -> None:
    """Replace every gradient by its mean over all processes; all of them must call this together.

    All gradients are summed at once, in a fixed order. PyTorch's wrapper changes its grouping of parameters after the
    first step, so a resumed run would not be exact. The network is small, so the exchange takes little time.
    """
    if processes.world_size == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    mean = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(mean)
    mean /= processes.world_size
    parts = torch.split(mean, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def copy_from_first(tensors: Iterable[Tensor], processes: Processes) -> None:
    """Copy the first process's ``tensors`` to all processes; all of them must call this together."""
    if processes.world_size == 1:
        return
    for tensor in tensors:
        with torch.no_grad():
            copied = tensor.contiguous()  # the backends only accept this memory layout
            dist.broadcast(copied, 0)
            tensor.copy_(copied)


def own_share(items: Sequence[T], processes: Processes) -> Sequence[T]:
    """Return this process's part of ``items``: every item is in exactly one part, in order."""
    bounds = [len(items) * rank // processes.world_size for rank in (processes.rank, processes.rank + 1)]
    return items[bounds[0] : bounds[1]]


def gather(own: T, processes: Processes, folder: Path | None = None) -> list[T] | None:
    """Collect a value of each process, in order of rank; only the first process gets them, the others get None.

    Args:
        own: Value of this process: tensors and plain values.
        processes: The processes, which must all call this together.
        folder: Folder for files through which values are exchanged, visible to all processes; None for the backend.

    Raises:
        UserError: The folder cannot be written to, or other processes do not see it.
    """
    if processes.world_size == 1:
        return [own]
    if folder is not None:
        return _gather_files(own, processes, folder)
    gathered: list[Any] = [None] * processes.world_size
    dist.all_gather_object(gathered, own)
    return gathered if processes.is_first else None


def _gather_files(own: T, processes: Processes, folder: Path) -> list[T] | None:
    parts = [make_folder(folder) / f"part_{rank}.pth" for rank in range(processes.world_size)]
    with replacing(parts[processes.rank]) as temporary:
        torch.save(own, temporary)
    gather(None, processes)  # wait until all are written
    gathered = _take(parts) if processes.is_first else None
    gather(None, processes)  # wait until they are read: the next exchange uses the same names
    return gathered


def _take(parts: list[Path]) -> list[Any]:
    missing = [path for path in parts if not path.is_file()]
    if missing:
        raise UserError(f"{missing[0]}: is missing (expected a folder that all processes see, on every machine)")
    gathered = [torch.load(path, weights_only=True) for path in parts]
    for path in parts:
        path.unlink()
    return gathered


def _variables(launcher: Launcher, environment: Mapping[str, str]) -> tuple[str, str, str, str]:
    for names in _VARIABLES[launcher]:
        if names[0] in environment:
            return names
    wanted = " or ".join(names[0] for names in _VARIABLES[launcher])
    started_by = {"pytorch": "torchrun", "slurm": "srun", "mpi": "mpirun"}[launcher]
    raise UserError(f"--launcher {launcher}: {wanted} is not set (expected to be started by {started_by})")


def _number(environment: Mapping[str, str], name: str, launcher: Launcher) -> int:
    value = environment.get(name, "not set")
    if not value.isdecimal():
        raise UserError(f"--launcher {launcher}: {name} is {value} (expected a whole number)")
    return int(value)


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]
