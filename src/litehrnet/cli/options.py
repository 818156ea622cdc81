"""Options and output that several commands share."""

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from litehrnet.errors import UserError

if TYPE_CHECKING:
    from litehrnet.drawing.skeletons import DrawStyle
    from litehrnet.inference.estimator import PoseEstimator
    from litehrnet.io.progress import Progress
    from litehrnet.runtimes import Runtime


_Number = TypeVar("_Number", int, float)

WHOLE_PICTURE = "no detector: each picture is taken as a crop of one person"


def add_runtime_options(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options that ``runtime_arguments`` reads."""
    parser.add_argument(
        "--runtime", help="native, numpy, onnxruntime, openvino, litert or torch (default: by the file)"
    )
    parser.add_argument(
        "--threads", type=positive_int, metavar="N", help="CPU threads (default: all that the process may use)"
    )
    parser.add_argument(
        "--precision",
        default="float32",
        help="float32, bf16 (native, torch) or fp16 (torch on a GPU) (default: float32)",
    )
    parser.add_argument("--device", default="cpu", help="torch only: cpu, cuda, cuda:1, ... (default: cpu)")
    parser.add_argument("--compile", action="store_true", help="torch only: use torch.compile")
    add_input_size(parser)


def runtime_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of ``add_runtime_options`` as arguments of ``open_runtime``.

    Raises:
        UserError: The networks do not support this input size.
    """
    return {
        "runtime": options.runtime,
        "input_size_wh": input_size(options),
        "threads": options.threads,
        "precision": options.precision,
        "device": options.device,
        "compiled": options.compile,
    }


def local_weights(given: str) -> Path:
    """Return the weights that a command names, after downloading those of an address ``hf://...``.

    Raises:
        UserError: The address is not one of weights, or the download fails.
    """
    from litehrnet.weights.hub import HUB, fetch_pretrained

    return Path(fetch_pretrained(given) if given.startswith(HUB) else given)


def pose_estimator(options: argparse.Namespace, runtime: "Runtime", *, with_detector: bool) -> "PoseEstimator":
    """Make the estimator that the options of ``litehrnet predict`` describe, and print its runtime.

    ``with_detector`` detects people if the options name no other way to find them. Errors as in ``PoseEstimator``.
    """
    from litehrnet.inference.estimator import PoseEstimator

    estimator = PoseEstimator(
        runtime,
        flip_test=options.flip,
        threads=options.threads,
        detector=options.detector,
        whole_image=options.whole_image or not with_detector,
        min_box_score=options.min_box_score if with_detector else None,
        max_persons=options.max_persons,
    )
    say(f"runtime: {estimator.runtime.description}, input {size_text(estimator.runtime.input_size_wh)}")
    return estimator


def say_people(options: argparse.Namespace, estimator: "PoseEstimator", without: str = WHOLE_PICTURE) -> None:
    """Print how the estimator of ``pose_estimator`` finds people; ``without`` is the sentence without a detector."""
    if estimator.detector is not None:
        say(f"detector: {getattr(estimator.detector, 'description', 'your own')}")
    elif options.whole_image:
        say(without)
    else:
        keypoints = estimator.runtime.info.keypoint_set.name
        boxes = ", or --boxes" if "boxes" in options else ""
        say(
            f"no detector: each picture is one object's box (the bundled detector finds people, and these weights find "
            f"the keypoints {keypoints}; use --detector with a detector that you trained{boxes})"
        )


def check_people_options(options: argparse.Namespace, *names: str) -> None:
    """Refuse options that contradict each other: at most one of ``names`` is allowed, such as ``whole-image``.

    Raises:
        UserError: Two of them are given, or a box score without boxes.
    """
    given = [f"--{name}" for name in names if getattr(options, name.replace("-", "_"))]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)}: both state where the people are (expected one of them)")
    if options.whole_image and options.min_box_score is not None:
        raise UserError(
            "--min-box-score: does not work with --whole-image, which uses no boxes (expected one of the two)"
        )


def drawing_style(options: argparse.Namespace) -> "DrawStyle":
    """Return the drawing style that the options of ``litehrnet predict`` describe."""
    from litehrnet.drawing.skeletons import HIDDEN_SCORE, DrawStyle

    hidden = HIDDEN_SCORE if options.min_keypoint_score is None else options.min_keypoint_score
    if options.colors is None:
        return DrawStyle(hidden_score=hidden, line_width=options.line_width)
    left, right, center = options.colors
    return DrawStyle(hidden_score=hidden, line_width=options.line_width, left=left, right=right, center=center)


def add_input_size(parser: argparse.ArgumentParser) -> None:
    """Add ``--input-size W H``."""
    parser.add_argument(
        "--input-size",
        type=positive_int,
        nargs=2,
        metavar=("W", "H"),
        help="width and height of the crops, if the weights do not state it (default: 192 256)",
    )


def input_size(options: argparse.Namespace) -> tuple[int, int] | None:
    """Return (width, height) from ``--input-size``; None if it is not given.

    Raises:
        UserError: The networks do not support this input size.
    """
    from litehrnet.variants import check_input_size

    if options.input_size is None:
        return None
    width, height = options.input_size
    check_input_size(width, height)
    return width, height


