import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from litehrnet import PoseEstimator
from litehrnet.errors import UserError
from litehrnet.keypoints.skeletons import KEYPOINT_SETS
from litehrnet.runtimes.sdk import ONNX_SUFFIXES
from litehrnet.weights import zoo
from litehrnet.weights.zoo import AUTHORS_LINKS, DETECTORS, DOWNLOADS, SIMCC_LINKS, find_detector, find_weights

_RTMPOSE = "https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/onnx_sdk/"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own box and cache folder."""
    monkeypatch.setattr(zoo, "BUNDLED", tmp_path / "box")
    monkeypatch.setattr(zoo, "cache_folder", lambda: tmp_path / "cache")
    for name in ("box", "cache"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_names_carry_the_digits_that_files_are_checked_by() -> None:
    networks = (*DOWNLOADS, *DETECTORS)
    assert len({network.name for network in networks}) == len({n.url for n in networks}) == len(networks)
    checkpoints = [download for download in DOWNLOADS if download.path.suffix == ".pth"]
    assert len(checkpoints) == 16
    for download in checkpoints:
        assert re.fullmatch(r"[0-9a-f]{8}", download.sha256)
        assert f"-{download.sha256}_20" in download.url
        assert download.url.startswith("https://download.openmmlab.com/mmpose/")
        network = re.split(r"_\d+x\d+$|_mpii$", download.name.removeprefix("mmpose_").removeprefix("1x_"))[0]
        assert re.sub("lite_hrnet_", "litehrnet", network) in download.url
        height_x_width = f"{download.input_size_wh[1]}x{download.input_size_wh[0]}"
        assert f"{download.finds}" in download.url
        assert height_x_width in download.url
        assert download.checked_by == "first 8 digits of the SHA-256"
    for simcc in (download for download in DOWNLOADS if download not in checkpoints):
        assert re.fullmatch(r"[0-9a-f]{64}", simcc.sha256)
        assert simcc.path.suffix in ONNX_SUFFIXES
        assert simcc.finds in KEYPOINT_SETS
    assert all(link.startswith(f"{_RTMPOSE}rtmpose-") for link in SIMCC_LINKS.values())
    for detector in DETECTORS:
        assert re.fullmatch(r"[0-9a-f]{64}", detector.sha256)
        assert detector.path.name == f"{detector.name}.onnx"
        assert detector.checked_by == "SHA-256"
    assert all(link.startswith("https://drive.google.com/") for link in AUTHORS_LINKS.values())


def test_names_in_the_box_are_its_files(folders: Path) -> None:
    (folders / "box" / "mine.safetensors").touch()
    assert find_weights("mine").path == find_weights(Path("mine")).path == folders / "box" / "mine.safetensors"


def test_files_come_before_names(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folders)
    (folders / "box" / "mine.safetensors").touch()
    (folders / "mine").touch()
    assert find_weights("mine").path == Path("mine")
    assert find_weights("run/mine").path == Path("run/mine")
    assert find_weights("./other").path == Path("other")
    assert find_weights("mine.pth").path == Path("mine.pth")


def test_a_name_that_was_not_fetched_says_how(folders: Path) -> None:
    with pytest.raises(UserError, match=r"^mmpose_lite_hrnet_18_mpii: not downloaded yet \(litehrnet models fetch "):
        find_weights("mmpose_lite_hrnet_18_mpii")


def test_fetched_weights_are_checked_whenever_they_are_used(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = hashlib.sha256(b"weights").hexdigest()[:8]
    monkeypatch.setattr(zoo, "DOWNLOADS", (replace(DOWNLOADS[4], sha256=digits),))
    path = folders / "cache" / "litehrnet18_mpii_256x256-cabd7984_20210623.pth"
    path.write_bytes(b"weights")
    assert find_weights("mmpose_lite_hrnet_18_mpii") == (path, (256, 256))
    path.write_bytes(b"weight5")
    with pytest.raises(UserError, match=r"cabd7984_20210623\.pth: damaged \(litehrnet models fetch mmpose_lite"):
        find_weights("mmpose_lite_hrnet_18_mpii")


def test_other_names_are_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^nothing: neither a file nor a known network \(litehrnet models lists"):
        find_weights("nothing")


def test_detectors_are_no_weights_nor_the_other_way_round() -> None:
    with pytest.raises(UserError, match=r"^yolox_s: finds people \(expected weights that find keypoints; use it"):
        find_weights("yolox_s")
    with pytest.raises(UserError, match=r"^mmpose_lite_hrnet_18_mpii: finds keypoints \(expected a detector; "):
        find_detector("mmpose_lite_hrnet_18_mpii")
    with pytest.raises(UserError, match=r"^yolox_x: neither a file nor a known network \(litehrnet models lists"):
        find_detector("yolox_x")


def test_the_estimator_takes_what_is_in_the_box(folders: Path, small_weights: Path) -> None:
    with pytest.raises(UserError, match=r"^lite_hrnet_18: this install has no bundled weights"):
        PoseEstimator()
    (folders / "box" / "lite_hrnet_18.safetensors").write_bytes(small_weights.read_bytes())
    image = np.zeros((64, 64, 3), np.uint8)
    by_default = PoseEstimator(whole_image=True).predict(image)
    named = PoseEstimator(small_weights, whole_image=True).predict(image)
    np.testing.assert_array_equal(by_default.keypoints, named.keypoints)


def test_the_input_size_of_a_name_is_used(
    folders: Path, small_mpii_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = hashlib.sha256(small_mpii_weights.read_bytes()).hexdigest()
    monkeypatch.setattr(zoo, "DOWNLOADS", (replace(DOWNLOADS[4], sha256=digits),))
    (folders / "cache" / "litehrnet18_mpii_256x256-cabd7984_20210623.pth").write_bytes(small_mpii_weights.read_bytes())
    for given, used in ((None, (256, 256)), ((128, 64), (128, 64))):
        estimator = PoseEstimator("mmpose_lite_hrnet_18_mpii", input_size_wh=given, whole_image=True)
        assert estimator.runtime.input_size_wh == used
