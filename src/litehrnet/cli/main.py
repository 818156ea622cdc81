"""The ``litehrnet`` command: parse the arguments, run the subcommand, print a UserError as one line."""

import argparse
import importlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from litehrnet.errors import UserError

COMMANDS = {
    "demo": "find the people in the bundled photo with the bundled weights",
    "predict": "find keypoints in photos, videos and cameras: drawn pictures, COCO-results JSON, JSON lines",
    "serve": "find keypoints in the browser, and for other programs: a page and an HTTP service, on this machine",
    "test": "evaluate weights on annotated photos: COCO AP, MPII PCKh, mIoU, box AP",
    "score": "compare a file of predictions with annotations: COCO AP, PCK, MPII PCKh",
    "data": "check annotations and photos, pack them for another machine, convert annotations of other tools",
    "recipes": "list the bundled training recipes; copy one to edit",
    "train": "train a network from a recipe",
    "models": "list bundled and downloadable weights; download them",
    "convert": "convert a checkpoint of the reference implementation or MMPose to a safetensors file with metadata",
    "export": "export an ONNX model and compare it with PyTorch, or a program for the native engine",
    "inspect": "list the steps of a network in the native engine",
    "bench": "benchmark all installed runtimes, against the theoretical minimum",
    "compare": "train networks on one recipe for equal times, and compare their cost and accuracy",
    "summary": "count parameters, multiply-accumulates and memory traffic, per layer",
}


_MODULES = {"test": "evaluate"}
"""Modules whose name is not that of their command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after the program's name; None for the arguments of the process.

    Returns:
        Exit code: 0 for success, 1 if some inputs were skipped, 2 for bad input.
    """
    words = [_with_home(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    parser = argparse.ArgumentParser(prog="litehrnet", description="Lite-HRNet: keypoints of people in images.")
    parser.add_argument("--version", action="store_true", help="print version, CPU features and installed runtimes")
    commands = parser.add_subparsers(dest="command", metavar="command")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if words[:1] == [name]:
            # Only the chosen command's module is imported, to start quickly.
            _module(name).add_arguments(command)
    options, left = parser.parse_known_args(words)
    if "overrides" in options and all("=" in word and not word.startswith("-") for word in left):
        options.overrides += left  # settings a.b=c may appear anywhere; argparse accepts them in one place only
    elif left:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    if options.version:
        return run_command(importlib.import_module("litehrnet.cli.version").run, options)
    if options.command is None:
        parser.print_help()
        return 2
    return run_command(_module(options.command).run, options)


def _with_home(word: str) -> str:
    """Replace the ``~`` of ``~/photos``, ``--option=~/photos`` or ``setting=~/photos``, which not every shell does."""
    given = re.fullmatch(r"((?:[\w.-]+=)?)(~(?:/.*)?)", word, re.DOTALL)
    return word if given is None else given[1] + os.path.expanduser(given[2])  # noqa: PTH111 (fails without a home)


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"litehrnet.cli.{_MODULES.get(command, command)}")


def run_command(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Call ``run(options)``; print a UserError as one line on the error stream and return exit code 2."""
    try:
        return run(options)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except BrokenPipeError:
        # The reader of our output has closed it (litehrnet ... | head).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


if __name__ == "__main__":
    sys.exit(main())
