"""Batches of a run: which samples each step and each process gets, and their loading."""

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class TrainingSamples:
    """Samples to train on.

    Attributes:
        records: One record for each sample.
        make_batch: Make the samples of an epoch, counted from 0, with the given indices.
    """

    records: Sequence[PhotoRecord]
    make_batch: Callable[[int, Sequence[int], PhotoCache], Batch]

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
    """

    images: Tensor
    targets: Tensor
    weights: Tensor
    indices: list[int]

    def pin_memory(self) -> "TensorBatch":
        """Copy the batch to pinned memory, from which a GPU reads asynchronously; called by PyTorch's loader."""
        return TensorBatch(self.images.pin_memory(), self.targets.pin_memory(), self.weights.pin_memory(), self.indices)


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

    def __init__(self, samples: TrainingSamples, epoch: int, batches: list[NDArray[np.int64]]) -> None:
        self.samples, self.epoch, self.batches = samples, epoch, batches
        self.cache = PhotoCache()

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> TensorBatch | UserError:
        try:
            batch = self.samples.make_batch(self.epoch, self.batches[index].tolist(), self.cache)
        except UserError as error:
            return error
        images, targets, weights = (torch.from_numpy(a) for a in (batch.images, batch.targets, batch.weights))
        return TensorBatch(images, targets, weights, batch.indices.tolist())


def load_batches(
    samples: TrainingSamples,
    epoch: int,
    batches: list[NDArray[np.int64]],
    *,
    workers: int,
    pin_memory: bool,
) -> Iterator[TensorBatch]:
    """Make batches ahead of their use.

    Args:
        samples: Samples to train on.
        epoch: Epoch, counted from 0.
        batches: Indices of the samples of each batch.
        workers: Number of loading processes; 0 to load in this process.
        pin_memory: Whether batches go to a GPU.

    Raises:
        UserError: A photo is broken.
    """
    loader = DataLoader(
        _Batches(samples, epoch, batches),
        batch_size=None,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=start_worker,
        # A generator of its own keeps the global one unchanged, whether or not a run was interrupted.
        generator=torch.Generator(),
    )
    for item in loader:
        if isinstance(item, UserError):
            raise item
        yield item


def start_worker(_: int) -> None:
    """Prepare a loading process: signals, and one thread."""
    import cv2

    # Ctrl-C reaches all processes of a terminal, but only the training process decides when workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
