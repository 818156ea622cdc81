"""``litehrnet inspect``: list the steps of a network in the native engine."""

import argparse
from pathlib import Path

from litehrnet.cli.options import add_input_size, input_size, say, say_aligned
from litehrnet.engine.listing import LEGEND, step_row, totals_text
from litehrnet.engine.programfile import SUFFIX, read_program
from litehrnet.runtimes.native import compile_weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet inspect``."""
    parser.add_argument(
        "file", type=Path, help="a program (.native), or weights to compile (.safetensors or a PyTorch checkpoint)"
    )
    add_input_size(parser)


def run(options: argparse.Namespace) -> int:
    """Print every step with its shapes, its cost and the memory places of its inputs.

    Raises:
        UserError: The file is missing, damaged, or neither a program nor weights.
    """
    size = input_size(options)
    program, info = read_program(options.file) if options.file.suffix == SUFFIX else compile_weights(options.file, size)
    rows: list[tuple[str, ...]] = [
        ("step", "kind", "name", "inputs", "outputs", "10^3 MACs", "KB", "places of the inputs")
    ]
    rows += [step_row(index, step) for index, step in enumerate(program.steps)]
    say_aligned(rows, numbers={0, 5, 6})
    say(f"\n{info.variant}: {totals_text(program)}\n{LEGEND}")
    return 0
