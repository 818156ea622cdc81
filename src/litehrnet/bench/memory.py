"""Memory growth of a process that imports and runs a runtime, measured in a separate process."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from litehrnet.bench.contenders import maps
from litehrnet.bench.subject import Subject
from litehrnet.engine.native import native_module
from litehrnet.optional import is_installed
from litehrnet.runtimes import open_runtime

_RUNS = 3


def measure_memory(subject: Subject) -> dict[str, int | str]:
    """Measure the peak growth in bytes for one image on one thread, by runtime; a text if that fails."""
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
    """Read a memory size of this process in bytes, as Linux reports it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise ValueError(f"/proc/self/status has no {field}")


def main(runtime: str, file: str) -> None:
    """Print the peak growth of this process while it opens and runs a runtime."""
    before = _status("VmRSS:")
    opened = open_runtime(Path(file), runtime, threads=1)
    width, height = opened.input_size_wh
    for _ in range(_RUNS):
        maps(opened, np.zeros((1, height, width, 3), np.uint8))
    sys.stdout.write(f"{_status('VmHWM:') - before}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
