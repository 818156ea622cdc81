"""Networks to measure: random weights without PyTorch, and the reference implementation's graph."""

import copy
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from tests.compiled_variants import COMPILED

from litehrnet.bench.subject import (
    RandomParameters,
    evaluate_twice,
    export_reference_graph,
    make_subject,
    write_random_weights,
)
from litehrnet.engine.compiler import compile_parameters
from litehrnet.errors import UserError
from litehrnet.keypoints.skeletons import COCO
from litehrnet.models import create_network
from litehrnet.models.weights import load_network
from litehrnet.variants import find_variant
from litehrnet.weights.weights_file import read_weights


@pytest.mark.parametrize("name", COMPILED)
def test_random_weights_are_all_that_the_network_has(tmp_path: Path, name: str) -> None:
    write_random_weights(tmp_path / "w.safetensors", find_variant(name), (32, 32))
    arrays, info = read_weights(tmp_path / "w.safetensors")
    expected = {k: tuple(v.shape) for k, v in create_network(name).state_dict().items() if "num_batches" not in k}
    assert {k: v.shape for k, v in arrays.items()} == expected
    assert (info.variant, info.input_size_wh) == (name, (32, 32))


@pytest.mark.parametrize("name", ["lite_hrnet_30", "dite_hrnet_30"])
def test_random_weights_keep_activations_bounded(tmp_path: Path, name: str) -> None:
    write_random_weights(tmp_path / "w.safetensors", find_variant(name), (64, 64))
    with torch.inference_mode():
        heatmaps = load_network(tmp_path / "w.safetensors")[0](torch.randn(1, 3, 64, 64))
    assert 0.01 < float(heatmaps.abs().max()) < 100


def test_random_weights_are_the_same_every_time() -> None:
    drawn = [RandomParameters(find_variant("lite_hrnet_18"), COCO, seed=0) for _ in range(2)]
    for parameters in drawn:
        compile_parameters(find_variant("lite_hrnet_18"), parameters, (32, 32), np.ones((2, 3)), bgr=False)
    first, second = (parameters.arrays for parameters in drawn)
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["naive_lite_hrnet_18", "dite_hrnet_18"])
def test_published_way_of_fusing_computes_the_same_and_more_often(tmp_path: Path, name: str) -> None:
    write_random_weights(tmp_path / "w.safetensors", find_variant(name), (64, 64))
    network = load_network(tmp_path / "w.safetensors")[0].double()
    published = evaluate_twice(copy.deepcopy(network))
    calls = {id(network): 0, id(published): 0}
    for one in (network, published):
        for module in one.modules():
            if isinstance(module, torch.nn.Conv2d):
                key = id(one)
                module.register_forward_hook(lambda *_, key=key: calls.update({key: calls[key] + 1}))
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.inference_mode():
        expected, found = network(images), published(images)
    assert float((expected - found).abs().max()) <= 1e-12 * float(expected.abs().max())
    assert calls[id(published)] > calls[id(network)]


def test_published_graph_is_the_same_network(small_weights: Path, tmp_path: Path) -> None:
    network, info = load_network(small_weights)
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = network(images).numpy()
    export_reference_graph(network, info, tmp_path / "p.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "p.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images.numpy()})
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["lite_hrnet_19", "gone.safetensors", "small.onnx"])
def test_what_is_no_network_is_refused(tmp_path: Path, name: str, small_weights: Path) -> None:
    (tmp_path / "small.onnx").write_bytes(b"x")
    with pytest.raises(UserError, match=name):
        make_subject(str(tmp_path / name) if "." in name else name, None, tmp_path)
