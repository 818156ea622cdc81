from pathlib import Path

import numpy as np
import pytest
import torch

from litehrnet.cli.main import main
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.models import create_network
from litehrnet.weights.weights_file import read_weights


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "epoch_210.pth"
    torch.save({"state_dict": create_network("naive_lite_hrnet_18", 4).state_dict(), "meta": {}}, path)
    return path


KEYPOINTS = 'name = "table"\nkeypoints = ["left_front", "right_front", "left_back", "right_back"]\n'


def test_options_are_kept_in_the_file(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "table.toml").write_text(KEYPOINTS)
    out = tmp_path / "table.safetensors"
    options = ["--input-size", "96", "128", "--keypoints", str(tmp_path / "table.toml"), "--codec", "dark"]
    more = ["--sigma", "1.5", "--no-flip-shift", "--provenance", "our tables"]
    assert main(["convert", str(checkpoint), str(out), *options, *more]) == 0
    arrays, info = read_weights(out)
    assert info.variant == "naive_lite_hrnet_18"
    assert info.keypoint_set.keypoint_names == ("left_front", "right_front", "left_back", "right_back")
    assert info.keypoint_set.flip_pairs == ((0, 1), (2, 3))
    assert info.input_size_wh == (96, 128)
    assert info.codec == HeatmapCodec("dark", sigma=1.5, blur_kernel=11, flip_shift=False)
    assert info.provenance == "our tables"
    assert arrays["keypoint_head.final_layer.weight"].shape == (4, 30, 1, 1)
    assert "96x128" in capsys.readouterr().out


def test_average_is_converted_on_request(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = torch.load(checkpoint)["state_dict"]
    ema = {f"module.{name}": value + 1 for name, value in state.items()}
    path, plain, average = tmp_path / "both.pth.tar", tmp_path / "plain.safetensors", tmp_path / "average.safetensors"
    torch.save({"state_dict": state, "state_dict_ema": ema}, path)
    assert main(["convert", str(path), str(plain)]) == 0
    assert main(["convert", str(path), str(average), "--average"]) == 0
    name = "keypoint_head.final_layer.bias"
    np.testing.assert_array_equal(read_weights(average)[0][name], read_weights(plain)[0][name] + 1)
    assert main(["convert", str(checkpoint), str(average), "--average"]) == 2
    assert "epoch_210.pth: has no average of backbone.stem.conv1.conv.weight" in capsys.readouterr().err


@pytest.mark.slow
def test_half_precision_halves_the_file_and_rounds(checkpoint: Path, tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    assert main(["convert", str(checkpoint), str(whole)]) == 0
    assert main(["convert", str(checkpoint), str(half), "--half"]) == 0
    for name, array in read_weights(whole)[0].items():
        np.testing.assert_array_equal(
            read_weights(half)[0][name], array.astype(np.float16) if array.dtype == np.float32 else array, name
        )
    assert half.stat().st_size < 0.65 * whole.stat().st_size


def test_defaults_are_the_published_ones(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    assert main(["convert", str(checkpoint), str(out)]) == 0
    info = read_weights(out)[1]
    assert (info.input_size_wh, info.codec, info.provenance) == (
        (192, 256),
        HeatmapCodec(),
        "PyTorch checkpoint epoch_210.pth",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--keypoints", "coco"], "has 4 heatmaps (expected 17, as the keypoint set coco has)"),
        (["--keypoints", "hand"], "hand: unknown keypoint set"),
        (["--input-size", "100", "100"], "nearest: 96x96 and 128x128"),
        (["--sigma", "0"], "--sigma 0.0: expected heatmap cells above 0"),
        (["--sigma", "nan"], "--sigma nan"),
    ],
)
def test_options_that_cannot_be_are_one_line_and_write_nothing(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    out = tmp_path / "out.safetensors"
    assert main(["convert", str(checkpoint), str(out), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_damaged_checkpoint_and_wrong_names_are_one_line(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.pth"
    cut.write_bytes(checkpoint.read_bytes()[:-1000])
    for source, out in ((cut, "a.safetensors"), (tmp_path / "gone.pth", "a.safetensors"), (checkpoint, "a.pth")):
        assert main(["convert", str(source), str(tmp_path / out)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["cut.pth"]
