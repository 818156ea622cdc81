"""``litehrnet compare``: train networks on one recipe for equal times, and print the paper's table of them."""

import argparse
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from litehrnet.cli.options import add_config, note, positive_float, say
from litehrnet.cli.outputs import output_folder
from litehrnet.errors import UserError
from litehrnet.io.files import write_bytes
from litehrnet.optional import require
from litehrnet.variants import VARIANTS, find_variant

if TYPE_CHECKING:
    from litehrnet.bench.contenders import Contender
    from litehrnet.config.schema import RunConfig
    from litehrnet.models.complexity import Complexity

SECONDS = 2.0
"""Time for each network in each runtime."""
ROUNDS = 15
"""Minimum number of runs of each network in each runtime."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet compare``."""
    add_config(parser)
    parser.add_argument(
        "--variants",
        nargs="+",
        default=list(VARIANTS),
        metavar="NAME",
        help=f"networks to compare (default: all: {', '.join(VARIANTS)})",
    )
    parser.add_argument(
        "--minutes",
        type=positive_float,
        required=True,
        metavar="M",
        help="minutes of CPU time that each network trains for, on one thread",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the weights and the table; networks that it has already are not trained again",
    )


def run(options: argparse.Namespace) -> int:
    """Train, test and time each network, and print a table.

    Returns:
        Exit code: 0, or 1 if a training has diverged and its network is left out.

    Raises:
        UserError: The recipe, its data, a network or the folder cannot be used.
    """
    from litehrnet.config.read import load_config

    for package in ("torch", "onnx", "onnxscript"):
        require(package, "export", "comparing with ONNX Runtime")
    loaded = load_config(options.config, options.overrides)
    for text in loaded.notes:
        note(text)
    costs = _costs(loaded.config, options.variants)
    with output_folder(options.out) as folder:
        rows = _trained(loaded.config, list(costs), options.minutes, folder.path)
        _time(rows, folder.path)
        for name, row in rows.items():
            row |= {"parameters": costs[name].params, "flops": costs[name].published_flops}
        table = _table(loaded.config, options.minutes, rows)
        paths = folder.choose("comparison", "{}.md", "{}.json")
        write_bytes(paths[0], f"{table}\n".encode())
        content = {"recipe": loaded.config.name, "minutes": options.minutes, "networks": rows}
        write_bytes(paths[1], (json.dumps(content, indent=1) + "\n").encode())
        folder.record(*paths)
    say(f"\n{table}\n\nwritten: {', '.join(map(str, paths))}")
    return 0 if len(rows) == len(costs) else 1


def _costs(config: "RunConfig", variants: list[str]) -> "dict[str, Complexity]":
    """Measure the parameters and FLOPs of each network. A network that lacks the recipe's task is refused."""
    from litehrnet.models.complexity import measure
    from litehrnet.models.weights import new_network

    return {
        name: measure(new_network(find_variant(name).name, config.outputs), config.input_size_wh) for name in variants
    }


def _trained(config: "RunConfig", variants: list[str], minutes: float, folder: Path) -> dict[str, dict[str, Any]]:
    """Train and test the networks that the folder lacks; return the results of all by name."""
    from litehrnet.training.comparison import read_result, settings_of, train_and_test
    from litehrnet.training.steps import NonFiniteLossError

    own = {name: settings_of(config, name) for name in variants}
    # A folder of another comparison is refused before hours of training.
    results = {name: read_result(folder / name, own[name], minutes) for name in variants}
    for name in variants:
        if results[name] is not None:
            say(f"{name}: trained already")
            continue
        try:
            results[name] = train_and_test(own[name], minutes, folder / name, say)
        except NonFiniteLossError as error:
            note(f"{name}: left out, since its {error} is not a number (try a lower training.optimizer.learning_rate)")
    return {
        name: {"samples": each.samples, "how": each.how, "metrics": each.metrics}
        for name, each in results.items()
        if each is not None
    }


def _time(rows: Mapping[str, dict[str, Any]], folder: Path) -> None:
    """Add the fastest runtime of each network, and its median milliseconds per image, all measured in turn."""
    from litehrnet.bench.timing import summarize, take_turns

    contenders = {name: _contenders(folder / name) for name in rows}
    everyone = [contender for each in contenders.values() for contender in each]
    say(f"measuring {len(rows)} networks in turn")
    times = take_turns(everyone, lambda _: 0.0, seconds=SECONDS * len(everyone), least_rounds=ROUNDS, pause=False)
    medians = {name: summary.cpu_ms[0] for name, summary in summarize(times, 1).items()}
    for name, row in rows.items():
        fastest = min(contenders[name], key=lambda each: medians[each.name])
        row |= {"ms": medians[fastest.name], "runtime": fastest.settings}


def _contenders(folder: Path) -> "list[Contender]":
    """Open a network in every runtime on one thread; its ONNX model is exported once."""
    from litehrnet.bench.contenders import Contender
    from litehrnet.engine.compiler import UnsupportedUnitError
    from litehrnet.engine.native import native_module
    from litehrnet.export.onnx import export_onnx
    from litehrnet.runtimes import open_runtime
    from litehrnet.training.comparison import WEIGHTS

    weights, model = folder / WEIGHTS, folder / "weights.onnx"
    files = {"torch": weights}
    if native_module() is not None:
        files["native"] = weights
    try:
        if not model.exists():
            say(f"{folder.name}: exporting")
            export_onnx(weights, model)
        files["onnxruntime"] = model
    except UserError as error:
        note(f"{folder.name}: not measured on ONNX Runtime ({error})")
    contenders = []
    for runtime, path in files.items():
        try:
            opened = open_runtime(path, runtime, threads=1)
        except UnsupportedUnitError:
            continue
        width, height = opened.input_size_wh
        crop = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
        contenders.append(Contender(f"{folder.name} {runtime}", runtime, partial(opened.forward, crop)))
    return contenders


def _table(config: "RunConfig", minutes: float, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the paper's table in Markdown."""
    from litehrnet.bench.report import machine
    from litehrnet.config.tasks import metric_of
    from litehrnet.training.best import best_by

    test = config.tested_on
    metric, digits = best_by(config, test), metric_of(config, test).digits
    width, height = config.input_size_wh
    lines = [
        f"{config.name}, {width}x{height} (width x height): {minutes:g} minutes of CPU time each, on one thread. "
        f"Tested on {test.annotations}, {next((row['how'] for row in rows.values()), '')}. {machine()}.",
        "",
        f"| network | parameters | FLOPs | ms per image | {metric} | samples |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        score = f"{row['metrics'][metric]:.{digits}f}"
        cost = f"{row['parameters'] / 1e6:.2f}M | {row['flops'] / 2**20:.1f}M"
        lines.append(f"| {name} | {cost} | {row['ms']:.2f} ({row['runtime']}) | {score} | {row['samples']:,} |")
    return "\n".join(lines)
