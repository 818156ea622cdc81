from pathlib import Path

import pytest

from litehrnet import read_image
from litehrnet.cli.main import main
from litehrnet.variants import VARIANTS


def test_demo_prints_the_networks_and_draws_on_a_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out-dir", str(tmp_path), "--threads", "1"]) == 0
    said = capsys.readouterr().out
    for variant in VARIANTS:
        assert variant in said
    assert "1,130,769" in said
    assert "random, untrained" in said
    assert read_image(tmp_path / "demo.png").shape == (640, 480, 3)


def test_demo_takes_weights_and_a_photo(
    small_onnx: Path, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = shared / "data" / "coco_dev" / "images" / "000000000785.jpg"
    assert main(["demo", "--weights", str(small_onnx), "--photo", str(photo), "--out-dir", str(tmp_path)]) == 0
    assert "untrained" not in capsys.readouterr().out
    assert read_image(tmp_path / "demo.png").shape == (425, 640, 3)
