#!/usr/bin/env python
"""``dist_test.sh`` under the name in the reference README: CONFIG CHECKPOINT GPUS [flags]."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    script = str(Path(__file__).resolve().with_suffix(".sh"))
    os.environ.setdefault("PYTHON", sys.executable)
    os.execvp("bash", ["bash", script, *sys.argv[1:]])
