from pathlib import Path

import pytest

from litehrnet.cli.main import main
from litehrnet.export import onnx as exporting


def test_export_says_what_it_compared(
    small_weights: Path,
    small_onnx: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The graph of small_onnx again: exporting takes long, what is looked at here is the command.
    monkeypatch.setattr(exporting, "serialize", lambda *_: small_onnx.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(small_weights)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("small.onnx: written, input 64x64 (width x height)")
    assert len(said) == 7
    assert (tmp_path / "small.onnx").read_bytes() == small_onnx.read_bytes()


@pytest.mark.parametrize(
    "words", [["gone.pth"], ["WEIGHTS", "--out", "gone/out.onnx"], ["WEIGHTS", "--input-size", "9", "9"]]
)
def test_what_cannot_be_exported_is_one_line(
    small_weights: Path,
    small_onnx: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    monkeypatch.setattr(exporting, "serialize", lambda *_: small_onnx.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert main(["export", *(str(small_weights) if word == "WEIGHTS" else word for word in words)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
