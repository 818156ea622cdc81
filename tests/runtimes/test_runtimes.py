"""One contract for all runtimes, and no silent replacement of one by another."""

import importlib.util
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from litehrnet.errors import UserError
from litehrnet.runtimes import RUNTIMES, Runtime, open_runtime

ONNX = ("onnxruntime", "openvino")


@pytest.fixture(scope="module")
def opened(small_weights: Path, small_onnx: Path, small_litert: Path) -> dict[str, Runtime]:
    files = {"onnxruntime": small_onnx, "openvino": small_onnx, "litert": small_litert}
    return {name: open_runtime(files.get(name, small_weights), name, threads=1) for name in RUNTIMES}


@pytest.fixture(scope="module")
def crops() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (7, 64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", RUNTIMES)
def test_runtime_gives_pytorchs_heatmaps(opened: dict[str, Runtime], crops: NDArray[np.uint8], name: str) -> None:
    expected, heatmaps = opened["torch"].forward(crops), opened[name].forward(crops)
    assert heatmaps.shape == (7, 17, 16, 16)
    assert heatmaps.dtype == np.float32
    assert np.abs(heatmaps - expected).max() <= 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_batch_gives_what_single_crops_give(
    opened: dict[str, Runtime], crops: NDArray[np.uint8], name: str, batch: int
) -> None:
    runtime = opened[name]
    together = runtime.forward(crops[:batch])
    single = np.concatenate([runtime.forward(crop[None]) for crop in crops[:batch]])
    np.testing.assert_allclose(together, single, rtol=0, atol=2e-5 * np.abs(single).max())


@pytest.mark.parametrize("name", RUNTIMES)
def test_runtime_says_what_it_is_and_knows_its_weights(opened: dict[str, Runtime], name: str) -> None:
    runtime = opened[name]
    assert runtime.description.startswith(name)
    assert "float32" in runtime.description
    assert runtime.input_size_wh == (64, 64)
    assert (runtime.info.variant, runtime.info.keypoint_set.name) == ("naive_lite_hrnet_18", "coco")


def test_mirrored_crops_which_are_views_are_taken_too(opened: dict[str, Runtime], crops: NDArray[np.uint8]) -> None:
    view = crops[:2, :, ::-1]
    for runtime in opened.values():
        np.testing.assert_array_equal(runtime.forward(view), runtime.forward(np.ascontiguousarray(view)))


@pytest.mark.parametrize("name", ["native", "onnxruntime", "litert"])
def test_one_runtime_serves_many_threads(opened: dict[str, Runtime], crops: NDArray[np.uint8], name: str) -> None:
    runtime = opened[name]
    expected = runtime.forward(crops)
    results: list[NDArray[np.float32]] = []
    threads = [threading.Thread(target=lambda: results.append(runtime.forward(crops))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(np.array_equal(result, expected) for result in results)


@pytest.mark.parametrize(
    ("name", "package", "suffix"),
    [("openvino", "openvino", ".onnx"), ("litert", "ai_edge_litert", ".tflite"), ("torch", "torch", ".pth")],
)
def test_absent_runtime_is_an_error_that_names_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str, suffix: str
) -> None:
    real = importlib.util.find_spec

    def find_spec(wanted: str, *more: Any) -> Any:
        return None if wanted == package else real(wanted, *more)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"")
    with pytest.raises(UserError, match=rf"needs {package}, which is not installed \(pip install 'litehrnet\["):
        open_runtime(path, name)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_weights_of_pytorch_are_refused_with_what_to_do(small_weights: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"{name} runs ONNX models .*litehrnet export"):
        open_runtime(small_weights, name)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("content", [b"", b"these are no weights", b"\x08\x01\x12\x03abc"])
def test_file_that_is_no_model_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.onnx: (not an ONNX model|has \d+ inputs|maps)") as error:
        open_runtime(path, name)
    assert "\n" not in str(error.value)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.onnx", tmp_path):
        with pytest.raises(UserError, match="no such file"):
            open_runtime(path)


def test_sizes_the_network_cannot_take_are_refused(small_mpii_weights: Path) -> None:
    with pytest.raises(UserError, match="nearest: 96x96 and 128x128"):
        open_runtime(small_mpii_weights, input_size_wh=(100, 100))


@pytest.mark.parametrize("name", ["native", "torch"])
def test_weights_run_at_another_size_without_being_read_again(
    small_weights: Path, small_mpii_weights: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "copy.pth" if small_mpii_weights.suffix == ".pth" else tmp_path / "copy.safetensors"
    path.write_bytes(small_mpii_weights.read_bytes())
    runtime = open_runtime(path, name, input_size_wh=(64, 64), threads=1)
    path.unlink()
    crops = np.random.default_rng(0).integers(0, 256, (2, 96, 64, 3), dtype=np.uint8)
    heatmaps = runtime.resized((64, 96)).forward(crops)
    expected = open_runtime(small_mpii_weights, name, input_size_wh=(64, 96), threads=1).forward(crops)
    np.testing.assert_array_equal(heatmaps, expected)
    assert runtime.input_size_wh == (64, 64)


@pytest.mark.parametrize("name", ONNX)
def test_an_exported_model_has_one_size(opened: dict[str, Runtime], name: str) -> None:
    with pytest.raises(
        UserError, match=r"\.onnx: input size is 64x64 \(width x height\) and cannot be changed to 96x64"
    ):
        opened[name].resized((96, 64))


def test_signals_are_handled_after_several_openvino_runtimes_are_gone(small_onnx: Path) -> None:
    """In a process of its own: what goes wrong here ends it."""
    code = (
        "import signal; from litehrnet.runtimes import open_runtime;"
        "signal.signal(signal.SIGTERM, lambda *_: print('handled'));"
        f"first, second = (open_runtime({str(small_onnx)!r}, 'openvino') for _ in range(2));"
        "del first; del second; signal.raise_signal(signal.SIGTERM)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
