"""Batches of a run: which samples each step and each process gets, and their loading."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from litehrnet.data.photos import PhotoCache
from litehrnet.data.samples import Batch
from litehrnet.errors import UserError
from litehrnet.training.distributed import Processes

# Separates the random numbers of the order from those of the samples, which have the same seed.
_ORDER = 0x0DE5


class PhotoRecord(Protocol):
    """Record of a sample of any task."""

    @property
    def image_file(self) -> Path:
        """Path of the photo."""

    @property
    def image_wh(self) -> tuple[float, float] | None:
        """Size (width, height) of the photo in its annotations; None if they do not say it."""


@dataclass(frozen=True)
class TrainingSamples:
    """Samples to train on.

    Attributes:
        records: One record for each sample.
        make_batch: Make the samples of an epoch, counted from 0, with the given indices.
        broken: Sentence that names the missing or broken photos that training leaves out; None to refuse them.
    """

    records: Sequence[PhotoRecord]
    make_batch: Callable[[int, Sequence[int], PhotoCache], Batch]
    broken: str | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.records)


@dataclass(frozen=True)
class TensorBatch:
    """A ``Batch`` as tensors.

    Attributes:
        images: uint8 (n, H, W, 3), RGB.
        targets: float32 (n, keypoints, h, w); for segmentation uint8 (n, H, W).
        weights: float32 (n, keypoints); for segmentation (n, 0).
        indices: Indices of the samples' records.
        faults: Sentences about broken photos in whose place other samples are.
    """

    images: Tensor
    targets: Tensor
    weights: Tensor
    indices: list[int]
    faults: tuple[str, ...] = ()

    def pin_memory(self) -> "TensorBatch":
        """Copy the batch to pinned memory, from which a GPU reads asynchronously; called by PyTorch's loader."""
        images, targets, weights = (each.pin_memory() for each in (self.images, self.targets, self.weights))
        return replace(self, images=images, targets=targets, weights=weights)


def epoch_batches(
    samples: int, batch_size: int, seed: int, epoch: int, processes: Processes
) -> list[NDArray[np.int64]]:
    """Indices of each batch of one process in one epoch; the last incomplete batch is dropped.

    The order is a pure function of (seed, epoch). It is padded with its own beginning to a multiple of the number of
    processes, and each process takes every n-th index. Together, the processes use the same batches as one process with
    the whole batch.
    """
    order = np.random.default_rng([seed, epoch, _ORDER]).permutation(samples)
    padded = np.resize(order, -(-samples // processes.world_size) * processes.world_size)
    own = padded[processes.rank :: processes.world_size]
    return [own[i : i + batch_size] for i in range(0, len(own) - batch_size + 1, batch_size)]


class _Batches(Dataset[TensorBatch | UserError]):
    """Makes one batch after another, in this process or in a worker.

    An error is returned as an item: if a worker raised it, PyTorch would add a traceback.
    """

    def __init__(
        self, samples: TrainingSamples, epoch: int, batches: list[NDArray[np.int64]], *, skip_broken: bool
    ) -> None:
        self.samples, self.epoch, self.batches, self.skip_broken = samples, epoch, batches, skip_broken
        self.cache = PhotoCache()

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> TensorBatch | UserError:
        try:
            batch, faults = self._made(self.batches[index].tolist())
        except UserError as error:
            return error
        images, targets, weights = (torch.from_numpy(a) for a in (batch.images, batch.targets, batch.weights))
        return TensorBatch(images, targets, weights, batch.indices.tolist(), faults)

    def _made(self, indices: list[int]) -> tuple[Batch, tuple[str, ...]]:
        """Make a batch; tell about broken photos in whose place other samples are."""
        try:
            return self.samples.make_batch(self.epoch, indices, self.cache), ()
        except UserError as error:
            if not self.skip_broken:
                raise UserError(f"{error} (training.skip_broken_photos=true trains on without it)") from error
        chosen, faults = usable(self.samples, self.epoch, indices, self.cache)
        return self.samples.make_batch(self.epoch, chosen, self.cache), faults


def usable(
    samples: TrainingSamples, epoch: int, indices: Sequence[int], cache: PhotoCache
) -> tuple[list[int], tuple[str, ...]]:
    """Replace samples with broken photos by the next ones of the set, which are used once more in this epoch.

    Returns:
        As many indices, and sentences about the broken photos.

    Raises:
        UserError: No sample of the whole set can be made.
    """
    chosen: list[int] = []
    faults: dict[str, None] = {}
    for first in indices:
        for index in (place % len(samples) for place in range(first, first + len(samples))):
            try:
                samples.make_batch(epoch, [index], cache)
            except UserError as error:
                faults[str(error)] = None
            else:
                chosen.append(index)
                break
        else:
            raise UserError(f"none of the {len(samples)} samples can be made: {next(iter(faults))}")
    return chosen, tuple(faults)


def load_batches(
    samples: TrainingSamples,
    epoch: int,
    batches: list[NDArray[np.int64]],
    *,
    workers: int,
    pin_memory: bool,
    skip_broken: bool = False,
) -> Iterator[TensorBatch]:
    """Make batches ahead of their use.

    Args:
        samples: Samples to train on.
        epoch: Epoch, counted from 0.
        batches: Indices of the samples of each batch.
        workers: Number of loading processes; 0 to load in this process.
        pin_memory: Whether batches go to a GPU.
        skip_broken: Whether other samples take the place of those with broken photos.

    Raises:
        UserError: A photo is broken, or a loading process has ended.
    """
    loader = DataLoader(
        _Batches(samples, epoch, batches, skip_broken=skip_broken),
        batch_size=None,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=start_worker,
        # A generator of its own keeps the global one unchanged, whether or not a run was interrupted.
        generator=torch.Generator(),
    )
    loaded = _iterator(loader)
    while True:
        try:
            item = next(loaded)
        except StopIteration:
            return
        except RuntimeError as error:
            # PyTorch has no exception of its own.
            if not str(error).startswith(("DataLoader worker", "Too many open files")):
                raise
            raise UserError(
                f"a loading process has ended ({' '.join(str(error).split())}): often memory or shared memory "
                "(/dev/shm) is too small (try a lower training.workers)"
            ) from error
        if isinstance(item, UserError):
            raise item
        yield item


def _iterator(loader: DataLoader[TensorBatch | UserError]) -> Iterator[TensorBatch | UserError]:
    """Start the loading processes; a dead one is noticed when a batch is awaited, never in the middle of a step.

    By default, PyTorch's handler of SIGCHLD raises an error wherever the training process happens to be.
    """
    before = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
    loaded = iter(loader)
    if before is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, before)
    return loaded


def start_worker(_: int) -> None:
    """Prepare a loading process: signals, and one thread."""
    import cv2

    # Ctrl-C reaches all processes of a terminal, but only the training process decides when workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
