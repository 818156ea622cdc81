"""What all tests share: the folder of reference files, and how its absence is treated."""

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from tests.figure import draw_figure

from litehrnet.data.settings import DataConfig
from litehrnet.io.images import write_image
from litehrnet.keypoints.skeletons import COCO, MPII
from litehrnet.variants import find_variant

# Without limits of time: machines are shared.
hypothesis.settings.register_profile(
    "suite",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    max_examples=60,
    derandomize=True,
)
hypothesis.settings.load_profile("suite")

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout."""
    return PROJECT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference files and photos: LITEHRNET_SHARED, else ../shared beside the checkout.

    Tests that need it skip where it is absent, or fail if LITEHRNET_REQUIRE_SHARED=1.
    """
    folder = Path(os.environ.get("LITEHRNET_SHARED", PROJECT.parent / "shared"))
    if not (folder / "reference").is_dir():
        reason = f"no reference files in {folder} (set LITEHRNET_SHARED to their folder)"
        if os.environ.get("LITEHRNET_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line per reason why tests were skipped."""
    reasons = Counter(str(report.longrepr[2]) for report in terminalreporter.getreports("skipped"))
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{count} skipped: {reason.removeprefix('Skipped: ')}")


def _require_tools(*tools: str) -> None:
    absent = [tool for tool in tools if not shutil.which(tool)]
    if absent:
        reason = f"no {', no '.join(absent)} (make tools-system installs them)"
        if os.environ.get("LITEHRNET_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def build_csrc(project: Path) -> Callable[..., Path]:
    """Builds the tests and the example of csrc without a warning, into a folder that it returns.

    Options are CMake's; ``for_arm`` is for 64-bit Arm, to be run by qemu-aarch64.
    """

    def build(folder: Path, *options: str, for_arm: bool = False) -> Path:
        _require_tools("cmake", "c++", *(["aarch64-linux-gnu-g++", "qemu-aarch64"] if for_arm else []))
        arm = ["SYSTEM_NAME=Linux", "SYSTEM_PROCESSOR=aarch64", "CXX_COMPILER=aarch64-linux-gnu-g++"]
        arm_options = [f"-DCMAKE_{option}" for option in [*arm, "EXE_LINKER_FLAGS=-static"]] if for_arm else []
        subprocess.run(
            ["cmake", "-S", project / "csrc", "-B", folder, "-DLITEHRNET_PYTHON=OFF", *options, *arm_options],
            check=True,
            capture_output=True,
        )
        done = subprocess.run(["cmake", "--build", str(folder), "-j2"], check=True, capture_output=True, text=True)
        assert "warning" not in done.stdout + done.stderr
        return folder

    return build


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A safetensors file of naive_lite_hrnet_18 for 64x64 crops, COCO keypoints, untrained but well scaled."""
    from litehrnet.bench.subject import write_random_weights

    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    write_random_weights(path, find_variant("naive_lite_hrnet_18"), (64, 64))
    return path


@pytest.fixture(scope="session")
def small_onnx(small_weights: Path) -> Path:
    """``small_weights``, exported."""
    from litehrnet.export.onnx import export_onnx

    path = small_weights.with_suffix(".onnx")
    export_onnx(small_weights, path)
    return path


@pytest.fixture(scope="session")
def small_litert(small_onnx: Path) -> Path:
    """``small_onnx`` as a LiteRT model."""
    from litehrnet.export.litert import translate
    from litehrnet.runtimes.onnxfile import read_info

    content = small_onnx.read_bytes()
    info = read_info(content, small_onnx)
    assert info is not None
    path = small_onnx.with_suffix(".tflite")
    path.write_bytes(translate(content, info, str(small_onnx)))
    return path


@pytest.fixture(scope="session")
def small_mpii_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare state dict of naive_lite_hrnet_18 with 16 keypoints, untrained."""
    import torch

    from litehrnet.models import create_network

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("mpii") / "weights.pth"
    torch.save(create_network("naive_lite_hrnet_18", 16).state_dict(), path)
    return path


Figure = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="session")
def figure() -> Figure:
    """A drawn person: the photo, 120 pixels wide and 160 high, COCO's 17 joints and the box."""
    image, joints, box = draw_figure((120, 160))
    return image, joints, box


@pytest.fixture
def coco_content(tmp_path: Path, figure: Figure) -> dict[str, Any]:
    """COCO annotations of three drawn photos with one person each; ``save_coco`` writes what a test made of them."""
    photos = tmp_path / "photos"
    photos.mkdir()
    image, joints, box = figure
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": 1, "name": "person", "keypoints": [*COCO.keypoint_names], "skeleton": [[16, 14]]}]
    for number in (1, 2, 3):
        striped = image.copy()
        striped[:, : 4 * number] = 60 * number  # tells the photos apart
        write_image(photos / f"{number}.jpg", striped)
        content["images"].append({"id": number, "file_name": f"{number}.jpg", "width": 120, "height": 160})
        person: dict[str, Any] = {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "num_keypoints": 17}
        person |= {"bbox": box.astype(float).tolist(), "area": float(box[2] * box[3]) / 2}
        person |= {"keypoints": np.insert(joints.astype(float), 2, 2, axis=1).ravel().tolist()}
        content["annotations"].append(person)
    return content


@pytest.fixture
def save_coco(tmp_path: Path) -> Callable[[dict[str, Any]], DataConfig]:
    """Writes annotations of the photos of ``coco_content``."""

    def save(content: dict[str, Any]) -> DataConfig:
        path = tmp_path / "annotations.json"
        path.write_text(json.dumps(content))
        return DataConfig("coco", str(path), str(tmp_path / "photos"))

    return save


@pytest.fixture
def drawn_coco(coco_content: dict[str, Any], save_coco: Callable[[dict[str, Any]], DataConfig]) -> DataConfig:
    """Three drawn persons in COCO's format, ready to train on."""
    return save_coco(coco_content)


@pytest.fixture
def drawn_mpii(tmp_path: Path, figure: Figure) -> DataConfig:
    """One drawn person in MPII's format: the joints that COCO has too are visible."""
    image, joints, box = figure
    folder = tmp_path / "mpii"
    folder.mkdir()
    write_image(folder / "m.jpg", image)
    found = dict(zip(COCO.keypoint_names, joints.astype(float).tolist(), strict=True))
    entry = {
        "image": "m.jpg",
        "center": [float(box[0] + box[2] / 2 + 1), float(box[1] + box[3] / 2 + 1)],
        "scale": float(box[3]) / 200,
        "joints": [[value + 1 for value in found.get(name, (-2, -2))] for name in MPII.keypoint_names],
        "joints_vis": [int(name in found) for name in MPII.keypoint_names],
    }
    (folder / "mpii.json").write_text(json.dumps([entry]))
    return DataConfig("mpii", str(folder / "mpii.json"), str(folder))
