"""Training of a pose network for a number of minutes: read it from top to bottom.

The steps, losses, optimizers and moving average are those of ``training.steps``. Here the people are kept on the
device, the schedule follows the clock, and the run ends on time, with weights and a log.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor

import litehrnet
from litehrnet.config.fitting import fit
from litehrnet.config.schema import RunConfig, TrainingConfig
from litehrnet.data.formats import COCO, find_format
from litehrnet.data.records import Record
from litehrnet.data.trainingset import TrainingSet, read_training_set
from litehrnet.errors import UserError
from litehrnet.evaluation.predictions import predict_records
from litehrnet.evaluation.score import records_oks, records_pck
from litehrnet.io.files import make_folder
from litehrnet.models.networks import Network
from litehrnet.models.weights import new_network, save_network
from litehrnet.runtimes.torch import TorchRuntime
from litehrnet.training.distill import Teacher, distilled, open_teacher
from litehrnet.training.distributed import Processes
from litehrnet.training.evaluate import weights_info
from litehrnet.training.gpu.people import People, load_people
from litehrnet.training.gpu.samples import make_device_batch
from litehrnet.training.initial_weights import load_weights
from litehrnet.training.loader import TensorBatch, epoch_batches
from litehrnet.training.schedule import learning_rate
from litehrnet.training.signals import StopRequest, stop_on_signals
from litehrnet.training.state import TrainingState, new_state
from litehrnet.training.steps import NonFiniteLossError, autocast, normalized, optimizer_step, prepared

LOG_SECONDS = 5.0


@dataclass(frozen=True)
class TimedRun:
    """Immutable inputs of a timed run.

    Attributes:
        config: All settings.
        folder: Folder of the run's files.
        training_set: People to train on.
        people: The same people on the device.
        held_out: People to evaluate on.
        teacher: Trained network to learn from besides the labels, or None.
        device: Device of people and network.
        started: Value of ``time.monotonic`` at the start.
    """

    config: RunConfig
    folder: Path
    training_set: TrainingSet
    people: People
    held_out: list[Record]
    teacher: Teacher | None
    device: torch.device
    started: float


def train_for(minutes: float, config: RunConfig, folder: Path, device: torch.device, *, cuda_graphs: bool) -> int:
    """Train for some minutes, from reading the data to the last evaluation.

    The folder gets ``weights.safetensors`` in float16, written again every ``training.snapshot_minutes`` and at the
    end, and ``log.jsonl``. The schedule ends with the time; the epochs of the configuration do not count.

    Args:
        minutes: Minutes of the whole run.
        config: A recipe for keypoints with validation on annotated boxes.
        folder: A new or empty folder.
        device: Device of everything.
        cuda_graphs: Whether to replay the forward and backward passes as CUDA graphs.

    Returns:
        Exit code: 0, or 128 plus the number of the signal that stopped the run.

    Raises:
        UserError: The recipe, its data or the folder cannot be used, the time is too short, or the loss is not finite.
    """
    with stop_on_signals() as stop:
        run = prepared_run(config, folder, device)
        torch.manual_seed(run.config.training.seed)
        torch.backends.cudnn.benchmark = True
        state, started_from = first_state(run)
        gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        log(run, people=len(run.people), device=gpu, torch=str(torch.__version__), start=started_from)
        before = monotonic()
        evaluate(run, state)
        # The last evaluation, and some seconds to write the weights, are part of the time.
        stop.deadline = run.started + 60 * minutes - 2 * (monotonic() - before) - 1
        steps = make_steps(run, state, stop, cuda_graphs=cuda_graphs)
        if steps == 0 and not stop.exit_code:
            taken = monotonic() - run.started
            raise UserError(f"{minutes:g} minutes: over before the first step (reading the data took {taken:.0f} s)")
        save(run, state)
        evaluate(run, state)
        return stop.exit_code


def prepared_run(config: RunConfig, folder: Path, device: torch.device) -> TimedRun:
    """Read the data of a configuration, and move the people to the device; errors as in ``train_for``."""
    started, test = monotonic(), config.validation
    if config.task != "keypoints" or not config.train:
        raise UserError(f"{config.name}: cannot be trained for minutes (expected a recipe with keypoints and train)")
    if test is None or not find_format(test.format).takes_boxes or test.boxes is not None:
        raise UserError(f"{config.name}: has no validation on annotated boxes (expected format={COCO.name!r})")
    if any(make_folder(folder).iterdir()):
        raise UserError(f"{folder}: has files already (expected a new or empty folder)")
    size, seed = config.input_size_wh, config.training.seed
    unmoved = replace(config.augmentation, center_jitter_probability=0.0)  # every sample has its own jitter
    people = read_training_set(config.train, config.keypoint_set, size, config.codec, unmoved, seed)
    people = replace(people, augmentation=config.augmentation)
    config, _ = fit(config, len(people), 1)
    if len(people) < config.training.batch_size:
        raise UserError(
            f"{config.name}: {len(people)} people do not fill a step (set training.batch_size below "
            f"{config.training.batch_size})"
        )
    held_out = find_format(test.format).read_test(test, config.keypoint_set, size, Path(config.name)).records
    on_device = load_people(people, device, config.training.workers)
    teacher = None if config.distill is None else open_teacher(config, config.distill, device)
    return TimedRun(config, folder, people, on_device, held_out, teacher, device, started)


def first_state(run: TimedRun) -> tuple[TrainingState, str]:
    """Make the state before the first step, and describe where its weights are from."""
    config = run.config
    network = new_network(config.variant, config.outputs)
    started_from = f"random weights, seed {config.training.seed}"
    if config.load_from is not None:
        started_from = load_weights(network, Path(config.load_from), config.outputs)
    return new_state(network, config, run.device), started_from


def make_steps(run: TimedRun, state: TrainingState, stop: StopRequest, *, cuda_graphs: bool) -> int:
    """Make steps until the time is up or a signal arrives; return their number.

    Raises:
        UserError: The loss is not finite.
    """
    settings, progress = run.config.training, state.progress
    assert stop.deadline is not None
    batches = endless_batches(run)
    network = prepared(state.network, settings, Processes())
    if cuda_graphs:
        try:
            record_graphs(state.network, next(batches).images, settings)
        except RuntimeError as error:  # the log says so, and the network runs as it is
            log(run, note=f"without CUDA graphs: {str(error).splitlines()[0]}")
    began = logged_at = saved_at = monotonic()
    since: list[dict[str, float]] = []
    while not stop.wish:
        done = min(1.0, (monotonic() - began) / (stop.deadline - began))
        base, epochs = settings.optimizer.learning_rate, settings.epochs
        rate = learning_rate(settings.schedule, base, progress.iteration, done * epochs, epochs)
        try:
            since.append(optimizer_step(network, state, [next(batches)], settings, rate, Processes()))
        except NonFiniteLossError as error:
            wanted = "expected a finite number; try a lower training.optimizer.learning_rate"
            raise UserError(f"the loss is {error.value} in step {progress.iteration + 1} ({wanted})") from error
        progress.iteration += 1
        is_due = monotonic() - saved_at >= 60 * settings.snapshot_minutes
        if is_due or stop.wish or monotonic() - logged_at >= LOG_SECONDS:
            means = {name: sum(values[name] for values in since) / len(since) for name in since[0]}
            speed = settings.batch_size * len(since) / (monotonic() - logged_at)
            log(run, step=progress.iteration, samples_per_second=round(speed, 1), rate=rate, **means)
            since, logged_at = [], monotonic()
        if is_due:
            save(run, state)
            evaluate(run, state)
            saved_at = logged_at = monotonic()
    return progress.iteration


def endless_batches(run: TimedRun) -> Iterator[TensorBatch]:
    """Make batches on the device, epoch after epoch, mixed with the teacher's heatmaps if there is one."""
    settings = run.config.training
    generator = torch.Generator(run.device).manual_seed(settings.seed)
    for epoch in count():
        for indices in epoch_batches(len(run.people), settings.batch_size, settings.seed, epoch, Processes()):
            batch = make_device_batch(run.people, run.training_set, indices, generator)
            yield batch if run.teacher is None else distilled(batch, run.teacher)


