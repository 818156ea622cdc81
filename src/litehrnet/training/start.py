"""Start of a training run: data, network, initial weights, and the description of the run."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from litehrnet.config.fitting import fit
from litehrnet.config.schema import RunConfig
from litehrnet.config.write import differences, recipe_text
from litehrnet.data.photos import broken_photos
from litehrnet.data.settings import EvalConfig
from litehrnet.errors import UserError
from litehrnet.io.files import make_folder, remove_leftovers, write_bytes
from litehrnet.keypoints.sides import mirroring_text
from litehrnet.models.checkpoint import read_contents
from litehrnet.models.weights import new_network
from litehrnet.optional import require
from litehrnet.poses import KeypointSet
from litehrnet.processors import default_threads
from litehrnet.training.best import best_by, check_metrics, read_best
from litehrnet.training.checkpoints import LATEST, newest_checkpoint, set_aside
from litehrnet.training.distill import open_teacher
from litehrnet.training.distributed import Launcher, Processes, alone_note, highest_of, joined, own_device
from litehrnet.training.fast.kernels import instruction_set
from litehrnet.training.initial_weights import load_weights
from litehrnet.training.loader import TrainingSamples
from litehrnet.training.log import RunLog, clock
from litehrnet.training.loop import is_finished, train
from litehrnet.training.memory import keep_freed_memory
from litehrnet.training.run import Run
from litehrnet.training.signals import stop_on_signals
from litehrnet.training.state import TrainingState, new_state, resume
from litehrnet.training.steps import uses_kernels
from litehrnet.training.task import TASKS, EvalSamples
from litehrnet.variants import DYNAMIC, find_variant
from litehrnet.weights.weights_file import outputs_text

PUBLISHED_PROCESSES = 8
"""Number of processes of the paper, for which its learning rate was chosen."""


@dataclass(frozen=True)
class RunEnd:
    """End of a run.

    Attributes:
        is_finished: Whether all epochs are done; otherwise the run can be resumed.
        exit_code: 0 for a finished run, or one whose time was up; otherwise 128 plus the number of the signal that
            stopped it. It is the same in all processes.
        folder: Folder of the run's files.
    """

    is_finished: bool
    exit_code: int
    folder: Path


def run_training(
    config: RunConfig,
    recipe: RunConfig,
    launcher: Launcher = "none",
    notes: tuple[str, ...] = (),
    device: str | None = None,
    max_minutes: float | None = None,
) -> RunEnd:
    """Train by a configuration.

    Args:
        config: All settings.
        recipe: Settings without overrides, to report what was overridden.
        launcher: Launcher that started this process.
        notes: Notes to print first.
        device: Device such as ``cpu`` or ``cuda:1``; None for this process's GPU, or the CPU without GPUs.
        max_minutes: Time limit in minutes, after which the run stops as after a signal; None for no limit.

    Raises:
        UserError: The configuration or the data cannot be used.
    """
    keep_freed_memory()
    torch.set_num_threads(min(torch.get_num_threads(), default_threads()))  # PyTorch does not know of CPU quotas
    with joined(launcher, device) as processes, stop_on_signals(max_minutes) as stop:
        run = prepare(config, recipe, processes, own_device(processes, device))
        state, started_from, resumed = starting_state(run)
        check_agreement(run, state)
        alone = alone_note(launcher, os.environ)
        notes = (*notes, *([alone] if alone else []), *make_ready(run, resumed))
        log = RunLog(run, state.progress)
        try:
            for note in notes:
                log.say(note)
            fitted_recipe, _ = fit(recipe, len(run.training_set), processes.world_size)
            log.start(header(run, fitted_recipe, started_from), state.progress)
            train(run, state, log, stop)
            log.end(outcome(run, state))
        finally:
            log.close()
        finished = is_finished(run, state.progress)
        return RunEnd(finished, 0 if finished else stop.exit_code, run.folder)


def prepare(config: RunConfig, recipe: RunConfig, processes: Processes, device: torch.device) -> Run:
    """Read and check everything that a run needs, before anything is written; errors as in ``run_training``."""
    settings = config.training
    if not config.train:
        raise UserError(f"{config.name}: has no data to train on (expected train = (dict(format=..., ...),))")
    for package in ("tensorboard", "matplotlib"):
        require(package, "train", "the log of a training")
    torch.manual_seed(settings.seed)
    if settings.deterministic != torch.are_deterministic_algorithms_enabled():  # reading is free, setting takes seconds
        torch.use_deterministic_algorithms(settings.deterministic)
    torch.backends.cudnn.benchmark = not settings.deterministic
    if uses_kernels(settings, device):
        instruction_set()  # one that this machine does not have is refused before anything is written
    task = TASKS[config.task]
    training_set = task.read(config)
    if settings.skip_broken_photos:
        training_set = with_broken_photos(training_set, config)
    test_set = None
    if config.validation is not None and settings.evaluate_every > 0:
        best_by(config, config.validation)
        test_set = rehearsed(task.read_test(config), config, config.validation)
    teacher = None if config.distill is None else open_teacher(config, config.distill, device)
    folder = Path(config.work_dir or f"work_dirs/{config.name}")
    config, fitted = fit(config, len(training_set), processes.world_size)
    recipe, _ = fit(recipe, len(training_set), processes.world_size)
    text = recipe_text(config, differences(config, recipe))
    run = Run(task, config, text, folder, training_set, test_set, teacher, processes, device, fitted)
    if run.steps_per_epoch == 0:
        raise UserError(
            f"{config.name}: {len(training_set)} {task.samples} do not fill a step of {run.samples_per_step} samples "
            "(set training.batch_size or training.accumulate lower)"
        )
    if config.training.batch_size < 2 and find_variant(config.variant).unit is DYNAMIC:
        raise UserError(
            f"{config.name}: training.batch_size is 1, but {config.variant} normalizes single numbers over the batch "
            "(expected 2 or more)"
        )
    return run


def with_broken_photos(samples: TrainingSamples, config: RunConfig) -> TrainingSamples:
    """Note which photos training will leave out.

    Raises:
        UserError: All photos are missing or broken.
    """
    photos = ((each.image_file, each.image_wh) for each in samples.records)
    sentence, all_broken = broken_photos(photos, ", ".join(data.annotations for data in config.train))
    if all_broken:
        raise UserError(str(sentence))
    return replace(samples, broken=sentence)


def rehearsed(test_set: EvalSamples, config: RunConfig, test: EvalConfig) -> EvalSamples:
    """Return the samples of an evaluation after it was tried, so that no run ends at its first evaluation.

    Raises:
        UserError: The annotations or a package cannot be used for the metric.
    """
    try:
        check_metrics(config, test, test_set.rehearse())
    except ImportError as error:
        needed = "expected pip install 'litehrnet[train]'"
        raise UserError(f"{test.annotations}: cannot be evaluated ({error}; {needed})") from error
    return test_set


def make_ready(run: Run, resumed: bool) -> list[str]:
    """Make the run's folder, clean up files of an earlier run, and write the configuration.

    Returns:
        Notes to print.

    Raises:
        UserError: The folder cannot be written to.
    """
    if not run.processes.is_first:
        return []
    remove_leftovers(make_folder(run.folder))
    note = None if resumed else set_aside(run.folder)
    read_best(run.folder)  # reports a broken file now, not after hours
    write_bytes(run.folder / "config.py", run.config_text.encode())
    return [note] if note else []


def starting_state(run: Run) -> tuple[TrainingState, str, bool]:
    """Make the state from which training continues, with a description of its origin and whether a run resumes.

    Raises:
        UserError: A checkpoint or weights file cannot be used.
    """
    config = run.config
    network = new_network(config.variant, config.outputs)
    source = resume_path(run)
    started_from = f"random weights, seed {config.training.seed}"
    if source is None and config.load_from is not None:
        started_from = load_weights(network, Path(config.load_from), config.outputs)
    if config.training.sync_batch_norm:
        from litehrnet.models import sync_batch_norm

        sync_batch_norm.convert(network)
    state = new_state(network, config, run.device)
    if source is not None:
        resume(state, read_contents(source), source)
        started_from = f"{source}, epoch {state.progress.epoch + 1}, iteration {state.progress.iteration + 1}"
    return state, started_from, source is not None


def check_agreement(run: Run, state: TrainingState) -> None:
    """Check that all processes have the same data and state; otherwise they would wait for each other forever.

    Raises:
        UserError: The processes have different data or checkpoints.
    """
    for what, own in ((run.task.samples, len(run.training_set)), ("iterations", state.progress.iteration)):
        lowest, highest = (sign * highest_of(sign * own, run.processes, run.device) for sign in (-1, 1))
        if lowest != highest:
            raise UserError(
                f"{run.folder}: the processes have {lowest} to {highest} {what} to start from (expected the same files "
                "on every machine, the folder of the run included)"
            )


def resume_path(run: Run) -> Path | None:
    """Find the checkpoint to resume from.

    ``latest`` is the newest checkpoint of the run's folder, if there is one. Processes that torchrun has restarted use
    it as well.

    Raises:
        UserError: The checkpoint does not exist.
    """
    wanted = run.config.resume_from
    restarted = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    if wanted == "latest":
        return newest_checkpoint(run.folder)
    if restarted and (latest := newest_checkpoint(run.folder)):
        return latest
    if wanted is None:
        return None
    if not Path(wanted).is_file():
        raise UserError(f"{wanted}: no such checkpoint (expected a .pth file of a run, or latest)")
    return Path(wanted)


def scaled_learning_rate(config: RunConfig, processes: Processes) -> RunConfig:
    """Multiply the learning rate by the number of processes divided by eight, the number in the paper."""
    optimizer = config.training.optimizer
    rate = optimizer.learning_rate * processes.world_size / PUBLISHED_PROCESSES
    return replace(config, training=replace(config.training, optimizer=replace(optimizer, learning_rate=rate)))


def header(run: Run, recipe: RunConfig, started_from: str) -> dict[str, str]:
    """Describe a run: lines of text by name."""
    config, settings = run.config, run.config.training
    where = f"{run.device.type}, {torch.get_num_threads()} threads" if run.device.type == "cpu" else _gpu(run.device)
    steps = f"kernels for {instruction_set()}" if uses_kernels(settings, run.device) else "PyTorch"
    validation = f"every {settings.evaluate_every} epochs, {run.test_set.how}" if run.test_set else "none"
    width, height = config.input_size_wh
    data = f"{len(run.training_set)} {run.task.samples}"
    batch = f"{settings.batch_size} x {settings.accumulate} accumulated x {run.processes.world_size} processes"
    return {
        "run": f"{config.name} in {run.folder}",
        "network": f"{config.variant}, {outputs_text(config.outputs)}, input {width}x{height} (width x height)",
        "device": f"{where}, PyTorch {torch.__version__}",
        "steps by": steps,
        "precision": settings.precision,
        "processes": str(run.processes.world_size),
        "data": f"{data}, {run.steps_per_epoch} steps per epoch, {settings.epochs} epochs",
        **({"left out": run.training_set.broken} if run.training_set.broken else {}),
        "batch": f"{run.samples_per_step} samples per step ({batch})",
        "schedule": schedule_text(run),
        **({"chosen": f"{run.fitted} (by the number of samples, as the recipe leaves them out)"} if run.fitted else {}),
        "learning rate": f"{_rate_text(config, recipe)}, {settings.schedule.kind} schedule",
        **({"mirroring": mirroring_text(config.outputs)} if isinstance(config.outputs, KeypointSet) else {}),
        **({"teacher": run.teacher.description} if run.teacher else {}),
        "evaluation": validation,
        "start": started_from,
        "changes": "; ".join(differences(config, recipe)) or "none against the recipe",
    }


def schedule_text(run: Run) -> str:
    """Describe the length of a run, its warm-up and when it stops early; warn of a warm-up that is too long."""
    settings = run.config.training
    warmup, steps = settings.schedule.warmup_iterations, settings.epochs * run.steps_per_epoch
    text = f"{steps} steps in {settings.epochs} epochs, warm-up of {warmup} steps"
    if warmup * 10 > steps:
        text += f" (more than a tenth: try training.schedule.warmup_iterations={steps // 10})"
    if settings.stop_after is not None and run.test_set is not None:
        text += f", stops after {settings.stop_after} evaluations without improvement"
    return text


def _rate_text(config: RunConfig, recipe: RunConfig) -> str:
    optimizer, as_written = config.training.optimizer, recipe.training.optimizer.learning_rate
    text = f"{optimizer.kind} {optimizer.learning_rate:g}"
    if optimizer.learning_rate == as_written:
        return f"{text} as in the recipe, not scaled"
    return f"{text}, {optimizer.learning_rate / as_written:g} of the recipe's {as_written:g}"


def outcome(run: Run, state: TrainingState) -> str:
    """Describe the end of a run."""
    progress, epochs = state.progress, run.config.training.epochs
    trained = f"{progress.iteration} iterations, {clock(progress.seconds)} of training"
    if not is_finished(run, progress):
        resume = f"resume with --resume-from {run.folder / LATEST}"
        return f"stopped in epoch {progress.epoch + 1} of {epochs} after {trained}; {resume}"
    files = [path for path in (run.folder / "last.safetensors", run.folder / "best.safetensors") if path.exists()]
    length = f"{epochs} epochs"
    if progress.epoch < epochs and (best := read_best(run.folder)):  # which only the first process has
        length = f"{progress.epoch} of {epochs} epochs, without improvement after epoch {best[1]}"
    return f"done: {length}, {trained}; weights: {', '.join(map(str, files))}"


def _gpu(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})"
