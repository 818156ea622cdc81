"""A run whose evaluations get no better ends before its last epoch, and does so again after an interruption."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from litehrnet.config.schema import RunConfig
from litehrnet.training.checkpoints import LATEST
from litehrnet.training.task import TASKS, EvalSamples, Evaluation


@pytest.fixture
def score(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the AP that each epoch, from 1, is to have."""

    def by_epoch(*scores: float) -> list[int]:
        evaluated: list[int] = []

        def evaluate(network: Any, config: RunConfig, processes: Any) -> Evaluation:
            evaluated.append(len(evaluated) + 1)
            return Evaluation({"AP": scores[len(evaluated) - 1]})

        samples = EvalSamples(1, "scores are given", evaluate, lambda: {"AP": 0.0})
        task = replace(TASKS["keypoints"], read_test=lambda config: samples)
        # Nothing has to be learned: the scores are given.
        losses = {"mse_loss": 0.1, "acc_pose": 0.0}
        monkeypatch.setattr("litehrnet.training.steps.optimizer_step", lambda *_: dict(losses))
        monkeypatch.setitem(TASKS, "keypoints", task)
        return evaluated

    return by_epoch


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    return lambda: capsys.readouterr().out.splitlines()


def test_run_ends_when_evaluations_in_a_row_are_no_better(runs: Any, score: Any, said: Any) -> None:
    evaluated = score(0.1, 0.3, 0.2, 0.3, 0.9)
    assert runs.run(runs.config("run", validate=True, epochs=5, stop_after=2)) == 0
    assert evaluated == [1, 2, 3, 4]
    folder = runs.folder / "run"
    assert (folder / LATEST).readlink() == Path("epoch_4.pth")
    assert (folder / "last.safetensors").exists()
    assert said()[-1].startswith("done: 4 of 5 epochs, without improvement after epoch 2, 20 iterations, ")


def test_resuming_a_run_that_ended_early_is_over_at_once_and_with_more_patience_goes_on(runs: Any, score: Any) -> None:
    score(0.3, 0.2)
    runs.run(runs.config("run", validate=True, epochs=3, stop_after=1))
    again = score(0.4)
    assert runs.run(runs.config("run", validate=True, epochs=3, stop_after=1, resume_from="latest")) == 0
    assert again == []
    assert runs.run(runs.config("run", validate=True, epochs=3, stop_after=5, resume_from="latest")) == 0
    assert again == [1]


def test_interrupted_run_ends_in_the_same_epoch(runs: Any, score: Any) -> None:
    score(0.3, 0.2)
    assert runs.run(runs.config("run", validate=True, epochs=5, stop_after=2), stop_after=12) == 143
    evaluated = score(0.3, 0.9)
    assert runs.run(runs.config("run", validate=True, epochs=5, stop_after=2, resume_from="latest")) == 0
    assert evaluated == [1]
    assert (runs.folder / "run" / LATEST).readlink() == Path("epoch_3.pth")


def test_run_that_has_found_nothing_yet_goes_on(runs: Any, score: Any) -> None:
    evaluated = score(0.0, 0.0, 0.0, 0.1)
    assert runs.run(runs.config("run", validate=True, epochs=4, stop_after=1)) == 0
    assert evaluated == [1, 2, 3, 4]


def test_epochs_without_an_evaluation_do_not_count(runs: Any, score: Any) -> None:
    evaluated = score(0.3, 0.2, 0.2)
    assert runs.run(runs.config("run", validate=True, epochs=6, evaluate_every=2, stop_after=1)) == 0
    assert len(evaluated) == 2
    assert (runs.folder / "run" / LATEST).readlink() == Path("epoch_4.pth")


def test_without_validation_all_epochs_are_trained(runs: Any) -> None:
    assert runs.run(runs.config("run", epochs=2, stop_after=1)) == 0
    assert (runs.folder / "run" / LATEST).readlink() == Path("epoch_2.pth")
