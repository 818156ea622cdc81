import json
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest
from tests.simcc_models import SPOT_PIPELINE, write_spot_finder

import litehrnet.export.onnx
from litehrnet.cli.main import main
from litehrnet.errors import UserError
from litehrnet.inference.estimator import LEAST_BOX_SCORE, LEAST_POSE_SCORE
from litehrnet.keypoints.skeletons import COCO, unnamed
from litehrnet.serving import liveview
from litehrnet.serving.http import Site
from litehrnet.serving.liveview import GROUP_EXAMPLE, open_model, open_page_detector, page_answers
from litehrnet.weights.zoo import BUNDLED, DEFAULT_WEIGHTS


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as make web leaves it, but for the sizes of its files."""
    folder = tmp_path / "onnxruntime_web"
    folder.mkdir()
    for name in ("package.json", "LICENSE.onnxruntime-web", "ort.wasm.min.mjs", "ort-wasm-simd-threaded.wasm"):
        (folder / name).write_text(name)
    monkeypatch.setattr(liveview, "ONNXRUNTIME_WEB", folder)
    return folder


def _get(site: Site, path: str) -> tuple[str, bytes]:
    with urllib.request.urlopen(site.url + path, timeout=60) as answer:
        return answer.headers["Content-Type"], answer.read()


def test_the_page_gets_its_files_the_model_and_what_is_to_know_of_it(installed: Path, small_onnx: Path) -> None:
    with Site(page_answers(open_model(small_onnx)), port=0) as site:
        assert _get(site, "")[0] == "text/html; charset=utf-8"
        assert b"findPose" in _get(site, "app.js")[1]
        assert _get(site, "app.js")[0] == _get(site, "ort/ort.wasm.min.mjs")[0] == "text/javascript; charset=utf-8"
        assert _get(site, "ort/ort-wasm-simd-threaded.wasm") == ("application/wasm", b"ort-wasm-simd-threaded.wasm")
        assert _get(site, "model.onnx")[1] == small_onnx.read_bytes()
        model = json.loads(_get(site, "model.json")[1])
    assert (model["name"], model["input_size_wh"], model["codec"]["kind"]) == ("small", [64, 64], "default")
    assert model["keypoint_names"] == list(COCO.keypoint_names)
    assert len(model["codec"]["blur_taps"]) == 11
    assert sum(model["codec"]["blur_taps"]) == pytest.approx(1)
    assert model["colors"] == {
        "left": "rgb(255, 140, 0)",
        "right": "rgb(30, 160, 255)",
        "center": "rgb(240, 240, 225)",
    }


def test_the_page_gets_the_model_in_an_archive_and_its_kind_of_head(installed: Path, tmp_path: Path) -> None:
    model, archive = write_spot_finder(tmp_path / "end2end.onnx"), tmp_path / "spots.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.write(model, "spots/end2end.onnx")
        opened.writestr("spots/pipeline.json", json.dumps(SPOT_PIPELINE))
    with Site(page_answers(open_model(archive)), port=0) as site:
        assert _get(site, "model.onnx")[1] == model.read_bytes()
        told = json.loads(_get(site, "model.json")[1])
    assert (told["name"], told["codec"]["kind"], told["input_size_wh"]) == ("spots", "simcc", [48, 64])
    assert (told["mean"], told["std"]) == ([0, 0, 0], [1, 1, 1])


def test_a_page_with_a_detector_gets_it_and_what_to_know_of_it(installed: Path) -> None:
    detector = open_page_detector(None, COCO)
    assert detector is not None
    with Site(page_answers(open_model(DEFAULT_WEIGHTS), detector), port=0) as site:
        assert _get(site, "detector.onnx")[1] == (BUNDLED / "person.onnx").read_bytes()
        assert _get(site, "example.jpg")[1] == GROUP_EXAMPLE.read_bytes()
        told = json.loads(_get(site, "model.json")[1])["detector"]
    assert (told["name"], told["input_size_wh"], told["stride"]) == ("person", [320, 320], 4)
    assert (told["min_score"], told["least_pose_score"]) == (LEAST_BOX_SCORE, LEAST_POSE_SCORE)


def test_the_page_uses_the_detector_that_predict_uses() -> None:
    assert open_page_detector(None, unnamed(4)) is None
    lower = open_page_detector("person", COCO, 0.4)
    assert lower is not None
    assert (lower.min_score, lower.least_pose_score) == (0.4, 0)
    with pytest.raises(UserError, match="finds 17 keypoints"):
        open_page_detector(BUNDLED / "lite_hrnet_18.onnx", COCO)


def test_contradictory_options_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--whole-image", "--detector", "person"]) == 2
    assert "both state where the people are" in capsys.readouterr().err


def test_the_page_names_no_other_server() -> None:
    for path in liveview.PAGE.iterdir():
        addresses = set(re.findall(r"https?://[\w./]+", path.read_text()))
        assert addresses <= {"http://www.w3.org/2000/svg", "http://localhost"}, path


def test_an_install_without_onnx_runtime_web_says_so(
    installed: Path, small_onnx: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (installed / "package.json").unlink()
    assert main(["serve", str(small_onnx)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the page needs ONNX Runtime Web, which is not installed (expected make web")
    assert error.count("\n") == 1


def test_a_taken_port_is_said_in_one_line(
    installed: Path, small_onnx: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Site({}, port=0) as other:
        port = other.url.rstrip("/").rpartition(":")[2]
        assert main(["serve", str(small_onnx), "--port", port]) == 2
    assert capsys.readouterr().err == f"error: port {port}: taken on 127.0.0.1 (expected a free port, or 0 for any)\n"


def test_programs_of_the_engine_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="browsers do not run programs of the native engine"):
        open_model(tmp_path / "small.native")


def test_weights_are_exported_once(
    small_weights: Path, small_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export takes long: it is that of the fixture."""
    exports: list[Path] = []

    def export(weights: Path, path: Path, input_size_wh: tuple[int, int] | None) -> None:
        exports.append(weights)
        shutil.copy(small_onnx, path)

    monkeypatch.setattr(liveview, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(litehrnet.export.onnx, "export_onnx", export)
    first = open_model(small_weights)
    assert (first.name, first.input_size_wh, first.content) == ("small", (64, 64), small_onnx.read_bytes())
    assert open_model(small_weights).content == first.content
    assert exports == [small_weights]
    open_model(small_weights, (64, 64))
    assert len(exports) == 2


def test_weights_without_pytorch_are_refused_in_one_sentence(small_weights: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'onnx', 'onnxscript'])); "
        "from pathlib import Path; from litehrnet.serving import liveview; from litehrnet.cli.main import main; "
        "liveview.check_installed = lambda: None; liveview.cache_folder = lambda: Path(sys.argv[1]); "
        "sys.exit(main(['serve', sys.argv[2]]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(small_weights)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs torch, which is not installed (pip install 'litehrnet[export]')" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
