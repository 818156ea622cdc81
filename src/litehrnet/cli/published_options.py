"""Options that the mmpose command lines of training and testing share (docs/spec/protocol.md, sections 5.1 and 5.2)."""

import argparse
import os
import sys

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


def add_shared_arguments(parser: argparse.ArgumentParser) -> None:
    """``--cfg-options``, ``--launcher`` and ``--local_rank``."""
    add_cfg_options(parser)
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="what starts the processes")
    # Newer torch launchers write it with a hyphen, or set the environment variable alone.
    parser.add_argument("--local_rank", "--local-rank", type=int, metavar="R", help="given by older launchers")


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """``--cfg-options``."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        default=[],
        metavar="a.b=c",
        help="settings that replace those of the configuration, in its own keys",
    )


def pass_on_local_rank(options: argparse.Namespace) -> None:
    """Set the environment variable ``LOCAL_RANK`` by ``--local_rank``, if that is given and the variable is not set."""
    if options.local_rank is not None:
        os.environ.setdefault("LOCAL_RANK", str(options.local_rank))


def note(text: str) -> None:
    """One line on the error stream about what is understood in another way than it was written."""
    sys.stderr.write(f"note: {text}\n")
