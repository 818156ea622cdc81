"""The number of threads, from the CPUs and the quota of a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from litehrnet.processors import cpu_quota, default_threads, usable_cpus


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}, 2.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "50000 100000\n"}, 0.5),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/a/b/cpu.max": "150000 50000\n",
                "sys/fs/cgroup/other/cpu.max": "1000 100000\n",
            },
            3,
        ),
        (
            {  # version 1; in a container, the group that the kernel names is the top folder
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/1f\n3:memory:/docker/1f\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "rubbish"}, None),
    ],
)
def test_quota_is_that_of_the_tightest_group(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(_write(tmp_path, files)) == quota


@pytest.mark.parametrize(("cpus", "quota", "threads"), [(8, 2.9, 2), (8, 0.5, 1), (2, 6.0, 2), (8, None, 8)])
def test_threads_are_the_cpus_and_whole_cpus_of_the_quota(
    monkeypatch: pytest.MonkeyPatch, cpus: int, quota: float | None, threads: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)), raising=False)
    monkeypatch.setattr("litehrnet.processors.cpu_quota", lambda: quota)
    assert default_threads() == usable_cpus() == threads


@pytest.mark.parametrize(("value", "threads"), [("3", 3), ("2,4", 2), ("", None), ("0", None), ("many", None)])
def test_omp_num_threads_is_heeded(monkeypatch: pytest.MonkeyPatch, value: str, threads: int | None) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert default_threads() == (threads or usable_cpus())


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to CPUs")
@pytest.mark.parametrize("runtime", ["native", "onnxruntime", "openvino", "torch"])
def test_a_process_on_one_cpu_uses_one_thread(small_weights: Path, small_onnx: Path, runtime: str) -> None:
    if runtime != "native":
        pytest.importorskip(runtime)
    weights = small_onnx if runtime in ("onnxruntime", "openvino") else small_weights
    program = (
        "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from litehrnet.runtimes import open_runtime; print(open_runtime(*sys.argv[1:]).description)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    child = subprocess.run(
        [sys.executable, "-c", program, str(weights), runtime], env=environment, capture_output=True, text=True
    )
    assert child.stdout.strip().endswith(", 1 threads"), child.stderr
