import gzip
import json
import re
import shutil
import struct
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from litehrnet.cli.main import main
from litehrnet.engine.webfile import MAGIC
from litehrnet.errors import UserError
from litehrnet.inference.estimator import CLOSER_PADDING, LEAST_BOX_SCORE, LEAST_PERSON_SCORE
from litehrnet.keypoints.skeletons import COCO, unnamed
from litehrnet.serving import liveview
from litehrnet.serving.http import Site
from litehrnet.serving.liveview import GROUP_EXAMPLE, open_model, open_page_detector, page_answers
from litehrnet.weights.zoo import BUNDLED, DEFAULT_WEIGHTS


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module as make web leaves it, but for the contents of the compiled files."""
    folder = tmp_path / "web"
    folder.mkdir()
    for path in liveview.MODULE.iterdir():
        if path.suffix != ".wasm":
            shutil.copy(path, folder)
    for name in ("engine.wasm", "engine_relaxed.wasm"):
        (folder / name).write_text(name)
    monkeypatch.setattr(liveview, "MODULE", folder)
    return folder


def _get(site: Site, path: str) -> tuple[str, bytes]:
    with urllib.request.urlopen(site.url + path, timeout=60) as answer:
        return answer.headers["Content-Type"], answer.read()


def _description(packed: bytes) -> dict[str, Any]:
    unpacked = gzip.decompress(packed)
    assert unpacked[:8] == MAGIC
    (length,) = struct.unpack("<I", unpacked[8:12])
    return dict(json.loads(unpacked[12 : 12 + length]))


def test_the_page_gets_its_files_the_network_and_what_is_to_know_of_it(installed: Path, small_weights: Path) -> None:
    with Site(page_answers(open_model(small_weights)), port=0) as site:
        assert _get(site, "")[0] == "text/html; charset=utf-8"
        assert b"posesIn" in _get(site, "app.js")[1]
        assert _get(site, "app.js")[0] == _get(site, "litehrnet/engine.js")[0] == "text/javascript; charset=utf-8"
        assert _get(site, "litehrnet/engine.wasm") == ("application/wasm", b"engine.wasm")
        model = _description(_get(site, "network.litehrnet")[1])
    assert (model["name"], model["input_size_wh"], model["codec"]["kind"]) == ("small", [64, 64], "default")
    assert model["keypoint_names"] == list(COCO.keypoint_names)
    assert len(model["codec"]["blur_taps"]) == 11
    assert sum(model["codec"]["blur_taps"]) == pytest.approx(1)
    assert model["detector"] is None
    assert model["colors"] == {
        "left": "rgb(255, 140, 0)",
        "right": "rgb(30, 160, 255)",
        "center": "rgb(240, 240, 225)",
    }


def test_a_page_with_a_detector_gets_it_and_what_to_know_of_it(installed: Path) -> None:
    detector = open_page_detector(None, COCO)
    assert detector is not None
    answers = page_answers(open_model(DEFAULT_WEIGHTS), detector)
    assert answers["/example.jpg"].content == GROUP_EXAMPLE.read_bytes()
    packed = answers["/network.litehrnet"].content
    assert len(packed) < 4.5e6
    told = _description(packed)
    assert len(told["programs"]) == 2
    told = told["detector"]
    assert (told["name"], told["input_size_wh"], told["stride"]) == ("person", [320, 320], 4)
    assert (told["min_score"], told["least_person_score"]) == (LEAST_BOX_SCORE, LEAST_PERSON_SCORE)
    assert told["padding"] == CLOSER_PADDING


def test_the_page_is_written_to_a_new_folder_for_any_server(
    installed: Path, small_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "site"
    assert main(["serve", str(small_weights), "--whole-image", "--write", str(folder)]) == 0
    assert {path.name for path in folder.iterdir()} >= {"index.html", "app.js", "litehrnet", "network.litehrnet"}
    assert (folder / "litehrnet" / "engine.wasm").read_text() == "engine.wasm"
    assert main(["serve", str(small_weights), "--whole-image", "--write", str(folder)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_paths_of_the_page_are_relative(installed: Path) -> None:
    """It works in any folder of a site."""
    for path in (*liveview.PAGE.iterdir(), *liveview.MODULE.glob("*.js")):
        assert not re.findall(r"""(?:src|href|import|from|fetch\()\s*=?\s*\(?["']/""", path.read_text()), path


def test_the_page_uses_the_detector_that_predict_uses() -> None:
    assert open_page_detector(None, unnamed(4)) is None
    lower = open_page_detector("person", COCO, 0.4)
    assert lower is not None
    assert (lower.min_score, lower.least_person_score) == (0.4, 0)
    with pytest.raises(UserError, match="finds 17 keypoints"):
        open_page_detector(BUNDLED / "lite_hrnet_18.safetensors", COCO)


def test_contradictory_options_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--whole-image", "--detector", "person"]) == 2
    assert "both state where the people are" in capsys.readouterr().err


def test_the_page_names_no_other_server() -> None:
    for path in (*liveview.PAGE.iterdir(), *liveview.MODULE.glob("*.js")):
        addresses = set(re.findall(r"https?://[\w./]+", path.read_text()))
        assert addresses <= {"http://www.w3.org/2000/svg", "http://localhost"}, path


def test_an_install_without_the_engine_for_browsers_says_so(
    installed: Path, small_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (installed / "engine.wasm").unlink()
    assert main(["serve", str(small_weights)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the page needs the engine for browsers, which was not built (expected make web")
    assert error.count("\n") == 1


def test_a_taken_port_is_said_in_one_line(
    installed: Path, small_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Site({}, port=0) as other:
        port = other.url.rstrip("/").rpartition(":")[2]
        assert main(["serve", str(small_weights), "--port", port]) == 2
    assert capsys.readouterr().err == f"error: port {port}: taken on 127.0.0.1 (expected a free port, or 0 for any)\n"


def test_onnx_models_are_refused() -> None:
    with pytest.raises(UserError, match="browsers do not run ONNX models"):
        open_model("network.onnx")