def record_graphs(network: Network, images: Tensor, settings: TrainingConfig) -> None:
    """Let a network replay CUDA graphs of its passes, which save the time of starting a thousand small kernels.

    Args:
        network: Network in training mode; its evaluation mode stays as it is.
        images: uint8 (n, height, width, 3), samples on its device; later batches must have the same shape.
        settings: Precision and memory format.

    Raises:
        RuntimeError: This GPU or its PyTorch cannot record the network.
    """
    with autocast(images.device, settings, cache=False):
        torch.cuda.make_graphed_callables(network, (normalized(images, settings.channels_last),))


def save(run: TimedRun, state: TrainingState) -> None:
    """Write the weights in float16, in one step.

    Raises:
        UserError: The file cannot be written, or a weight is not a finite number.
    """
    path = run.folder / "weights.safetensors"
    if not state.is_finite():
        raise UserError(f"{path}: not written, since some weights are not finite (try a lower learning rate)")
    provenance = f"litehrnet {litehrnet.__version__}, recipe {run.config.name}, {state.progress.iteration} steps"
    save_network(path, state.evaluated, weights_info(run.config, provenance), half=True)


def evaluate(run: TimedRun, state: TrainingState) -> None:
    """Log PCK and the mean OKS of the held-out people."""
    assert run.config.validation is not None
    runtime = TorchRuntime(state.evaluated, weights_info(run.config), run.config.input_size_wh)
    found = predict_records(runtime, run.held_out, flip_test=run.config.validation.flip).keypoints
    oks = records_oks(run.held_out, found, run.config.keypoint_set.sigmas)
    log(run, step=state.progress.iteration, oks=round(oks, 4), pck=round(records_pck(run.held_out, found), 4))


def log(run: TimedRun, **values: Any) -> None:
    """Print a line of values, and append it to the log with the seconds since the start."""
    line = json.dumps({"seconds": round(monotonic() - run.started, 2), **values})
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    with (run.folder / "log.jsonl").open("a") as file:
        file.write(line + "\n")
