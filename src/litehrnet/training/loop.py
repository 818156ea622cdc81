"""The training loop: read it from top to bottom.

Loss, accuracy, optimizer and schedule are those of docs/spec/protocol.md, sections 3.1 to 3.4. Files are those of
docs/spec/protocol.md, section 5.6.
"""

import time
from collections.abc import Iterator
from itertools import islice

from litehrnet.errors import UserError
from litehrnet.io.files import write_bytes
from litehrnet.training.best import has_stalled, keep_if_best, write_weights_file
from litehrnet.training.checkpoints import LATEST, SNAPSHOT, save_checkpoint
from litehrnet.training.distill import distilled
from litehrnet.training.distributed import gather, highest_of, mean_of
from litehrnet.training.loader import TensorBatch, epoch_batches, load_batches
from litehrnet.training.log import RunLog
from litehrnet.training.run import Run
from litehrnet.training.schedule import learning_rate
from litehrnet.training.signals import StopRequest
from litehrnet.training.state import Progress, TrainingState, checkpoint_of
from litehrnet.training.steps import NonFiniteLossError, optimizer_step, prepared

NAMED = 10
"""Broken photos that a line of the log names."""


def train(run: Run, state: TrainingState, log: RunLog, stop: StopRequest) -> None:
    """Train from ``state`` to the last epoch, until nothing improves, or until a stop is requested.

    All three end with a checkpoint, and so do errors of data and files. A run that was stopped and resumed gives the
    same weights, bit for bit on a CPU, as an uninterrupted run.

    Raises:
        UserError: A photo is broken, a loading process has ended, the loss is not finite, or a file cannot be written.
    """
    try:
        _train(run, state, log, stop)
    except NonFiniteLossError as error:
        raise UserError(_not_finite(run, state, error)) from error
    except UserError as error:
        # It comes from between two steps, so the state is whole.
        how = rescued(run, state)
        if how is None:
            earlier = f": {LATEST} is an earlier one" if (run.folder / LATEST).exists() else ""
            raise UserError(f"{error}; no state of this step could be saved{earlier}") from error
        if stop.exit_code == 0:  # a signal also ends the loading processes, which is not an error then
            raise UserError(f"{error}; {how}") from error


def _train(run: Run, state: TrainingState, log: RunLog, stop: StopRequest) -> None:
    settings, progress = run.config.training, state.progress
    network = prepared(state.network, settings, run.processes)
    saved_at = time.monotonic()
    broken: dict[str, None] = {}
    while not is_finished(run, progress) and not is_stopping(run, stop):
        for batches, waited in remaining_steps(run, state):
            started = time.monotonic()
            values = optimizer_step(network, state, batches, settings, current_rate(run, state), run.processes)
            count_step(run, state, values, waited=waited, took=waited + time.monotonic() - started)
            log.step(state)
            broken.update(dict.fromkeys(fault for batch in batches for fault in batch.faults))
            if is_stopping(run, stop):
                break
            if time.monotonic() - saved_at > 60 * settings.snapshot_minutes:
                save(run, state, SNAPSHOT)
                saved_at = time.monotonic()
        else:
            say_broken(run, progress.epoch, list(broken), log)
            broken.clear()
            evaluate_and_keep(run, state, log)
            progress.epoch, progress.samples_in_epoch = progress.epoch + 1, 0
            progress.sums.clear()
            if is_finished(run, progress) or progress.epoch % settings.save_every == 0:
                save(run, state, f"epoch_{progress.epoch}.pth")
                saved_at = time.monotonic()
    if not is_finished(run, progress):
        save(run, state, SNAPSHOT)
    elif run.processes.is_first:
        write_weights_file(run.folder / "last.safetensors", state.evaluated, run.config, progress)


def say_broken(run: Run, epoch: int, own: list[str], log: RunLog) -> None:
    """Count the broken photos that an epoch left out, in all processes together, and name the first ones."""
    if not run.config.training.skip_broken_photos:
        return
    parts = gather(own, run.processes)
    found = list(dict.fromkeys(fault for part in parts or [] for fault in part))
    if found:
        named = "; ".join(found[:NAMED]) + ("; ..." if len(found) > NAMED else "")
        log.say(f"epoch {epoch + 1} left out {len(found)} broken photos: {named}")


def rescued(run: Run, state: TrainingState) -> str | None:
    """Write a checkpoint after an error; return how to resume the run, or None if the disk does not allow it."""
    try:
        save(run, state, SNAPSHOT)
    except UserError:
        return None
    return f"saved after iteration {state.progress.iteration}: resume with --resume-from {run.folder / LATEST}"


def is_finished(run: Run, progress: Progress) -> bool:
    """Whether all epochs are done, or the last ``stop_after`` evaluations did not improve; all processes agree."""
    settings = run.config.training
    if progress.epoch >= settings.epochs:
        return True
    if settings.stop_after is None or run.test_set is None:
        return False
    # Only the first process has best.json.
    stalled = run.processes.is_first and has_stalled(
        run.folder, progress.epoch, settings.evaluate_every, settings.stop_after
    )
    return highest_of(int(stalled), run.processes, run.device) > 0


