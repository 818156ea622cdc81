"""Description and checksum in ONNX models, on one small enough to damage everywhere."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from litehrnet.errors import UserError
from litehrnet.keypoints.skeletons import unnamed
from litehrnet.runtimes import open_runtime
from litehrnet.runtimes.onnxfile import BLANK_DIGEST, DIGEST_KEY, PRODUCER, read_info, stamp
from litehrnet.weights.weights_file import METADATA_KEY, WeightsInfo, info_to_json

INFO = WeightsInfo("lite_hrnet_18", unnamed(2), (32, 32), provenance="a test")


def _model(*, ours: bool, batch: int | str = "n", keypoints: int = 2) -> bytes:
    """Heatmaps that are the mean of the image's channels, at a quarter."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, (keypoints, 3, 1, 1), np.full(keypoints * 3, 1 / 3))
    nodes = [helper.make_node("Conv", ["images", "w"], ["heatmaps"], strides=[4, 4])]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, 32, 32])
    heatmaps = helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, [batch, keypoints, 8, 8])
    graph = helper.make_graph(nodes, "g", [images], [heatmaps], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if not ours:
        return bytes(model.SerializeToString())
    model.producer_name = PRODUCER
    for key, value in ((METADATA_KEY, info_to_json(INFO)), (DIGEST_KEY, BLANK_DIGEST)):
        model.metadata_props.add(key=key, value=value)
    return stamp(model.SerializeToString())


def test_description_comes_back_and_the_model_stays_a_model() -> None:
    content = _model(ours=True)
    assert read_info(content, Path("m.onnx")) == INFO
    onnx.checker.check_model(onnx.load_from_string(content))


def test_every_truncation_is_refused() -> None:
    content = _model(ours=True)
    graph = content.index(b"images")
    for length in range(len(content)):
        try:
            assert read_info(content[:length], Path("m.onnx")) is None
        except UserError:
            continue
        # So short, nothing says whose model it is; there is nothing in it that a runtime could load.
        assert length < graph


def test_bit_flips_are_refused() -> None:
    content = _model(ours=True)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        flipped = bytearray(content)
        flipped[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        with pytest.raises(UserError, match=r"m\.onnx: "):
            read_info(bytes(flipped), Path("m.onnx"))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("batch", ["n", 1])
def test_foreign_models_run_with_the_published_defaults(tmp_path: Path, runtime: str, batch: int | str) -> None:
    path = tmp_path / "foreign.onnx"
    path.write_bytes(_model(ours=False, batch=batch, keypoints=16))
    opened = open_runtime(path, runtime)
    assert opened.info.variant is None
    assert (opened.info.keypoint_set.name, opened.input_size_wh) == ("mpii", (32, 32))
    crops = np.full((3, 32, 32, 3), 255, np.uint8)
    expected = np.mean((1 - np.array(opened.info.mean)) / np.array(opened.info.std))
    heatmaps = opened.forward(crops)
    assert heatmaps.shape == (3, 16, 8, 8)
    np.testing.assert_allclose(heatmaps, expected, rtol=1e-5)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_models_that_are_no_pose_networks_are_refused(tmp_path: Path, runtime: str) -> None:
    path = tmp_path / "foreign.onnx"
    path.write_bytes(_model(ours=False, batch=4))
    with pytest.raises(UserError, match="has a fixed batch of 4 images"):
        open_runtime(path, runtime)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 5]) for name in ("a", "b")]
    graph = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=r"expected images \(n, 3, H, W\)"):
        open_runtime(path, runtime)
