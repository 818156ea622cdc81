"""The kernels of training in C++, built and run without Python: every instruction set against the baseline."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout.strip()


def test_kernels_agree_and_sanitizers_find_nothing(build_csrc: Callable[..., Path], tmp_path: Path) -> None:
    built = build_csrc(tmp_path, "-DLITEHRNET_SANITIZE=address,undefined")
    assert _said(str(built / "training_kernel_test")) == "all kernels agree"


def test_threads_do_not_race(build_csrc: Callable[..., Path], tmp_path: Path) -> None:
    built = build_csrc(tmp_path, "-DLITEHRNET_SANITIZE=thread")
    assert _said(str(built / "training_kernel_test")) == "all kernels agree"


def test_kernels_run_on_arm(build_csrc: Callable[..., Path], tmp_path: Path) -> None:
    built = build_csrc(tmp_path, for_arm=True)
    assert _said("qemu-aarch64", str(built / "training_kernel_test")) == "all kernels agree"