def is_stopping(run: Run, stop: StopRequest) -> bool:
    """Whether any process was asked to stop; all processes stop at the same step, with the same exit code."""
    # A signal may arrive at any moment, so only the value that the processes have agreed on counts.
    agreed = highest_of(stop.wish, run.processes, run.device)
    if agreed > 1:
        stop.exit_code = agreed
    return agreed > 0


def remaining_steps(run: Run, state: TrainingState) -> Iterator[tuple[list[TensorBatch], float]]:
    """Load the batches of every remaining step of the epoch, with the seconds waited for them.

    A run that resumes with another step size repeats the step that was interrupted: some samples may be used twice, but
    none is left out.
    """
    settings, epoch = run.config.training, state.progress.epoch
    batches = epoch_batches(len(run.training_set), settings.batch_size, settings.seed, epoch, run.processes)
    done = state.progress.samples_in_epoch // run.samples_per_step
    batches = batches[done * settings.accumulate : run.steps_per_epoch * settings.accumulate]
    pin = run.device.type == "cuda"
    skip = settings.skip_broken_photos
    loaded = load_batches(run.training_set, epoch, batches, workers=settings.workers, pin_memory=pin, skip_broken=skip)
    for _ in range(done, run.steps_per_epoch):
        started = time.monotonic()
        step = loaded_together(loaded, run)
        if run.teacher is not None:
            step = [distilled(batch, run.teacher) for batch in step]
        yield step, time.monotonic() - started


def loaded_together(loaded: Iterator[TensorBatch], run: Run) -> list[TensorBatch]:
    """Take the batches of a step; if one process has none, no process makes the step.

    Raises:
        UserError: This process cannot load its batches, or another one cannot.
    """
    fault: UserError | None = None
    step: list[TensorBatch] = []
    try:
        step = list(islice(loaded, run.config.training.accumulate))
    except UserError as error:
        fault = error
    failed = highest_of(int(fault is not None), run.processes, run.device)
    if fault is not None:
        raise fault
    if failed:
        own = f"process {run.processes.rank} of {run.processes.world_size}"
        raise UserError(f"{own}: another process cannot load its samples, see its error")
    return step


def current_rate(run: Run, state: TrainingState) -> float:
    """Learning rate of the next step."""
    settings, progress = run.config.training, state.progress
    done = progress.epoch + progress.samples_in_epoch / (run.steps_per_epoch * run.samples_per_step)
    return learning_rate(settings.schedule, settings.optimizer.learning_rate, progress.iteration, done, settings.epochs)


def count_step(run: Run, state: TrainingState, values: dict[str, float], *, waited: float, took: float) -> None:
    """Add a step to the progress; losses are averaged over the processes, the accuracy is that of this process."""
    progress = state.progress
    for name, value in {**values, "data_time": waited, "time": took}.items():
        mean = mean_of(value, run.processes, run.device) if name.endswith("_loss") else value
        progress.sums[name] = progress.sums.get(name, 0.0) + mean
    progress.sums["iterations"] = progress.sums.get("iterations", 0.0) + 1
    progress.iteration += 1
    progress.samples_in_epoch += run.samples_per_step
    progress.seconds += took


def evaluate_and_keep(run: Run, state: TrainingState, log: RunLog) -> None:
    """Evaluate at the end of an epoch if it is due, log, and write the weights if they are the best so far."""
    epoch = state.progress.epoch + 1
    settings = run.config.training
    if run.test_set is None or (epoch % settings.evaluate_every and epoch != settings.epochs):
        return
    # Evaluating may take long: a run that is killed meanwhile resumes here.
    save(run, state, SNAPSHOT)
    log.evaluating(run.test_set.count)
    evaluation = run.test_set.evaluate(state.evaluated, run.config, run.processes)
    if evaluation is None:
        return
    for name, content in evaluation.files.items():
        write_bytes(run.folder / name, content)
    is_best = keep_if_best(run.folder, state, run.config, evaluation.metrics, epoch)
    log.evaluation(evaluation.metrics, state, run.test_set.how, is_best)


def save(run: Run, state: TrainingState, name: str) -> None:
    """Write a checkpoint, in the first process.

    Raises:
        UserError: The file cannot be written, or a weight is not a finite number.
    """
    if not run.processes.is_first:
        return
    progress = state.progress
    if not state.is_finite():
        raise UserError(
            f"{run.folder / name}: not written, since some weights are not finite after iteration {progress.iteration} "
            "(try a lower training.optimizer.learning_rate)"
        )
    save_checkpoint(run.folder, name, checkpoint_of(state, run.config_text, run.config.training.seed))


def _not_finite(run: Run, state: TrainingState, error: NonFiniteLossError) -> str:
    records = [run.training_set.records[index] for index in error.indices]
    samples = ", ".join(f"{index} ({r.image_file.name})" for index, r in zip(error.indices, records, strict=True))
    return (
        f"the loss is {error.value} in epoch {state.progress.epoch + 1}, iteration {state.progress.iteration + 1} "
        f"(expected a finite number; try a lower training.optimizer.learning_rate); samples of the batch: {samples}"
    )
