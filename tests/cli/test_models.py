import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from litehrnet.cli.main import main
from litehrnet.weights import zoo
from litehrnet.weights.zoo import DETECTORS, DOWNLOADS


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(zoo, "BUNDLED", tmp_path / "box")
    monkeypatch.setattr(zoo, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path


def test_all_networks_are_listed(folders: Path, small_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert "bundled: nothing" in said
    for download in (*DOWNLOADS, *DETECTORS):
        assert download.name in said
        assert download.url in said
    assert said.count("not downloaded") == len(DOWNLOADS) + len(DETECTORS)
    assert "verified by the first 8 digits of the SHA-256" in said
    assert "416x416 (width x height), persons, verified by the SHA-256" in said
    (folders / "box").mkdir()
    (folders / "box" / "mine.safetensors").write_bytes(small_weights.read_bytes())
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert "mine.safetensors, " in said
    assert "naive_lite_hrnet_18, 64x64 (width x height), coco" in said


def test_names_are_downloaded_and_printed(
    folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = hashlib.sha256(b"weights").hexdigest()[:8]
    download = replace(DOWNLOADS[0], sha256=digits)
    monkeypatch.setattr(zoo, "DOWNLOADS", (download,))
    monkeypatch.setattr(zoo, "DETECTORS", ())

    def fetch(url: str, path: Path, sha256: str) -> None:
        assert (url, sha256) == (download.url, digits)
        path.parent.mkdir()
        path.write_bytes(b"weights")

    monkeypatch.setattr(zoo, "fetch", fetch)
    assert main(["models", "fetch", download.name]) == 0
    said = capsys.readouterr().out
    assert f"6bace359_20211230.pth: 7 bytes, verified by the first 8 digits of the SHA-256 ({digits})" in said
    assert main(["models"]) == 0
    assert "not downloaded" not in capsys.readouterr().out


def test_unknown_names_are_refused_before_the_first_download(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "fetch", DOWNLOADS[0].name, "nothing"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: nothing: neither a file nor a known network (litehrnet models lists the names)\n"


def test_predicting_without_weights_says_that_the_box_is_empty(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.figure import draw_figure

    from litehrnet import write_image

    write_image(folders / "photo.png", draw_figure((60, 80))[0])
    assert main(["predict", str(folders / "photo.png"), "--out-dir", str(folders / "out")]) == 2
    assert "lite_hrnet_18: this install has no bundled weights" in capsys.readouterr().err
