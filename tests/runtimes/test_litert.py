"""LiteRT models: what a file must be, and which runtime takes it. ``test_runtimes.py`` has what all runtimes share."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from litehrnet.errors import UserError
from litehrnet.runtimes import Runtime, described_weights, open_runtime
from litehrnet.runtimes.litertfile import read_info
from litehrnet.weights.weights_file import METADATA_KEY, read_weights


def test_model_carries_the_description_of_its_weights_and_runs_by_default(
    small_litert: Path, small_weights: Path
) -> None:
    info = read_weights(small_weights)[1]
    assert described_weights(small_litert) == info
    runtime = open_runtime(small_litert, threads=2)
    assert runtime.description.startswith("litert ")
    assert runtime.description.endswith(", float32, 2 threads")
    assert runtime.info == info


def test_pickled_runtime_opens_its_file_again(small_litert: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    runtime = open_runtime(small_litert, threads=1)
    again: Runtime = pickle.loads(pickle.dumps(runtime))
    np.testing.assert_array_equal(again.forward(crops), runtime.forward(crops))


def test_another_size_is_refused(small_litert: Path) -> None:
    with pytest.raises(UserError, match=r"\.tflite: input size is 64x64 \(width x height\) and cannot be changed to"):
        open_runtime(small_litert, input_size_wh=(96, 64))


def test_files_and_runtimes_that_do_not_fit_are_refused(
    small_litert: Path, small_weights: Path, small_onnx: Path
) -> None:
    for name in ("native", "numpy", "onnxruntime", "openvino", "torch"):
        with pytest.raises(UserError, match=rf"\.tflite: {name} does not run LiteRT models \(expected litert\)"):
            open_runtime(small_litert, name)
    for path in (small_weights, small_onnx):
        with pytest.raises(UserError, match=r"litert does not run this format \(expected \.tflite\)"):
            open_runtime(path, "litert")


def test_every_kind_of_damage_is_refused(small_litert: Path) -> None:
    content = small_litert.read_bytes()
    places = np.random.default_rng(0).integers(0, len(content), 12)
    edges = [*range(32), *range(len(content) - 8, len(content))]
    for place in (*places.tolist(), *edges):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        for broken in (bytes(damaged), content[:place]):
            with pytest.raises(UserError, match=r"^m\.tflite: [^\n]+$"):
                read_info(broken, Path("m.tflite"))


def test_references_that_lead_nowhere_are_refused() -> None:
    for content in (b"", b"TFL3", b"\xff" * 64, b"\xff\xff\xff\x7fTFL3", b"\x08\0\0\0TFL3\xff\xff\xff\xff\0\0\0\0"):
        with pytest.raises(UserError, match="not a LiteRT model, or damaged"):
            read_info(content, Path("m.tflite"))


def test_model_of_others_is_refused(small_litert: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.tflite"
    path.write_bytes(small_litert.read_bytes().replace(METADATA_KEY.encode(), b"x" * len(METADATA_KEY)))
    with pytest.raises(UserError, match=r"other\.tflite: has no description \(expected a LiteRT model that"):
        open_runtime(path)
