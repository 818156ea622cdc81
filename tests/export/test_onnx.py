from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from litehrnet.errors import UserError
from litehrnet.export import onnx as exporting
from litehrnet.export.onnx import SMALLEST_HALF, Comparison, export_onnx
from litehrnet.runtimes.onnxruntime import OnnxRuntime
from litehrnet.weights.weights_file import read_weights
from litehrnet.weights.zoo import BUNDLED

UNWANTED = {"BatchNormalization", "Shape", "SplitToSequence", "SequenceAt", "SequenceConstruct", "CastLike"}
"""Operators that slow ONNX Runtime down or that converters refuse."""


def test_model_carries_the_description_of_its_weights(small_weights: Path, small_onnx: Path) -> None:
    assert OnnxRuntime(small_onnx).info == read_weights(small_weights)[1]


def test_model_takes_any_batch_of_one_size_and_pools_by_fixed_sizes(small_onnx: Path) -> None:
    model = onnx.load(small_onnx)
    onnx.checker.check_model(model)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in dims[1:]] == [3, 64, 64]
    assert dims[0].dim_param
    assert not UNWANTED & {node.op_type for node in model.graph.node}
    assert not [node for node in model.graph.node if node.metadata_props or node.doc_string]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lite_hrnet_18", "person"])
def test_bundled_weights_are_exported_as_small_graphs_without_sequences(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.onnx"
    export_onnx(BUNDLED / f"{name}.safetensors", path, half=True)
    model = onnx.load_model_from_string(path.read_bytes())
    assert len(model.graph.node) <= 1300
    assert not UNWANTED & {node.op_type for node in model.graph.node}


def test_comparisons_cover_the_batches_and_both_kinds_of_images(
    small_weights: Path, small_onnx: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The export is slow, and this test concerns the comparison: so the graph of small_onnx is used again.
    monkeypatch.setattr(exporting, "serialize", lambda *_: small_onnx.read_bytes())
    comparisons = export_onnx(small_weights, tmp_path / "again.onnx")
    cases = [(c.images, c.batch) for c in comparisons]
    assert cases == [(images, batch) for images in ("random", "photo-like") for batch in (1, 2, 7)]
    assert all(c.equal for c in comparisons)
    assert max(c.relative_error for c in comparisons) < 2e-5
    assert (tmp_path / "again.onnx").is_file()


@pytest.mark.slow
def test_weights_stored_in_float16_are_smaller_and_give_the_rounded_weights_heatmaps(
    small_weights: Path, small_onnx: Path, tmp_path: Path
) -> None:
    comparisons = export_onnx(small_weights, tmp_path / "half.onnx", half=True)
    assert all(c.equal for c in comparisons)
    model = onnx.load(tmp_path / "half.onnx")
    onnx.checker.check_model(model)
    initializers = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    assert {v.dtype for v in initializers.values() if v.size >= SMALLEST_HALF} == {np.dtype(np.float16)}
    halves = [name for name, values in initializers.items() if values.dtype == np.float16]
    casts = [node.input[0] for node in model.graph.node if node.op_type == "Cast"]
    assert sorted(casts) == sorted(halves)
    assert not UNWANTED & {node.op_type for node in model.graph.node}
    # The weights are those of the file, rounded once.
    rounded = read_weights(small_weights)[0]["backbone.transition2.3.0.2.weight"].astype(np.float16)
    np.testing.assert_array_equal(initializers["backbone.transition2.3.0.2.weight.half"], rounded)
    assert (tmp_path / "half.onnx").stat().st_size < 0.8 * small_onnx.stat().st_size


class OneCellAside(OnnxRuntime):
    """Runtime of a subtly wrong model, whose heatmaps are moved by one cell."""

    def forward(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.roll(super().forward(crops), 1, axis=3)


@pytest.mark.slow
def test_model_whose_outputs_differ_is_not_kept(
    small_weights: Path, small_onnx: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(exporting, "serialize", lambda *_: small_onnx.read_bytes())
    monkeypatch.setattr(exporting, "OnnxRuntime", OneCellAside)
    with pytest.raises(UserError, match=r"wrong\.onnx: not written, because the model's outputs differ"):
        export_onnx(small_weights, tmp_path / "wrong.onnx")
    assert list(tmp_path.iterdir()) == []


def test_either_difference_alone_is_too_much() -> None:
    same = Comparison("random", 1, relative_error=1e-6, keypoint_shift=0.0)
    assert same.equal
    assert not replace(same, relative_error=1e-3).equal
    assert not replace(same, keypoint_shift=1.0).equal


def test_weights_that_raise_rounding_errors_are_allowed_theirs() -> None:
    rounded = Comparison("random", 1, relative_error=2e-4, rounding=1e-4)
    assert rounded.equal
    assert not replace(rounded, relative_error=5e-4).equal
    assert not replace(rounded, rounding=1e-5).equal


def test_folder_that_is_missing_and_onnx_as_source_are_refused(
    small_weights: Path, small_onnx: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(exporting, "serialize", lambda *_: small_onnx.read_bytes())
    with pytest.raises(UserError, match="cannot be written"):
        export_onnx(small_weights, tmp_path / "gone" / "out.onnx")
    with pytest.raises(UserError, match="an ONNX model"):
        export_onnx(small_onnx, tmp_path / "out.onnx")
