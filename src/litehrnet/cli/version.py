"""What ``litehrnet --version`` prints."""

import argparse
import platform
from importlib import metadata
from pathlib import Path

from litehrnet import __version__
from litehrnet.cli.options import say
from litehrnet.optional import is_installed

_CPU_FEATURES = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "asimd", "bf16")
_RUNTIMES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "torch": "torch"}


def run(options: argparse.Namespace) -> int:
    """Print version, Python, CPU features that matter to the runtimes, and the runtimes that are installed.

    Raises:
        UserError: LITEHRNET_KERNELS names no instruction set of this machine.
    """
    from litehrnet.runtimes.native import instruction_set

    kernels, features = instruction_set(), cpu_features()
    runtimes = [f"native {__version__} ({kernels})" if kernels else "native absent (it was not built on installing)"]
    runtimes += [
        f"{name} {metadata.version(package)}" if is_installed(package) else f"{name} not installed"
        for name, package in _RUNTIMES.items()
    ]
    say(
        f"litehrnet {__version__} (Python {platform.python_version()}, {platform.system()} {platform.machine()})\n"
        f"CPU features: {' '.join(features) if features else 'not known on this system'}\n"
        f"runtimes: {', '.join(runtimes)}"
    )
    return 0


def cpu_features() -> list[str]:
    """The vector instruction sets of this CPU that the kernel names; empty where it does not say (not Linux)."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    flags: set[str] = set()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            flags.update(value.split())
    return [feature for feature in _CPU_FEATURES if feature in flags]
