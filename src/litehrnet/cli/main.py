"""The ``litehrnet`` command: finds the command's file, parses, calls, turns UserError into one line and exit code 2."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from litehrnet.errors import UserError

COMMANDS = {
    "demo": "find the people in the bundled photo with the bundled weights",
    "predict": "find keypoints in photos, videos and cameras: drawn pictures, COCO-results JSON, JSON lines",
    "serve": "find keypoints in the browser: a page for photos and the camera, on this machine",
    "test": "evaluate weights by the published protocol (COCO AP, MPII PCKh)",
    "score": "compare a file of predictions with annotations: COCO AP, PCK, MPII PCKh",
    "data": "check annotations and photos, see augmented samples, pack them for a training elsewhere",
    "train": "train a network by a recipe",
    "models": "list the weights in the box and those that can be fetched; fetch them",
    "convert": "turn a published or MMPose checkpoint into one safetensors file that describes itself",
    "export": "write an ONNX model and verify it against PyTorch, or a program for the engine",
    "inspect": "list the steps that the engine runs a network in",
    "bench": "time every runtime here, beside what the arithmetic needs at least",
    "summary": "parameters, multiply-accumulates and memory, per layer",
}


_MODULES = {"test": "evaluate"}
"""Modules whose name is not that of their command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: What follows the program's name; None for the process's own arguments.

    Returns:
        Exit code: 0 done, 1 done except for some inputs, 2 bad input.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="litehrnet", description="Lite-HRNet: keypoints of persons in images.")
    parser.add_argument("--version", action="store_true", help="version, CPU features, runtimes present")
    commands = parser.add_subparsers(dest="command", metavar="command")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if words[:1] == [name]:
            # Only the chosen command's file is imported: the others would cost time for nothing.
            _module(name).add_arguments(command)
    options, left = parser.parse_known_args(words)
    if "overrides" in options and all("=" in word and not word.startswith("-") for word in left):
        options.overrides += left  # settings a.b=c may stand anywhere; argparse takes them in one place only
    elif left:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    if options.version:
        return run_command(importlib.import_module("litehrnet.cli.version").run, options)
    if options.command is None:
        parser.print_help()
        return 2
    return run_command(_module(options.command).run, options)


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"litehrnet.cli.{_MODULES.get(command, command)}")


def run_command(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Call ``run(options)``; a UserError becomes one line on the error stream and exit code 2."""
    try:
        return run(options)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except BrokenPipeError:
        # Whoever read our output has closed it (litehrnet ... | head); nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


if __name__ == "__main__":
    sys.exit(main())
