"""Command line ``summary_network.py CONFIG --shape H [W] --out-file STEM`` of the reference implementation."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from litehrnet.cli import summary
from litehrnet.cli.main import run_command

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Parameters, multiply-accumulates and memory of a network.")
    summary.add_arguments(parser)
    parser.set_defaults(shape=[2048, 1024])  # the default of the reference implementation
    sys.exit(run_command(summary.run, parser.parse_args()))