def positive_int(text: str) -> int:
    """Parse a whole number above 0, for argparse."""
    return _within(int(text), int(text) > 0, "above 0")


def positive_float(text: str) -> float:
    """Parse a number above 0, for argparse."""
    return _within(float(text), 0 < float(text) < float("inf"), "a number above 0")


def score(text: str) -> float:
    """Parse a number from 0 to 1, for argparse."""
    return _within(float(text), 0 <= float(text) <= 1, "a score from 0 to 1")


def seconds(text: str) -> float:
    """Parse a time for argparse as FFmpeg does: seconds, mm:ss or h:mm:ss, perhaps with decimals; 0 or more."""
    parts = re.fullmatch(r"(?:(\d+):)?([0-5]?\d):([0-5]?\d(?:\.\d+)?)", text)
    if parts is None:
        return _within(float(text), 0 <= float(text) < float("inf"), "a number of seconds, 0 or more")
    hours, minutes, rest = parts.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes) + float(rest)


def _within(value: _Number, fits: bool, wanted: str) -> _Number:
    if not fits:
        raise argparse.ArgumentTypeError(f"{value:g} is not {wanted}")
    return value


def rgb_color(text: str) -> tuple[int, int, int]:
    """Parse a color such as ff8c00, with or without #, for argparse."""
    digits = text.removeprefix("#")
    if len(digits) != 6 or set(digits.lower()) - set("0123456789abcdef"):
        raise argparse.ArgumentTypeError(f"{text} is not a color (expected six hexadecimal digits, such as ff8c00)")
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator["Progress"]:
    """Show a bar with speed and remaining time on the error stream, if it is a terminal."""
    from rich import progress
    from rich.console import Console
    from rich.text import Text

    class Speed(progress.ProgressColumn):
        def render(self, task: progress.Task) -> Text:
            return Text("" if task.speed is None else f"{task.speed:.1f}/s")

    columns = [progress.TextColumn("{task.description}"), progress.BarColumn(), progress.MofNCompleteColumn(), Speed()]
    times: list[Any] = [progress.TimeElapsedColumn(), progress.TextColumn("left"), progress.TimeRemainingColumn()]
    console = Console(stderr=True)
    with progress.Progress(*columns, *times, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(label, total=None, visible=False)

        class Bar:
            def start(self, total: int | None) -> None:
                bar.reset(task, total=total, visible=True)

            def advance(self, count: int) -> None:
                bar.advance(task, count)

        yield Bar()


def say(text: str) -> None:
    """Print one line; characters that the output cannot show, as in some file names, are escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def say_aligned(rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> None:
    """Print rows in columns; those with the indices ``numbers`` are right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [f"{text:{'>' if i in numbers else '<'}{widths[i]}}" for i, text in enumerate(row)]
        say("  ".join(cells).rstrip())


def few(names: Sequence[str], most: int = 10) -> str:
    """Join the first names, and count the others."""
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def size_text(size_wh: tuple[int, int]) -> str:
    """Format (192, 256) as ``192x256 (width x height)``."""
    return f"{size_wh[0]}x{size_wh[1]} (width x height)"


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        default=[],
        metavar="a.b=c",
        help="settings that replace those of the configuration, under its own names",
    )


def add_command(commands: Any, name: str, summary: str) -> argparse.ArgumentParser:
    """Add a command to argparse's ``commands``, with its summary as help and, as a sentence, as description."""
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
    )
    return command


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the arguments ``config`` and ``overrides``."""
    parser.add_argument("config", help="a recipe by file or name, or an mmpose config")
    parser.add_argument(
        "overrides", nargs="*", metavar="a.b=c", help="settings that replace those of the configuration"
    )


def add_launcher_options(parser: argparse.ArgumentParser) -> None:
    """Add mmpose's options ``--cfg-options``, ``--launcher`` and ``--local_rank``."""
    add_cfg_options(parser)
    launchers = ("none", "pytorch", "slurm", "mpi")
    parser.add_argument("--launcher", choices=launchers, default="none", help="process launcher")
    # Newer torch launchers use a hyphen, or only set the environment variable.
    parser.add_argument("--local_rank", "--local-rank", type=int, metavar="R", help="set by older launchers")


def pass_on_local_rank(options: argparse.Namespace) -> None:
    """Set the environment variable ``LOCAL_RANK`` to ``--local_rank``, unless it is set already."""
    if options.local_rank is not None:
        os.environ.setdefault("LOCAL_RANK", str(options.local_rank))


def note(text: str) -> None:
    """Print a note about a setting that is interpreted differently from how it was written."""
    sys.stderr.write(f"note: {text}\n")


def refuse_options(options: argparse.Namespace, task: str, *names: str) -> None:
    """Refuse options (``names``, with underscores) that do not work with the task of the weights.

    Raises:
        UserError: One of them is given.
    """
    for name in names:
        if getattr(options, name) not in (None, False):
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option}: does not work with weights for {task} (expected to be left out)")


def require_pair(first: object, second: object, names: str) -> None:
    """Check that two values that belong together are both given.

    Raises:
        UserError: One is None.
    """
    if first is None or second is None:
        raise UserError(f"{names}: one is missing (expected both, or --config)")
