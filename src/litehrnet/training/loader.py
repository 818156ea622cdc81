"""Batches in the order of the run: which samples, in which step, in which process."""

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from litehrnet.data.photos import PhotoCache
from litehrnet.data.samples import Batch, make_batch
from litehrnet.errors import UserError
from litehrnet.training.distributed import Processes

# Tells the generator of the order from those of the samples, which have the same seed.
_ORDER = 0x0DE5

MakeBatch = Callable[[Any, int, Sequence[int], PhotoCache], Batch]


@dataclass(frozen=True)
class TensorBatch:
    """A ``Batch`` as tensors.

    Attributes:
        images: uint8 (n, H, W, 3), RGB.
        targets: float32 (n, keypoints, h, w); for segmentation uint8 (n, H, W).
        weights: float32 (n, keypoints); for segmentation (n, 0).
        indices: Of the samples' records.
    """

    images: Tensor
    targets: Tensor
    weights: Tensor
    indices: list[int]

    def pin_memory(self) -> "TensorBatch":
        """The same in memory that a GPU can read while others work; called by PyTorch's loader."""
        return TensorBatch(self.images.pin_memory(), self.targets.pin_memory(), self.weights.pin_memory(), self.indices)


def epoch_batches(
    samples: int, batch_size: int, seed: int, epoch: int, processes: Processes
) -> list[NDArray[np.int64]]:
    """Indices of each batch of one process in one epoch; the last incomplete batch is left out, as published.

    The order is a pure function of (seed, epoch). It is filled up with its own beginning to a multiple of the number of
    processes, of which each takes every n-th: together, the processes go through the same batches as one process with
    the whole batch.
    """
    order = np.random.default_rng([seed, epoch, _ORDER]).permutation(samples)
    padded = np.resize(order, -(-samples // processes.world_size) * processes.world_size)
    own = padded[processes.rank :: processes.world_size]
    return [own[i : i + batch_size] for i in range(0, len(own) - batch_size + 1, batch_size)]


class _Batches(Dataset[TensorBatch | UserError]):
    """Makes batch by batch, in whichever process it is called.

    An error is an item like others: raised in a worker, PyTorch would wrap its one sentence into a traceback.
    """

    def __init__(self, training_set: Any, epoch: int, batches: list[NDArray[np.int64]], make: MakeBatch) -> None:
        self.training_set, self.epoch, self.batches, self.make = training_set, epoch, batches, make
        self.cache = PhotoCache()

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> TensorBatch | UserError:
        try:
            batch = self.make(self.training_set, self.epoch, self.batches[index].tolist(), self.cache)
        except UserError as error:
            return error
        images, targets, weights = (torch.from_numpy(a) for a in (batch.images, batch.targets, batch.weights))
        return TensorBatch(images, targets, weights, batch.indices.tolist())


def load_batches(
    training_set: Any,
    epoch: int,
    batches: list[NDArray[np.int64]],
    *,
    workers: int,
    pin_memory: bool,
    make: MakeBatch = make_batch,
) -> Iterator[TensorBatch]:
    """Make the batches in ``workers`` processes (0: in this one) ahead of their use.

    Args:
        training_set: As ``make`` takes it.
        epoch: Counted from 0.
        batches: Indices of each.
        workers: Processes.
        pin_memory: Whether batches go to a GPU.
        make: See ``training.task.Task.make_batch``.

    Raises:
        UserError: A photo is broken.
    """
    loader = DataLoader(
        _Batches(training_set, epoch, batches, make),
        batch_size=None,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
        # Its own, so that the global generator is where it was whether or not a run was interrupted.
        generator=torch.Generator(),
    )
    for item in loader:
        if isinstance(item, UserError):
            raise item
        yield item


def _start_worker(_: int) -> None:
    import cv2

    # Ctrl-C reaches all processes of a terminal; the training process decides when workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
