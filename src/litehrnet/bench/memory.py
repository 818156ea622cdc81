"""How much a process grows by a runtime: measured in a process of its own, from before its package is imported."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from litehrnet.bench.engines import maps
from litehrnet.bench.subject import Subject
from litehrnet.engine.native import native_module
from litehrnet.optional import is_installed
from litehrnet.runtimes import open_runtime

_RUNS = 3


def measure_memory(subject: Subject) -> dict[str, int | str]:
    """Peak growth in bytes for one image on one thread, by runtime present; where it cannot be measured, why not."""
    files = {"native": subject.program_file} if native_module() is not None else {}
    for name in ("onnxruntime", "openvino"):
        if is_installed(name) and subject.graphs:
            files[name] = subject.graphs["our export"]
    if is_installed("torch"):
        files["torch"] = subject.weights
    return {name: _growth(name, file) for name, file in files.items()}


def _growth(runtime: str, file: Path) -> int | str:
    command = [sys.executable, "-m", "litehrnet.bench.memory", runtime, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"not measured: {(done.stderr.strip().splitlines() or ['it failed'])[-1][:200]}"
    return int(json.loads(done.stdout.strip().splitlines()[-1]))


def _status(field: str) -> int:
    """A size from Linux's account of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise ValueError(f"/proc/self/status has no {field}")


def main(runtime: str, file: str) -> None:
    """Print by how much this process grows at most while it opens a runtime and runs it."""
    before = _status("VmRSS:")
    opened = open_runtime(Path(file), runtime, threads=1)
    width, height = opened.input_size_wh
    for _ in range(_RUNS):
        maps(opened, np.zeros((1, height, width, 3), np.uint8))
    sys.stdout.write(f"{_status('VmHWM:') - before}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
