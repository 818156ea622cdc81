"""Evaluate a checkpoint by a configuration: ``python tools/test.py CONFIG CHECKPOINT [--out FILE]``."""

import sys
from pathlib import Path

# Works from a checkout, without installing the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from litehrnet.cli.main import run_command
from litehrnet.cli.mmpose import parse, run

if __name__ == "__main__":
    sys.exit(run_command(run, parse()))
