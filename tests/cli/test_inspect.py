import subprocess
import sys
from pathlib import Path

import pytest

from litehrnet.cli.main import main


def test_export_and_inspect_list_the_steps_without_torch(small_weights: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from litehrnet.cli.main import main; "
        "assert main(['export', sys.argv[1], '--format', 'native']) == 0; "
        "assert main(['inspect', 'small.native']) == 0; assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(small_weights)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    said = done.stdout.splitlines()
    assert said[0].startswith(
        "small.native: written, 267 steps for one image of 64x64 (width x height), RGB, 17 heatmaps"
    )
    assert said[1].split()[:4] == ["step", "kind", "name", "inputs"]
    assert said[2].split()[:5] == ["0", "stem", "stem", "3x64x64", "32x16x16"]
    assert said[1 + 267].split()[:3] == ["266", "pointwise", "keypoint_head.final_layer"]
    assert said[-2].startswith("naive_lite_hrnet_18: 267 steps")


def test_weights_are_compiled_to_be_inspected(small_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(small_weights)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 + 267 + 3
    assert any("and 1 more runs" in line for line in said)


@pytest.mark.parametrize("words", [["gone.native"], ["gone.safetensors"], ["WEIGHTS", "--input-size", "9", "9"]])
def test_what_cannot_be_inspected_is_one_line(
    small_weights: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["inspect", *(str(small_weights) if word == "WEIGHTS" else word for word in words)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
