"""The checks of a GPU, tried on a CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_cpu_equals_itself(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    arguments = [out, "--device", "cpu", "--batch-sizes", "2", "--seconds", "0.1"]
    # In a process of its own, as torch.compile remembers shapes for the rest of a process.
    done = subprocess.run([sys.executable, "-m", "benchmarks.check_gpu", *map(str, arguments)], cwd=project)
    assert done.returncode == 1
    report = json.loads(out.read_text())
    errors = {row["check"]: row.get("error") for row in report["checks"]}
    failed = [row["check"] for row in report["checks"] if not row["passed"]]
    assert "heatmaps, fp16" in failed  # which only works on a GPU
    assert set(failed) <= {"heatmaps, fp16", "heatmaps, compiled"}
    failures = {row["check"]: row.get("failure", "") for row in report["checks"]}
    if "heatmaps, compiled" in failed:  # where PyTorch finds no working C++ compiler, and for no other reason
        assert "torch.compile fails here" in failures["heatmaps, compiled"]
    assert errors["heatmaps, float32 without TF32"] == 0
    assert errors["gradients, float32 without TF32"] < 1e-5
    assert 0 < errors["pictures of samples"] < 1
    assert [row["precision"] for row in report["steps"]] == ["float32", "bf16"]
    assert all(row["samples_per_second"] > 0 for row in report["steps"])
