"""Small runs on drawn persons: each takes a second or two."""

import hashlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tests.drawn_persons import DrawnPerson, write_drawn_persons
from tests.figure import draw_figure

from litehrnet.config.schema import OptimizerConfig, RunConfig, ScheduleConfig, TrainingConfig, with_outputs
from litehrnet.data.settings import DataConfig, EvalConfig
from litehrnet.errors import UserError
from litehrnet.keypoints.skeletons import COCO
from litehrnet.training import steps
from litehrnet.training.start import run_training, starting_state

PERSONS = 10


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PyTorch on one thread, here and in processes that are started, and what a run sets globally put back."""
    threads, seed = torch.get_num_threads(), torch.get_rng_state()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_rng_state(seed)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn figures, tilted and mirrored, with their joints in COCO's form: ``photos`` and ``persons.json``."""
    folder = tmp_path_factory.mktemp("drawn")
    persons = [_person(number) for number in range(1, PERSONS + 1)]
    write_drawn_persons(persons, folder / "persons.json", folder / "photos", ".jpg")
    return folder


def _person(number: int) -> DrawnPerson:
    """A figure whose tilt and side depend on its number."""
    width, height = 120 + 4 * number, 160
    picture, joints, box = draw_figure((width, height), seed=number)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 12 * (number % 5 - 2), 0.8)
    picture = np.asarray(cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * box[2:] + box[:2]
    points = np.concatenate([joints, corners]) @ matrix[:, :2].T + matrix[:, 2]
    if number % 2:
        picture = np.ascontiguousarray(picture[:, ::-1])
        points[:, 0] = width - 1 - points[:, 0]
        points[:17] = points[COCO.flip_order]
    low, high = points[17:].min(axis=0).clip(1), points[17:].max(axis=0).clip(max=(width - 2, height - 2))
    return picture, points[:17], np.concatenate([low, high - low])


@pytest.fixture(scope="session")
def small_config(drawn: Path) -> RunConfig:
    """Ten persons in five steps of two, two epochs, no evaluation, 64x64 pixels; without a folder to work in."""
    training = TrainingConfig(
        epochs=2,
        batch_size=2,
        workers=0,
        optimizer=OptimizerConfig(learning_rate=1e-3),
        schedule=ScheduleConfig(steps=(1,), warmup_iterations=3),
        evaluate_every=1,
        save_every=1,
        log_every=2,
    )
    config = RunConfig(
        name="drawn",
        variant="naive_lite_hrnet_18",
        keypoints="coco",
        input_size_wh=(64, 64),
        train=(DataConfig("coco", str(drawn / "persons.json"), str(drawn / "photos")),),
        training=training,
    )
    return with_outputs(config)


class Runs:
    """Starts runs of a small configuration, and stops them.

    Args:
        config: What they have in common.
        folder: Where their folders go.
        kept: Folder of runs that several tests compare with.
    """

    def __init__(self, config: RunConfig, folder: Path, kept: Path) -> None:
        self.base, self.folder, self.kept = config, folder, kept

    def whole(self, **training: Any) -> Path:
        """The folder of a run that nothing stopped; not to be written to."""
        config = self.config("whole", **training)
        folder = self.kept / hashlib.sha256(repr(replace(config, work_dir=None)).encode()).hexdigest()[:16]
        if not folder.exists():
            assert self.run(replace(config, work_dir=str(folder)), draw=True) == 0
        return folder

    def config(
        self, name: str, *, validate: bool = False, resume_from: Path | str | None = None, **training: Any
    ) -> RunConfig:
        """The configuration of the run in folder ``name``; keywords replace training settings."""
        data = self.base.train[0]
        return replace(
            self.base,
            training=replace(self.base.training, **training),
            validation=EvalConfig("coco", data.annotations, data.images) if validate else None,
            work_dir=str(self.folder / name),
            resume_from=None if resume_from is None else str(resume_from),
        )

    def run(
        self, config: RunConfig, *, stop_after: int | None = None, number: int = signal.SIGTERM, draw: bool = False
    ) -> int:
        """Train; a signal comes during the step with which ``stop_after`` steps are made, or before the first (0).

        Curves are drawn on demand only: that takes longer than the training.
        """
        made = 0

        def step(*arguments: Any) -> dict[str, float]:
            nonlocal made
            made += 1
            if made == stop_after:
                signal.raise_signal(number)
            return steps.optimizer_step(*arguments)

        def start(*arguments: Any) -> tuple[Any, ...]:
            if stop_after == 0:
                signal.raise_signal(number)
            return starting_state(*arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("litehrnet.training.loop.optimizer_step", step)
            patch.setattr("litehrnet.training.start.starting_state", start)
            if not draw:
                patch.setattr("litehrnet.training.log.draw_curves", lambda *_: None)
            return run_training(config, self.base).exit_code


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def runs(small_config: RunConfig, tmp_path: Path, kept: Path) -> Runs:
    return Runs(small_config, tmp_path, kept)


@pytest.fixture
def user_error() -> Callable[[Callable[[], Any]], str]:
    """Gives the sentence of the ``UserError`` that a call raises; fails if it is not one line."""

    def sentence(call: Callable[[], Any]) -> str:
        with pytest.raises(UserError) as raised:
            call()
        said = str(raised.value)
        assert "\n" not in said
        return said

    return sentence
