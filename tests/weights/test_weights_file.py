import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from litehrnet.errors import UserError
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.skeletons import MPII
from litehrnet.weights.weights_file import WeightsInfo, info_from_json, info_to_json, read_weights, write_weights

INFO = WeightsInfo(
    variant="lite_hrnet_30",
    outputs=MPII,
    input_size_wh=(256, 256),
    codec=HeatmapCodec("udp", sigma=3.5, blur_kernel=17, flip_shift=False),
    mean=(0.5, 0.25, 0.125),
    std=(1, 2, 3),
    provenance="trained by «us», 2026",
)
ARRAYS: dict[str, NDArray[Any]] = {
    "a": np.arange(12, dtype=np.float32).reshape(3, 4),
    "half": np.array([0.5, 2], np.float16),
    "counter": np.array(7),
}


def _written(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    write_weights(path, ARRAYS, INFO)
    return path


def test_arrays_and_description_come_back_as_they_were(tmp_path: Path) -> None:
    arrays, info = read_weights(_written(tmp_path))
    assert info == INFO
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_arrays_that_are_not_contiguous_are_written_as_they_look(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path, {"a": ARRAYS["a"].T}, INFO)
    np.testing.assert_array_equal(read_weights(path)[0]["a"], ARRAYS["a"].T)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = _written(tmp_path).read_bytes()
    path = tmp_path / "cut.safetensors"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cut\.safetensors: "):
            read_weights(path)


def test_bit_flips_are_refused(tmp_path: Path) -> None:
    whole = _written(tmp_path).read_bytes()
    path = tmp_path / "flipped.safetensors"
    rng = np.random.default_rng(0)
    for _ in range(2000):
        flipped = bytearray(whole)
        flipped[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            arrays, info = read_weights(path)
        except UserError:
            continue
        # White space of the header may change into other white space.
        assert info == INFO
        assert all(np.array_equal(arrays[name], array) for name, array in ARRAYS.items())


def test_safetensors_of_others_are_refused_with_what_to_do(tmp_path: Path) -> None:
    import safetensors.numpy

    path = tmp_path / "other.safetensors"
    for metadata in (None, {"format": "pt"}):
        path.write_bytes(safetensors.numpy.save(ARRAYS, metadata=metadata))
        with pytest.raises(UserError, match=r"has no litehrnet metadata .*litehrnet convert"):
            read_weights(path)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_weights(tmp_path / "gone.safetensors")
    with pytest.raises(UserError, match="cannot be read"):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("codec"),
        lambda d: d.update(input_size_wh=[1]),
        lambda d: d.update(input_size_wh="12"),
        lambda d: d.update(mean=[1, 2]),
        lambda d: d.update(std=None),
        lambda d: d["codec"].update(kind="other"),
        lambda d: d["codec"].update(unknown=1),
        lambda d: d["keypoint_set"].update(sigmas=[1]),
        lambda d: d.clear(),
    ],
)
def test_damaged_description_is_refused(change: Any) -> None:
    fields = json.loads(info_to_json(INFO))
    change(fields)
    with pytest.raises(UserError):
        info_from_json(json.dumps(fields), "weights.onnx")


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{"])
def test_description_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"weights\.onnx: has damaged litehrnet metadata"):
        info_from_json(text, "weights.onnx")
