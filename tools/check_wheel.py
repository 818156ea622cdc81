"""Check built wheels: their size, the engine in them, and nothing that belongs to the sources.

Usage: python tools/check_wheel.py WHEEL...
"""

import sys
import zipfile
from pathlib import Path

MOST_BYTES = 12_000_000
MODULES = ("litehrnet/engine/_native.", "litehrnet/training/fast/_kernels.")
NEEDED = {
    "litehrnet/py.typed",
    "litehrnet/configs/top_down/lite_hrnet/coco/litehrnet_18_coco_256x192.py",
    "litehrnet/photos/three_people.jpg",
    "litehrnet/serving/web/engine.wasm",
    "litehrnet/serving/web/engine_relaxed.wasm",
    "litehrnet/weights/lite_hrnet_18.safetensors",
    "litehrnet/weights/person.safetensors",
}


def problems_of(wheel: Path) -> list[str]:
    """Sentences about what is wrong with ``wheel``; none for a good one."""
    names = zipfile.ZipFile(wheel).namelist()
    problems = [f"{name} is missing" for name in sorted(NEEDED - set(names))]
    for prefix in MODULES:
        modules = [name for name in names if name.startswith(prefix) and name.endswith((".so", ".pyd"))]
        if len(modules) != 1:
            problems.append(f"{len(modules)} files {prefix}* (expected one)")
    sources = [name for name in names if name.startswith(("tests/", "tools/", "src/")) or "csrc/" in name]
    problems += [f"{name} is not a part of the package" for name in sources]
    if wheel.stat().st_size > MOST_BYTES:
        problems.append(f"{wheel.stat().st_size / 1e6:.1f} MB (expected at most {MOST_BYTES / 1e6:.0f} MB)")
    return problems


def main(wheels: list[str]) -> int:
    """Print size and problems of each wheel, and return 1 if there is a problem or no wheel."""
    found = False
    for path in map(Path, wheels):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
        for problem in problems_of(path):
            found = True
            print(f"{path.name}: {problem}", file=sys.stderr)
    return 1 if found or not wheels else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
