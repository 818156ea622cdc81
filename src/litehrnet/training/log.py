"""Log of a training run: files in the format of the reference implementation, and the terminal.

Names, fields and rounding of the log files: docs/spec/protocol.md, section 5.6.
"""

import contextlib
import datetime
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from litehrnet.errors import UserError
from litehrnet.training.best import best_by
from litehrnet.training.curves import draw_curves
from litehrnet.training.run import Run
from litehrnet.training.state import Progress, TrainingState


class RunLog:
    """Log of one run; only the first process writes and prints.

    ``<timestamp>.log`` holds text, ``<timestamp>.log.json`` one JSON object per line, ``tf_logs`` TensorBoard's events,
    ``curves.png`` a drawing of the run. A terminal shows the newest step in two live lines; elsewhere the lines of the
    text file are printed.

    Args:
        run: Run to log.
        progress: Progress at the start.

    Raises:
        UserError: A file cannot be written.
    """

    def __init__(self, run: Run, progress: Progress) -> None:
        self.run, self.writes = run, run.processes.is_first
        self.first_iteration, self.started = progress.iteration, time.monotonic()
        if not self.writes:
            return
        from torch.utils.tensorboard import SummaryWriter

        stamp = time.strftime("%Y%m%d_%H%M%S")
        with _writing(run.folder):
            self.text = (run.folder / f"{stamp}.log").open("a", encoding="utf-8")
            self.json = (run.folder / f"{stamp}.log.json").open("a", encoding="utf-8")
            # Drops events of an earlier process after its last checkpoint, so that none is shown twice.
            self.events = SummaryWriter(str(run.folder / "tf_logs"), purge_step=progress.iteration + 1)
        self.console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self.live = Live(console=self.console, transient=True, refresh_per_second=4)

    def start(self, header: dict[str, str], progress: Progress) -> None:
        """Write the first lines: the description of the run, and where it starts."""
        if not self.writes:
            return
        done = progress.samples_in_epoch // self.run.samples_per_step
        seed = self.run.config.training.seed
        self._write_json({"env_info": header, "seed": seed, "starts_after": [progress.epoch + 1, done]})
        for name, value in header.items():
            self.say(f"{name + ':':15}{value}")
        if self.console.is_terminal:
            self.live.start()

    def say(self, line: str, *, to_file_only: bool = False) -> None:
        """Write one line of text to the file and the terminal."""
        if not self.writes:
            return
        with _writing(self.run.folder):
            self.text.write(f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S} {line}\n")
            self.text.flush()
        if not to_file_only:
            with contextlib.suppress(OSError):  # a terminal or pipe that is gone ends no training
                self.console.print(line, markup=False)

    def step(self, state: TrainingState) -> None:
        """Log a step: update the live lines, and every ``log_every`` steps write a line of means.

        Args:
            state: State after the step; the sums of its progress are cleared when they are written.
        """
        progress = state.progress
        done = progress.samples_in_epoch // self.run.samples_per_step
        is_due = done % self.run.log_every == 0
        if self.writes:
            rate = state.optimizer.param_groups[0]["lr"]
            epochs, steps = self.run.config.training.epochs, self.run.steps_per_epoch
            place = f"epoch {progress.epoch + 1}/{epochs}", f"step {done}/{steps}", f"left {self._time_left(progress)}"
            words = _step_words(progress, rate, self.run.samples_per_step)
            if self.live.is_started:
                # The last step of an epoch is drawn at once: the next output would replace it before a refresh.
                self._show(_live_lines(place, "  ".join(words), done / steps), at_once=done == steps)
            if is_due:
                self._write_means(state, done)
                line = f"{' '.join(place[:2])}: {', '.join((*words, place[2]))}"
                self.say(line, to_file_only=self.live.is_started)
        if is_due:
            progress.sums.clear()

    def evaluating(self, samples: int) -> None:
        """Show that an evaluation begins, which may take long."""
        if self.writes and self.live.is_started:
            self._show(Text(f"evaluating on {samples} {self.run.task.samples} ..."), at_once=True)

    def evaluation(self, metrics: dict[str, float], state: TrainingState, how: str, is_best: bool) -> None:
        """Log the values of an evaluation, and how it was made, such as where boxes came from."""
        config, epoch = self.run.config, state.progress.epoch + 1
        assert config.validation is not None
        rate = state.optimizer.param_groups[0]["lr"]
        line = {"mode": "val", "epoch": epoch, "iter": self.run.steps_per_epoch, "lr": rate}
        self._write_json(line | metrics)
        for name, value in metrics.items():
            self._event(f"val/{name}", value, state.progress.iteration)
        first = best_by(config, config.validation)
        others = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items() if name != first)
        note = " (best so far)" if is_best else ""
        self.say(f"epoch {epoch} evaluated: {first} {metrics[first]:.4f}{note}; {how}")
        self.say(f"    {others}")
        self._draw()

    def end(self, outcome: str) -> None:
        """Write the last line, and draw the steps since the last evaluation into ``curves.png``."""
        if self.writes and self.is_newer_than_curves:
            self._draw()
        self.say(outcome)

    def close(self) -> None:
        """Close the files; errors are ignored, since this may follow another error."""
        if self.writes:
            with contextlib.suppress(OSError):
                self.live.stop()
            for file in (self.text, self.json, self.events):
                with contextlib.suppress(OSError):
                    file.close()

    def _show(self, lines: RenderableType, *, at_once: bool) -> None:
        with contextlib.suppress(OSError):
            self.live.update(lines, refresh=at_once)

    def _draw(self) -> None:
        validation = self.run.config.validation
        figure_name = best_by(self.run.config, validation) if validation and self.run.test_set else None
        draw_curves(self.run.folder, figure_name, self.run.steps_per_epoch)
        self.is_newer_than_curves = False

    def _time_left(self, progress: Progress) -> str:
        """Estimate by the pace since this process started, evaluations included."""
        left = self.run.config.training.epochs * self.run.steps_per_epoch - progress.iteration
        pace = (time.monotonic() - self.started) / (progress.iteration - self.first_iteration)
        return clock(max(0, left) * pace)

    def _write_means(self, state: TrainingState, done: int) -> None:
        progress, group = state.progress, state.optimizer.param_groups[0]
        means = {name: total / progress.sums["iterations"] for name, total in progress.sums.items()}
        measured = {name: mean for name, mean in means.items() if name not in ("iterations", "data_time", "time")}
        measured["loss"] = sum(value for name, value in measured.items() if name.endswith("_loss"))
        line: dict[str, Any] = {"mode": "train", "epoch": progress.epoch + 1, "iter": done, "lr": group["lr"]}
        if torch.cuda.is_available():
            line["memory"] = torch.cuda.max_memory_allocated() // 2**20
        self._write_json(line | {"data_time": means["data_time"], **measured, "time": means["time"]})
        for name, value in measured.items():
            self._event(f"train/{name}", value, progress.iteration)
        self._event("learning_rate", group["lr"], progress.iteration)
        self._event("momentum", group["momentum"] if "momentum" in group else group["betas"][0], progress.iteration)

    def _write_json(self, line: dict[str, Any]) -> None:
        rounded = {name: round(v, 5) if isinstance(v, float) else v for name, v in line.items()}
        with _writing(self.run.folder):
            self.json.write(json.dumps(rounded) + "\n")
            self.json.flush()
        self.is_newer_than_curves = True

    def _event(self, tag: str, value: float, iteration: int) -> None:
        with _writing(self.run.folder):
            self.events.add_scalar(tag, value, iteration)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{folder}: the log cannot be written ({error.strerror or error})") from error


def _step_words(progress: Progress, rate: float, samples_per_step: int) -> tuple[str, ...]:
    """Means since the last line of the log."""
    sums = progress.sums
    count, seconds = sums["iterations"], sums["time"]
    loss = sum(value for name, value in sums.items() if name.endswith("_loss")) / count
    accuracy = sum(value for name, value in sums.items() if name.startswith("acc_")) / count
    return (
        f"loss {loss:.6f}",
        f"accuracy {accuracy:.3f}",
        f"lr {rate:.2e}",
        f"{count * samples_per_step / seconds:.1f} samples/s",
        f"data wait {100 * sums['data_time'] / seconds:.0f} %",
    )


def _live_lines(place: tuple[str, str, str], words: str, share: float) -> RenderableType:
    """Make two lines, each less than 80 columns wide."""
    top = Table.grid(padding=(0, 2, 0, 0))
    top.add_row(place[0], ProgressBar(total=1.0, completed=share, width=24), *place[1:])
    return Group(top, Text(words, no_wrap=True, overflow="ellipsis"))


def clock(seconds: float) -> str:
    """Format seconds as hours, minutes and seconds, such as ``26:03:04``."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
