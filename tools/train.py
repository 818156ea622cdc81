"""Train a network by a configuration: ``python tools/train.py CONFIG [flags]``, the command line of mmpose."""

import sys
from pathlib import Path

# Works from a checkout, without installing the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from litehrnet.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
