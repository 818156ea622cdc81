from pathlib import Path

import pytest
import torch

from litehrnet.engine.programfile import read_program
from litehrnet.engine.reference import run_program
from litehrnet.errors import UserError
from litehrnet.export.native import export_native
from litehrnet.runtimes.torch import open_torch
from litehrnet.weights.weights_file import read_weights


def test_program_carries_the_description_of_its_weights_and_gives_pytorchs_heatmaps(
    small_weights: Path, tmp_path: Path
) -> None:
    path = tmp_path / "small.native"
    export_native(small_weights, path)
    program, info = read_program(path)
    assert info == read_weights(small_weights)[1]
    crops = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8).numpy()
    expected = open_torch(small_weights, threads=1).forward(crops)
    assert abs(run_program(program, crops) - expected).max() < 2e-5 * abs(expected).max()


def test_checkpoint_is_compiled_for_the_size_that_is_asked_for(small_mpii_weights: Path, tmp_path: Path) -> None:
    export_native(small_mpii_weights, tmp_path / "mpii.native", (96, 64))
    program, info = read_program(tmp_path / "mpii.native")
    assert (program.input_size_wh, info.input_size_wh, len(program.output)) == ((96, 64), (96, 64), 16)


def test_what_cannot_be_exported_leaves_nothing_behind(small_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        export_native(tmp_path / "gone.safetensors", tmp_path / "out.native")
    with pytest.raises(UserError, match="cannot be written"):
        export_native(small_weights, tmp_path / "gone" / "out.native")
    assert list(tmp_path.iterdir()) == []
