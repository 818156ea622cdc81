from pathlib import Path

import pytest

from litehrnet import read_image
from litehrnet.cli.main import main


def test_demo_draws_the_three_people_of_the_bundled_photo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out-dir", str(tmp_path / "out"), "--threads", "1"]) == 0
    said = capsys.readouterr().out
    assert "weights: lite_hrnet_18 (" in said
    assert f"{tmp_path / 'out' / 'demo.png'}: 3 people in " in said
    assert read_image(tmp_path / "out" / "demo.png").shape == (400, 1141, 3)


def test_demo_takes_weights_and_a_photo(
    small_onnx: Path, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = shared / "data" / "coco_dev" / "images" / "000000000785.jpg"
    assert main(["demo", "--weights", str(small_onnx), "--photo", str(photo), "--out-dir", str(tmp_path)]) == 0
    assert "random numbers" in capsys.readouterr().out
    assert read_image(tmp_path / "demo.png").shape == (425, 640, 3)
