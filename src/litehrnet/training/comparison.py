"""Training of networks on one recipe for equal times, and their tests: ``litehrnet compare``.

Each network trains on one thread, which also makes its samples. Time is CPU time, so other programs on the machine do
not shorten a training.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import process_time

import torch

import litehrnet
from litehrnet.config.schema import RunConfig
from litehrnet.config.write import recipe_text
from litehrnet.data.records import read_json
from litehrnet.errors import UserError
from litehrnet.io.files import new_folder, write_bytes
from litehrnet.models.weights import save_network
from litehrnet.training.distributed import Processes
from litehrnet.training.evaluate import weights_info
from litehrnet.training.loop import remaining_steps
from litehrnet.training.memory import keep_freed_memory
from litehrnet.training.run import Run
from litehrnet.training.schedule import learning_rate
from litehrnet.training.start import prepare, starting_state
from litehrnet.training.state import TrainingState
from litehrnet.training.steps import optimizer_step, prepared

WEIGHTS = "weights.safetensors"
RESULT = "result.json"
LINES = 10
"""Lines of progress for each network."""


@dataclass(frozen=True)
class Trained:
    """Result of one network, as in its ``result.json``.

    Attributes:
        recipe: All settings of its training.
        minutes: Minutes of CPU time.
        samples: Samples that it was trained on; one that was used twice counts twice.
        how: Description of the test.
        metrics: Values of the test, by their names in the log.
    """

    recipe: str
    minutes: float
    samples: int
    how: str
    metrics: dict[str, float]


def settings_of(config: RunConfig, variant: str) -> RunConfig:
    """Return the settings of one network: it starts from random weights, and is tested on the test data once."""
    training = replace(config.training, workers=0, evaluate_every=1)
    test = config.tested_on
    return replace(config, variant=variant, load_from=None, resume_from=None, validation=test, training=training)


def read_result(folder: Path, config: RunConfig, minutes: float) -> Trained | None:
    """Read the result of an earlier call; None without the folder.

    Raises:
        UserError: The folder has no result, or one of other settings.
    """
    if not folder.exists():
        return None
    try:
        result = Trained(**read_json(folder / RESULT))
    except TypeError as error:
        raise UserError(f"{folder / RESULT}: not a result of a comparison (expected another folder)") from error
    if (result.recipe, result.minutes) != (recipe_text(config, []), minutes):
        raise UserError(
            f"{folder}: was trained for {result.minutes:g} minutes or with other settings (expected the same recipe "
            "and minutes, or another folder)"
        )
    return result


def train_and_test(config: RunConfig, minutes: float, folder: Path, say: Callable[[str], None]) -> Trained:
    """Train a network, test it, and write its weights and its result to a new folder.

    Args:
        config: Settings from ``settings_of``.
        minutes: Minutes of CPU time for the training.
        folder: Folder to make; it appears after the test.
        say: Receives lines of progress.

    Raises:
        UserError: The data or the folder cannot be used.
        NonFiniteLossError: The training has diverged.
    """
    keep_freed_memory()
    torch.set_num_threads(1)
    run = prepare(config, config, Processes(), torch.device("cpu"))
    state, _, _ = starting_state(run)
    train_for(run, state, 60 * minutes, say)
    assert run.test_set is not None
    evaluation = run.test_set.evaluate(state.evaluated, run.config, run.processes)
    assert evaluation is not None
    samples = state.progress.iteration * run.samples_per_step
    how = run.test_set.how + (", flip test" if config.task == "keypoints" and config.tested_on.flip else "")
    result = Trained(recipe_text(config, []), minutes, samples, how, evaluation.metrics)
    with new_folder(folder):
        provenance = f"litehrnet {litehrnet.__version__}, recipe {config.name}, {samples} samples"
        save_network(folder / WEIGHTS, state.evaluated, weights_info(run.config, provenance))
        write_bytes(folder / RESULT, (json.dumps(asdict(result), indent=1) + "\n").encode())
    return result


def train_for(
    run: Run,
    state: TrainingState,
    seconds: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = process_time,
) -> None:
    """Make steps until the clock has moved on by ``seconds``; the schedule ends with them, whatever its epochs.

    Raises:
        UserError: A photo is broken.
        NonFiniteLossError: The loss is not a finite number.
    """
    settings, progress = run.config.training, state.progress
    network = prepared(state.network, settings, run.processes)
    base, epochs = settings.optimizer.learning_rate, settings.epochs
    values: dict[str, float] = {}
    began, said = clock(), 0
    while True:
        for batches, _ in remaining_steps(run, state):
            share = min(1.0, (clock() - began) / seconds)
            if int(share * LINES) > said:
                said, seen = int(share * LINES), progress.iteration * run.samples_per_step
                loss = sum(value for name, value in values.items() if name.endswith("_loss"))
                say(f"{run.config.variant}: {share:.0%} of {seconds / 60:g} minutes, {seen:,} samples, loss {loss:.6f}")
            if share == 1:
                return
            rate = learning_rate(settings.schedule, base, progress.iteration, share * epochs, epochs)
            values = optimizer_step(network, state, batches, settings, rate, run.processes)
            progress.iteration += 1
            progress.samples_in_epoch += run.samples_per_step
        progress.epoch, progress.samples_in_epoch = progress.epoch + 1, 0
