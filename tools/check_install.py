"""Check an installed package as its users meet it: the engine's heatmaps, then the demo and the people in a photo.

Usage: python tools/check_install.py, with the Python that the package is installed for. It needs nothing else.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import litehrnet
from litehrnet.cli.version import cpu_features
from litehrnet.engine import _native
from litehrnet.engine.program import Program
from litehrnet.engine.programfile import flatten
from litehrnet.engine.reference import run_program
from litehrnet.io.images import read_image
from litehrnet.runtimes.native import compile_weights, instruction_set

PACKAGE = Path(litehrnet.__file__).parent
PHOTO = PACKAGE / "photos" / "three_people.jpg"
PEOPLE = 3
NETWORKS = ("lite_hrnet_18", "person")
INSTRUCTION_SETS = ("avx512bf16", "avx512", "avx2", "baseline", "neon", "plain")
FEATURES = {"avx2": "avx2", "avx512f": "avx512", "asimd": "neon"}
"""Features that Linux reports, and instruction sets that need them."""
TOLERANCE = 1e-5
"""Largest error in float32, as a part of the largest heatmap value."""


def compile_bundled(name: str) -> tuple[Program, NDArray[np.uint8]]:
    """Compile bundled weights, and resize the photo to their input, twice: (2, height, width, 3)."""
    program, info = compile_weights(PACKAGE / "weights" / f"{name}.safetensors")
    assert info.input_size_wh
    image = cv2.resize(read_image(PHOTO), info.input_size_wh, interpolation=cv2.INTER_AREA)
    return program, np.stack([image, image[:, ::-1]])


def write_expected_heatmaps(folder: Path) -> None:
    """Compute the heatmaps of each network in float64 by NumPy."""
    for name in NETWORKS:
        program, crops = compile_bundled(name)
        np.save(folder / f"{name}.npy", run_program(program, crops, np.float64))


def check_engine(folder: Path) -> None:
    """Check the instruction set that LITEHRNET_KERNELS names, on one and two threads."""
    for name in NETWORKS:
        program, crops = compile_bundled(name)
        flat, expected = flatten(program), np.load(folder / f"{name}.npy")
        found = [_native.Runner(flat.numbers, flat.constants, threads, False).run(crops) for threads in (1, 2)]
        error = max(float(np.abs(heatmaps - expected).max() / np.abs(expected).max()) for heatmaps in found)
        print(f"{instruction_set()}: {name}, largest error {error:.1e}")
        if not error < TOLERANCE:
            sys.exit(f"{name}: error {error:.1e} (expected less than {TOLERANCE})")


def check_instruction_sets(folder: Path) -> None:
    """Check each in a process of its own, as the environment chooses it."""
    write_expected_heatmaps(folder)
    checked = set()
    for name in INSTRUCTION_SETS:
        environment = os.environ | {"LITEHRNET_KERNELS": name}
        command = [sys.executable, __file__, "engine", str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        print(done.stdout, end="", flush=True)
        if done.returncode and "not on this machine" not in done.stderr:
            sys.exit(done.stderr)
        if not done.returncode:
            checked.add(name)
    for feature, name in FEATURES.items():
        if feature in cpu_features() and name not in checked:
            sys.exit(f"the engine does not use {feature}, which this CPU has")


def run_litehrnet(*words: str) -> None:
    """Run ``litehrnet``, print its seconds, and stop if it fails."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "litehrnet", *words], check=True)
    print(f"litehrnet {words[0]}: {time.perf_counter() - start:.1f} s", flush=True)


def check_commands(folder: Path) -> None:
    """Run the demo and ``predict``, and count the people."""
    run_litehrnet("--version")
    run_litehrnet("demo", "--out-dir", str(folder / "demo"))
    run_litehrnet("predict", str(PHOTO), "--out-dir", str(folder / "out"))
    results = json.loads((folder / "out" / "keypoints.json").read_text(encoding="utf-8"))
    if len(results) != PEOPLE:
        sys.exit(f"{PHOTO.name}: {len(results)} people (expected {PEOPLE})")


def main() -> None:
    """Check every instruction set that this machine has, then the commands."""
    print(f"Python {sys.version.split()[0]}, {PACKAGE}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        check_instruction_sets(Path(folder))
        check_commands(Path(folder))


if __name__ == "__main__":
    if sys.argv[1:2] == ["engine"]:
        check_engine(Path(sys.argv[2]))
    else:
        main()
