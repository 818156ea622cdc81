"""The base install has neither PyTorch nor any other package of the extras: hidden here from a fresh process."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.figure import draw_figure

from litehrnet import write_image
from litehrnet.cli.demo import PHOTO

EXTRAS = [
    "torch",
    "pycocotools",
    "scipy",
    "tensorboard",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "openvino",
    "h5py",
    "pandas",
    "pyarrow",
    "tornado",
]
ENGINE = "litehrnet.engine._native"
CODE = "import sys; sys.modules.update(dict.fromkeys({absent})); from litehrnet.cli.main import main; sys.exit(main())"


def _base_install(
    *arguments: str | Path, cwd: Path | None = None, engine: bool = True
) -> subprocess.CompletedProcess[str]:
    code = CODE.format(absent=EXTRAS if engine else [*EXTRAS, ENGINE])
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "figure.png"
    write_image(path, draw_figure((120, 160))[0])
    return path


@pytest.mark.parametrize("engine", [True, False])
def test_weights_predict_without_any_extra(small_weights: Path, photo: Path, tmp_path: Path, engine: bool) -> None:
    command = ("predict", photo, "--whole-image", "--weights", small_weights, "--out-dir", tmp_path / "out")
    done = _base_install(*command, engine=engine)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "figure.png").is_file()
    assert done.stdout.startswith("runtime: native " if engine else "runtime: numpy ")


@pytest.mark.parametrize("engine", [True, False])
def test_a_photo_of_people_needs_no_option_no_extra_and_no_compiler(tmp_path: Path, engine: bool) -> None:
    """With the bundled weights and the bundled detector."""
    shutil.copy(PHOTO, tmp_path / "photo.jpg")
    done = _base_install("predict", "photo.jpg", "--csv", cwd=tmp_path, engine=engine)
    assert (done.returncode, done.stderr.count("\n")) == (0, 0 if engine else 1)
    assert "litehrnet-out: keypoints.json, keypoints.csv and drawn pictures (photos: 1, people: 3)" in done.stdout
    assert (tmp_path / "litehrnet-out" / "photo.jpg").is_file()


def test_demo_needs_no_extra(tmp_path: Path) -> None:
    done = _base_install("demo", "--out-dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "demo.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "needs"),
    [
        (
            ["predict", "PHOTO", "--whole-image", "--weights", "WEIGHTS", "--runtime", "torch", "--out-dir", "out"],
            "needs torch, which is",
        ),
        (
            ["predict", "PHOTO", "--whole-image", "--weights", "ONNX", "--runtime", "openvino", "--out-dir", "out"],
            "openvino",
        ),
        (["predict", "PHOTO", "--weights", "ONNX", "--out-dir", "out"], "needs onnxruntime, which is not installed"),
        (["convert", "WEIGHTS", "out.safetensors"], "litehrnet[train]"),
        (["export", "WEIGHTS"], "litehrnet[export]"),
        (["summary", "lite_hrnet_18"], "litehrnet[train]"),
        (["serve"], "litehrnet serve needs tornado, which is not installed (pip install 'litehrnet[serve]')"),
        (["predict", "PHOTO", "--parquet", "--out-dir", "out"], "needs pyarrow, which is"),
        (["score", "RESULTS", "ANNOTATIONS"], "computing AP needs pycocotools"),
    ],
)
def test_what_needs_an_extra_names_it_in_one_line(
    small_weights: Path, small_onnx: Path, photo: Path, tmp_path: Path, arguments: list[str], needs: str
) -> None:
    files = {"PHOTO": photo, "WEIGHTS": small_weights, "ONNX": small_onnx, "out": tmp_path / "out"}
    files |= {name: tmp_path / f"{name.lower()}.json" for name in ("RESULTS", "ANNOTATIONS")}
    files["ANNOTATIONS"].write_text('{"images": [], "annotations": []}')
    done = _base_install(*(files.get(word, word) for word in arguments))
    assert done.returncode == 2
    assert needs in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_version_says_which_runtimes_are_not_installed() -> None:
    done = _base_install("--version")
    assert done.returncode == 0
    assert "torch not installed" in done.stdout
    assert "onnxruntime not installed" in done.stdout
    assert "runtimes: native 0" in done.stdout
