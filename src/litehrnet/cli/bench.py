"""``litehrnet bench``: speed of all installed runtimes on this machine, and the theoretical minimum."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from litehrnet.bench.measure import Settings, measure
from litehrnet.bench.pipeline import read_photos
from litehrnet.bench.report import case_notes, case_table, machine, other_lines, profile_table, write_json
from litehrnet.cli.options import add_input_size, input_size, positive_float, positive_int, say
from litehrnet.errors import UserError
from litehrnet.optional import require
from litehrnet.processors import default_threads
from litehrnet.runtimes.native import instruction_set


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``litehrnet bench``."""
    parser.add_argument(
        "networks",
        nargs="*",
        default=["lite_hrnet_18"],
        metavar="VARIANT|RECIPE|WEIGHTS",
        help="networks or recipes (with random weights) or weights files (default: lite_hrnet_18)",
    )
    add_input_size(parser)
    parser.add_argument("--batch", type=positive_int, nargs="+", default=[1, 32], metavar="N", help="default: 1 32")
    parser.add_argument("--threads", type=positive_int, nargs="+", metavar="N", help="default: 1 and all")
    parser.add_argument(
        "--seconds",
        type=positive_float,
        default=20.0,
        metavar="S",
        help="time for each batch size and number of threads (default: 20)",
    )
    parser.add_argument(
        "--rounds", type=positive_int, default=5, metavar="N", help="minimum rounds of every runtime (default: 5)"
    )
    parser.add_argument("--compile", action="store_true", help="also measure torch.compile (takes minutes)")
    parser.add_argument(
        "--photos", type=Path, metavar="DIR", help="JPEG photos to predict on (default: the bundled one)"
    )
    parser.add_argument("--profile", action="store_true", help="print the native engine's time by kind of step")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="plot CPU times (needs matplotlib)")


def run(options: argparse.Namespace) -> int:
    """Measure each network and print the results.

    Raises:
        UserError: A network or file cannot be used, or a file cannot be written.
    """
    instruction_set()  # fails early if this machine does not support it
    settings = _settings(options)
    if options.plot:
        _check_plot(options.plot)
    say(machine())
    say("CPU: time of the whole process per image")
    say("ratio: time divided by the native engine's time in the same round, median over rounds")
    say("error: largest difference from a float64 value, divided by the largest such value")
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    results = []
    for network in options.networks:
        result = measure(network, settings, _tell)
        results.append(result)
        for case in result.cases:
            console.print(case_table(result, case))
            for line in case_notes(case):
                say(line)
        say(f"heatmaps compared with: {result.reference}")
        for line in other_lines(result):
            say(line)
        if options.profile and result.floor is not None:
            console.print(profile_table(result, result.floor))
    if options.json:
        write_json(options.json, results)
    if options.plot:
        from litehrnet.bench.report import write_plot

        write_plot(options.plot, results)
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        input_size(options),
        tuple(options.batch),
        tuple(options.threads or sorted({1, default_threads()})),
        options.seconds,
        options.rounds,
        options.compile,
        read_photos(options.photos),
    )


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


def _check_plot(path: Path) -> None:
    require("matplotlib", "train", f"{path}: drawing")
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise UserError(f"{path}: unknown suffix for a plot (expected .png, .pdf or .svg)")
