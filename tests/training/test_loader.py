import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from litehrnet.config.schema import RunConfig
from litehrnet.data.samples import make_batch
from litehrnet.data.trainingset import TrainingSet, read_training_set
from litehrnet.errors import UserError
from litehrnet.training.distributed import Processes
from litehrnet.training.loader import TensorBatch, TrainingSamples, epoch_batches, load_batches


def _epoch(samples: int, batch: int, epoch: int = 0, seed: int = 0, processes: Processes | None = None) -> list[Any]:
    return [each.tolist() for each in epoch_batches(samples, batch, seed, epoch, processes or Processes())]


@pytest.fixture
def training_set(small_config: RunConfig) -> TrainingSet:
    config = small_config
    return read_training_set(
        config.train, config.keypoint_set, config.input_size_wh, config.codec, config.augmentation, seed=0
    )


def test_order_is_a_function_of_seed_and_epoch() -> None:
    assert _epoch(20, 3, epoch=4, seed=7) == _epoch(20, 3, epoch=4, seed=7)
    assert _epoch(20, 3, epoch=4, seed=7) != _epoch(20, 3, epoch=5, seed=7)
    assert _epoch(20, 3, epoch=4, seed=7) != _epoch(20, 3, epoch=4, seed=8)


@given(samples=st.integers(1, 60), batch=st.integers(1, 12), epoch=st.integers(0, 300))
def test_every_sample_comes_once_but_for_the_incomplete_last_batch(samples: int, batch: int, epoch: int) -> None:
    batches = _epoch(samples, batch, epoch)
    assert [len(each) for each in batches] == [batch] * (samples // batch)
    used = [index for each in batches for index in each]
    assert len(set(used)) == len(used)
    assert set(used) <= set(range(samples))


def test_all_samples_come_in_some_epoch() -> None:
    assert {index for epoch in range(20) for batch in _epoch(10, 4, epoch) for index in batch} == set(range(10))


@given(batches=st.integers(1, 9), batch=st.integers(1, 5), world=st.integers(2, 4), epoch=st.integers(0, 9))
def test_processes_together_see_the_batches_of_one(batches: int, batch: int, world: int, epoch: int) -> None:
    samples = batches * batch * world
    one = _epoch(samples, batch * world, epoch)
    several = [_epoch(samples, batch, epoch, processes=Processes(rank, world)) for rank in range(world)]
    together = [sorted(index for part in parts for index in part) for parts in zip(*several, strict=True)]
    assert together == [sorted(each) for each in one]


@given(samples=st.integers(1, 60), world=st.integers(2, 5))
def test_samples_are_repeated_only_to_fill_the_processes_up(samples: int, world: int) -> None:
    used = [i for rank in range(world) for (i,) in _epoch(samples, 1, processes=Processes(rank, world))]
    assert len(used) == -(-samples // world) * world
    counts = np.bincount(used, minlength=samples)
    assert counts.min() >= 1
    assert counts.max() <= (1 if samples % world == 0 else 1 + -(-world // samples))


def _samples(training_set: TrainingSet) -> TrainingSamples:
    return TrainingSamples(training_set.records, partial(make_batch, training_set))


def _arrays(batch: TensorBatch) -> tuple[bytes, ...]:
    return tuple(each.numpy().tobytes() for each in (batch.images, batch.targets, batch.weights))


def test_batches_are_the_same_in_workers(training_set: TrainingSet) -> None:
    batches = epoch_batches(len(training_set), 3, 0, 1, Processes())
    loaded = [
        list(load_batches(_samples(training_set), 1, batches, workers=workers, pin_memory=False)) for workers in (0, 2)
    ]
    assert [batch.indices for batch in loaded[0]] == [batch.indices for batch in loaded[1]]
    assert list(map(_arrays, loaded[0])) == list(map(_arrays, loaded[1]))


def test_batches_do_not_depend_on_those_before_them(training_set: TrainingSet) -> None:
    batches = epoch_batches(len(training_set), 3, 0, 1, Processes())
    whole = list(load_batches(_samples(training_set), 1, batches, workers=0, pin_memory=False))
    rest = list(load_batches(_samples(training_set), 1, batches[2:], workers=0, pin_memory=False))
    assert list(map(_arrays, whole[2:])) == list(map(_arrays, rest))


@pytest.fixture
def broken_photo(training_set: TrainingSet) -> Iterator[Path]:
    photo = training_set.records[4].image_file
    content = photo.read_bytes()
    photo.write_bytes(content[: len(content) // 2])
    yield photo
    photo.write_bytes(content)


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_photo_is_one_sentence_in_a_worker_too(
    training_set: TrainingSet, broken_photo: Path, workers: int
) -> None:
    batches = [np.array([0]), np.array([4])]
    with pytest.raises(UserError) as raised:
        list(load_batches(_samples(training_set), 0, batches, workers=workers, pin_memory=False))
    assert broken_photo.name in str(raised.value)
    assert "\n" not in str(raised.value)


def test_workers_leave_interrupting_to_the_process_that_trains(training_set: TrainingSet) -> None:
    from torch.utils.data import get_worker_info

    class Asking(type(training_set.records)):  # type: ignore[misc]
        """Records that say how SIGINT is handled where they are read."""

        def __getitem__(self, index: Any) -> Any:
            assert get_worker_info() is not None
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            return super().__getitem__(index)

    from dataclasses import replace

    asking = replace(training_set, records=Asking(training_set.records))
    batches = [np.array([0])]
    assert len(list(load_batches(_samples(asking), 0, batches, workers=1, pin_memory=False))) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_next_samples_take_the_place_of_broken_photos(
    training_set: TrainingSet, broken_photo: Path, workers: int
) -> None:
    batches = [np.array([3, 4]), np.array([4]), np.array([0])]
    samples = _samples(training_set)
    loaded = list(load_batches(samples, 0, batches, workers=workers, pin_memory=False, skip_broken=True))
    assert [batch.indices for batch in loaded] == [[3, 5], [5], [0]]
    assert [len(batch.faults) for batch in loaded] == [1, 1, 0]
    assert broken_photo.name in loaded[0].faults[0]
    whole = list(load_batches(samples, 0, [np.array([3, 5])], workers=0, pin_memory=False))
    assert _arrays(loaded[0]) == _arrays(whole[0])


def test_set_without_a_good_photo_is_one_sentence(training_set: TrainingSet) -> None:
    def broken(*_: Any) -> Any:
        raise UserError("a.jpg: broken")

    samples = TrainingSamples(training_set.records, broken)
    with pytest.raises(UserError, match=r"none of the 10 samples can be made: a\.jpg: broken"):
        list(load_batches(samples, 0, [np.array([1])], workers=0, pin_memory=False, skip_broken=True))


def test_dead_loading_process_is_one_sentence_and_never_in_the_middle_of_a_step(training_set: TrainingSet) -> None:
    def die(*_: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    before = signal.getsignal(signal.SIGCHLD)
    loaded = load_batches(TrainingSamples(training_set.records, die), 0, [np.array([0])], workers=1, pin_memory=False)
    with pytest.raises(
        UserError, match=r"^a loading process has ended \(DataLoader worker .* lower training\.workers\)$"
    ):
        next(loaded)
    assert signal.getsignal(signal.SIGCHLD) is before
