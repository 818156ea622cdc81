"""Train a pose network for some minutes on one GPU; see docs/distributed.md.

Run: ``python runs/train_on_gpu.py RECIPE MINUTES --out DIR [a.b=c ...]``, with ``src`` in ``PYTHONPATH`` where the
package is not installed.
"""

import argparse
import sys
from pathlib import Path


def run(options: argparse.Namespace) -> int:
    """Train; return the exit code."""
    import torch

    from litehrnet.config.read import load_config
    from litehrnet.errors import UserError
    from litehrnet.training.gpu.timed import train_for

    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda: PyTorch does not have it (expected a GPU, or --device cpu for a trial)")
    if options.minutes <= 0:
        raise UserError(f"{options.minutes:g} minutes: not a length (expected a number above 0)")
    config = load_config(options.recipe, options.overrides).config
    graphs = not options.no_graphs and options.device == "cuda" and not config.training.compile
    return train_for(options.minutes, config, options.out, torch.device(options.device), cuda_graphs=graphs)


def main() -> int:
    """Parse the command line, and train."""
    from litehrnet.cli.main import run_command

    parser = argparse.ArgumentParser(description="Train a pose network for some minutes on one GPU.")
    parser.add_argument("recipe", help="a packed recipe, from litehrnet data pack --longer-side")
    parser.add_argument("minutes", type=float, help="length of the whole run, reading and evaluating included")
    parser.add_argument("overrides", nargs="*", metavar="a.b=c", help="settings that replace those of the recipe")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new or empty folder for the results")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--no-graphs", action="store_true", help="do not record the network as CUDA graphs")
    return run_command(run, parser.parse_intermixed_args())


if __name__ == "__main__":
    sys.exit(main())
