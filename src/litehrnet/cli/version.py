"""``litehrnet --version``: print version, CPU features and installed runtimes."""

import argparse
import platform
from importlib import metadata

from litehrnet import __version__
from litehrnet.cli.options import say
from litehrnet.optional import is_installed
from litehrnet.processors import cpu_info

_CPU_FEATURES = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "asimd", "bf16")
_RUNTIMES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "litert": "ai_edge_litert", "torch": "torch"}


def run(options: argparse.Namespace) -> int:
    """Print the versions of litehrnet and Python, CPU features, and the installed runtimes.

    Raises:
        UserError: LITEHRNET_KERNELS names an instruction set that this CPU does not have.
    """
    from litehrnet.runtimes.native import instruction_set

    kernels, features = instruction_set(), cpu_features()
    runtimes = [f"native {__version__} ({kernels})" if kernels else "native not built"]
    runtimes += [
        f"{name} {metadata.version(package)}" if is_installed(package) else f"{name} not installed"
        for name, package in _RUNTIMES.items()
    ]
    say(
        f"litehrnet {__version__} (Python {platform.python_version()}, {platform.system()} {platform.machine()})\n"
        f"CPU features: {' '.join(features) if features else 'unknown on this system'}\n"
        f"runtimes: {', '.join(runtimes)}"
    )
    return 0


def cpu_features() -> list[str]:
    """List the vector instruction sets that Linux reports for this CPU; empty on other systems."""
    flags = {flag for name in ("flags", "Features") for value in cpu_info(name) for flag in value.split()}
    return [feature for feature in _CPU_FEATURES if feature in flags]
