"""``litehrnet bench``: how fast every runtime runs the network here, and how fast it could."""

import argparse
import sys
from pathlib import Path

from litehrnet.cli.options import add_input_size, input_size, positive_float, positive_int, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``litehrnet bench`` takes."""
    parser.add_argument(
        "networks",
        nargs="*",
        default=["lite_hrnet_18"],
        metavar="VARIANT|RECIPE|WEIGHTS",
        help="networks or recipes, with random weights, or files of weights (default: lite_hrnet_18)",
    )
    add_input_size(parser)
    parser.add_argument("--batch", type=positive_int, nargs="+", default=[1, 32], metavar="N", help="default: 1 32")
    parser.add_argument("--threads", type=positive_int, nargs="+", metavar="N", help="default: 1 and all")
    parser.add_argument(
        "--seconds",
        type=positive_float,
        default=20.0,
        metavar="S",
        help="for each batch and number of threads (default: 20)",
    )
    parser.add_argument(
        "--rounds", type=positive_int, default=5, metavar="N", help="of every runtime at least (default: 5)"
    )
    parser.add_argument("--compile", action="store_true", help="PyTorch through torch.compile, too (takes minutes)")
    parser.add_argument(
        "--photos", type=Path, metavar="DIR", help="JPEG photos to predict on (default: the bundled one)"
    )
    parser.add_argument("--profile", action="store_true", help="the native engine's time per kind of step")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw CPU times (needs matplotlib)")


def run(options: argparse.Namespace) -> int:
    """Measure each network and print.

    Raises:
        UserError: A network or a file cannot be used, or a file cannot be written.
    """
    from rich.console import Console

    from litehrnet.bench.measure import Settings, measure
    from litehrnet.bench.pipeline import read_photos
    from litehrnet.bench.report import case_notes, case_table, machine, other_lines, profile_table, write_json
    from litehrnet.bench.timing import all_threads
    from litehrnet.runtimes.native import instruction_set

    instruction_set()  # one that this machine has not is an error before anything is measured
    threads = options.threads or sorted({1, all_threads()})
    settings = Settings(
        input_size(options),
        tuple(options.batch),
        tuple(threads),
        options.seconds,
        options.rounds,
        options.compile,
        read_photos(options.photos),
    )
    if options.plot:
        _check_plot(options.plot)
    say(machine())
    say("CPU: time of the whole process, per image; ratio: median of a round's time through native's in that round;")
    say("error: largest difference of a map's value to float64, over the largest of these; all in turn, warm")
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    results = []
    for network in options.networks:
        result = measure(network, settings, _tell)
        results.append(result)
        for case in result.cases:
            console.print(case_table(result, case))
            for line in case_notes(case):
                say(line)
        say(f"heatmaps compared with: {result.judge}")
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


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


def _check_plot(path: Path) -> None:
    from litehrnet.errors import UserError
    from litehrnet.optional import require

    require("matplotlib", "train", f"{path}: drawing")
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise UserError(f"{path}: cannot tell the format to draw (expected .png, .pdf or .svg)")
