from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from litehrnet.cli.main import main
from litehrnet.errors import UserError
from litehrnet.export import litert as exporting
from litehrnet.export.litert import export_litert, translate
from litehrnet.keypoints.skeletons import COCO
from litehrnet.models import create_network
from litehrnet.models.weights import save_network
from litehrnet.runtimes.litert import LiteRtRuntime
from litehrnet.runtimes.onnxfile import read_info
from litehrnet.weights.weights_file import WeightsInfo


def _operators(content: bytes) -> Counter[str]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    return Counter(operator["op_name"] for operator in interpreter._get_ops_details())


def _info(path: Path) -> WeightsInfo:
    info = read_info(path.read_bytes(), path)
    assert info is not None
    return info


def test_xnnpack_takes_the_whole_graph(small_litert: Path) -> None:
    operators = _operators(small_litert.read_bytes())
    assert operators["DELEGATE"] == 1
    assert operators["CONV_2D"] > 50
    assert not operators["RESIZE_NEAREST_NEIGHBOR"]


def test_exported_model_is_equal_on_random_images_and_on_a_photo(
    small_weights: Path, small_onnx: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(exporting, "serialize", lambda *_: small_onnx.read_bytes())
    comparisons = export_litert(small_weights, tmp_path / "out.tflite")
    assert {c.images for c in comparisons} == {"random", "photo-like", "photo"}
    assert all(c.equal for c in comparisons)
    assert [path.name for path in tmp_path.iterdir()] == ["out.tflite"]
    assert not _operators((tmp_path / "out.tflite").read_bytes())["DEQUANTIZE"]


@pytest.mark.slow
def test_lite_hrnet_with_float16_weights_is_equal(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = create_network("lite_hrnet_18")
    weights = tmp_path / "weights.safetensors"
    save_network(weights, network, WeightsInfo("lite_hrnet_18", COCO, (64, 64)))
    comparisons = export_litert(weights, tmp_path / "out.tflite", half=True)
    assert all(c.equal for c in comparisons)
    content = (tmp_path / "out.tflite").read_bytes()
    operators = _operators(content)
    assert operators["DELEGATE"] == 1
    assert operators["DEQUANTIZE"] > 50
    assert operators["MEAN"] == 48  # the spatial weightings
    assert len(content) < 0.7 * weights.stat().st_size


def _without_additions(content: bytes, *arguments: Any, **options: Any) -> bytes:
    """Convert as one public converter did: every sum is its first term."""
    model = onnx.load_from_string(content)
    for node in model.graph.node:
        if node.op_type == "Add":
            node.op_type = "Relu"
            del node.input[1:]
    return translate(model.SerializeToString(), *arguments, **options)


class OneCellAside(LiteRtRuntime):
    """Runtime of a subtly wrong model, whose heatmaps are moved by one cell."""

    def forward(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.roll(super().forward(crops), 1, axis=3)


@pytest.mark.parametrize(
    ("part", "wrong"),
    [("translate", _without_additions), pytest.param("LiteRtRuntime", OneCellAside, marks=pytest.mark.slow)],
    ids=["sums", "shifted"],
)
def test_model_whose_outputs_differ_is_not_kept(
    small_weights: Path,
    small_onnx: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    part: str,
    wrong: Any,
) -> None:
    monkeypatch.setattr(exporting, "serialize", lambda *_: small_onnx.read_bytes())
    monkeypatch.setattr(exporting, part, wrong)
    assert main(["export", str(small_weights), "--out", str(tmp_path / "wrong.tflite")]) == 2
    error = capsys.readouterr().err.strip()
    assert "wrong.tflite: not written, because the model's outputs differ" in error
    assert "\n" not in error
    assert list(tmp_path.iterdir()) == []


def _changed(path: Path, operator: str, **attributes: Any) -> bytes:
    """Give the first node with an operator other attributes, or the name of another operator."""
    model = onnx.load(path)
    node = next(node for node in model.graph.node if node.op_type == operator)
    node.op_type = attributes.pop("op_type", operator)
    kept = [attribute for attribute in node.attribute if attribute.name not in attributes]
    del node.attribute[:]
    node.attribute.extend([*kept, *(onnx.helper.make_attribute(*item) for item in attributes.items())])
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("Relu", {"op_type": "Tanh"}),
        ("Conv", {"dilations": [2, 2], "pads": [2, 2, 2, 2]}),
        ("Resize", {"nearest_mode": "ceil"}),
    ],
)
def test_graph_that_is_not_translated_is_refused(small_onnx: Path, operator: str, attributes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"mine: its ONNX graph has {attributes.get('op_type', operator)} \(node "):
        translate(_changed(small_onnx, operator, **attributes), _info(small_onnx), "mine")
