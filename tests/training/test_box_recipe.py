"""The recipe of the weights in the box, on the real photos and with the real teacher, cut to two minutes."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from litehrnet.cli.main import main
from litehrnet.config.recipes import read_recipe
from litehrnet.data.samples import make_batch
from litehrnet.data.trainingset import read_training_set
from litehrnet.models import PoseNetwork, create_network
from litehrnet.training.curves import read_log
from litehrnet.training.loader import TensorBatch, TrainingSamples, load_batches
from litehrnet.training.losses import keypoint_mse
from litehrnet.training.steps import normalized

RECIPE = "litehrnet_18_128x96"


def _held_out() -> TensorBatch:
    """All crops of the photos that are not trained on."""
    recipe = read_recipe(RECIPE)
    data = replace(recipe.train[0], only=recipe.train[0].without, without=None)
    persons = read_training_set(
        (data,), recipe.keypoint_set, recipe.input_size_wh, recipe.codec, recipe.augmentation, seed=0
    )
    samples = TrainingSamples(persons.records, partial(make_batch, persons))
    return next(load_batches(samples, 0, [np.arange(len(persons))], workers=0, pin_memory=False))


def _error(network: PoseNetwork, batch: TensorBatch) -> float:
    with torch.no_grad():
        output = network.eval()(normalized(batch.images, channels_last=True))
    return keypoint_mse(output, batch.targets, batch.weights[..., None]).item()


@pytest.mark.slow
def test_two_minutes_are_better_than_none(
    shared: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, target in (
        ("data", shared / "data"),
        ("reference", shared / "reference"),
        ("configs", project / "configs"),
    ):
        (tmp_path / name).symlink_to(target)
    monkeypatch.chdir(tmp_path)
    # The whole recipe's learning rate is for hours: its first minutes are rough.
    gentle = ("training.optimizer.learning_rate=5e-4", "training.schedule.warmup_iterations=10", "training.log_every=5")
    assert main(["train", RECIPE, "--work-dir", "run", "--max-minutes", "2", *gentle]) == 0
    losses = [line["mse_loss"] for line in read_log(Path("run")) if "mse_loss" in line]
    assert min(losses[-2:]) < losses[0]
    checkpoint = torch.load("run/latest.pth", weights_only=True)
    torch.manual_seed(0)
    network, held_out = create_network("lite_hrnet_18"), _held_out()
    untrained = _error(network, held_out)
    network.load_state_dict(checkpoint["run"]["average"])
    assert _error(network, held_out) < untrained
