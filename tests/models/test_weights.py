import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from litehrnet.errors import UserError
from litehrnet.keypoints.skeletons import COCO, LSP, MPII
from litehrnet.models import create_network
from litehrnet.models.weights import load_network, network_from_weights, read_any_weights, save_network
from litehrnet.variants import VARIANTS
from litehrnet.weights.weights_file import WeightsInfo, read_weights


def _state(variant: str = "naive_lite_hrnet_18", num_keypoints: int = 17) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return dict(create_network(variant, num_keypoints).state_dict())


def _saved(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("variant", "count", "name"),
    [
        *((variant, 17, "coco") for variant in VARIANTS),
        *(("naive_lite_hrnet_18", count, name) for count, name in ((16, "mpii"), (14, "lsp"), (3, "unnamed"))),
        ("mobilenetv2", 3, "unnamed"),
    ],
)
def test_variant_and_keypoints_are_found_from_the_weights(tmp_path: Path, variant: str, count: int, name: str) -> None:
    network, info = load_network(_saved(tmp_path, _state(variant, count)))
    assert (network.variant.name, network.num_keypoints) == (variant, count)
    assert (info.variant, len(info.keypoint_set), info.keypoint_set.name) == (variant, count, name)
    assert info.input_size_wh is None
    assert not network.training


def test_published_checkpoint_is_loaded_exactly(tmp_path: Path) -> None:
    state = _state("lite_hrnet_18")
    content = {
        "meta": {"epoch": 210, "iter": 61320, "mmpose_version": "0.13.0", "hook_msgs": {}, "seed": None},
        "state_dict": OrderedDict((f"module.{name}", value) for name, value in state.items()),
        "optimizer": torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]).state_dict(),
    }
    network, _ = load_network(_saved(tmp_path, content))
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("variant", ["naive_lite_hrnet_18", "shufflenetv2"])
def test_mmpose_1_checkpoint_is_loaded_exactly(tmp_path: Path, variant: str) -> None:
    state = _state(variant)
    renamed = {name.replace("keypoint_head.", "head."): value for name, value in state.items()}
    network, _ = load_network(_saved(tmp_path, {"state_dict": renamed, "message_hub": {}}))
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_checkpoint_of_a_compiled_lightning_module_is_loaded_exactly(tmp_path: Path) -> None:
    state = _state()
    content = {"state_dict": {f"model._orig_mod.{name}": value for name, value in state.items()}, "epoch": 3}
    network, _ = load_network(_saved(tmp_path, content))
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_average_in_mmcvs_buffers_is_loaded_exactly(tmp_path: Path) -> None:
    state = _state()
    parameters = [name for name, _ in create_network("naive_lite_hrnet_18", 17).named_parameters()]
    buffers = {f"ema_{name.replace('.', '_')}": state[name] + 1 for name in parameters}
    path = _saved(tmp_path, {"state_dict": state | buffers})
    network = network_from_weights(*read_any_weights(path, average=True), str(path))
    plain, _ = load_network(path)
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name] + 1 if name in parameters else state[name])
        assert torch.equal(plain.state_dict()[name], state[name])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_cast_to_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {n: v.to(dtype) if v.is_floating_point() else v for n, v in _state().items()}
    network, _ = load_network(_saved(tmp_path, state))
    assert all(p.dtype == torch.float32 for p in network.parameters())
    weight = network.get_parameter("backbone.stem.conv1.conv.weight")
    assert torch.equal(weight, state["backbone.stem.conv1.conv.weight"].float())


def test_missing_batch_counters_are_fine(tmp_path: Path) -> None:
    state = {name: value for name, value in _state().items() if not name.endswith("num_batches_tracked")}
    load_network(_saved(tmp_path, state))


def test_reference_weights_give_the_reference_heatmaps(shared: Path) -> None:
    folder = shared / "reference"
    network, info = load_network(folder / "tinypose_wider_naive_litehrnet_18_coco_256x192.pth")
    assert (info.variant, info.keypoint_set) == ("wider_naive_lite_hrnet_18", COCO)
    with np.load(folder / "tinypose_photo_crops.npz") as arrays:
        crops, expected = arrays["crops"], arrays["heatmaps"]
    images = (crops / 255 - np.array(info.mean)) / np.array(info.std)
    with torch.inference_mode():
        heatmaps = network(torch.from_numpy(images.transpose(0, 3, 1, 2)).float()).numpy()
    assert np.abs(heatmaps - expected).max() <= 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("backbone.stem.conv1.conv.weight"),
            "1 missing, such as backbone.stem.conv1.conv.weight",
        ),
        (lambda s: s.update({"backbone.extra": torch.ones(1)}), "1 unexpected, such as backbone.extra"),
        (
            lambda s: s.update({"backbone.stem.conv1.bn.bias": torch.zeros(31)}),
            "1 of another shape, such as backbone.stem.conv1.bn.bias: (31,) instead of (32,)",
        ),
        (
            lambda s: s["backbone.stem.conv1.bn.bias"].fill_(float("nan")),
            "backbone.stem.conv1.bn.bias has values that are not finite",
        ),
        (lambda s: s.pop("keypoint_head.final_layer.weight"), "has no heatmap layer"),
        (
            lambda s: [s.pop(name) for name in list(s) if name.startswith("backbone.stage2")],
            "not weights of a known network (these weights have 30 channels in branch 0, like no network of",
        ),
        (
            lambda s: [s.pop(name) for name in list(s) if name.startswith("backbone.")],
            "these weights belong to another network family",
        ),
        (
            lambda s: s.update({"backbone.stem.conv1.bn.bias": torch.zeros(32, dtype=torch.complex64)}),
            "backbone.stem.conv1.bn.bias",
        ),
    ],
)
def test_mismatch_is_one_sentence(tmp_path: Path, change: object, message: str) -> None:
    state = _state()
    change(state)  # type: ignore[operator]
    with pytest.raises(UserError, match=re.escape(message)) as error:
        load_network(_saved(tmp_path, state))
    assert "weights.pth" in str(error.value)
    assert "\n" not in str(error.value)


def test_weights_of_another_variant_are_named() -> None:
    with pytest.raises(UserError) as error:
        network_from_weights(_state(), WeightsInfo("wider_naive_lite_hrnet_18", COCO), "mine.pth")
    said = str(error.value)
    assert said.startswith("mine.pth: does not have the arrays of wider_naive_lite_hrnet_18 with 17 keypoints")
    assert said.endswith("these weights have 30 channels in branch 0 and (2, 4, 2) modules: naive_lite_hrnet_18")


def test_a_wider_mobilenet_and_a_full_hrnet_are_not_taken_for_known_networks(tmp_path: Path) -> None:
    for variant, name in (
        ("mobilenetv2", "backbone.conv2.conv.weight"),
        ("small_hrnet_w16", "backbone.transition1.0.0.weight"),
    ):
        state = _state(variant)
        state[name] = torch.zeros(32, *state[name].shape[1:])
        with pytest.raises(UserError, match="these weights have 32 channels, like no network of"):
            load_network(_saved(tmp_path, state))


def test_onnx_models_are_not_networks(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="an ONNX model"):
        load_network(tmp_path / "weights.onnx")


@pytest.mark.parametrize("keypoint_set", [COCO, MPII, LSP])
def test_saved_network_is_read_back_exactly(tmp_path: Path, keypoint_set: object) -> None:
    network = create_network("lite_hrnet_18", len(keypoint_set))  # type: ignore[arg-type]
    info = WeightsInfo("lite_hrnet_18", keypoint_set, (96, 128), provenance="a test")  # type: ignore[arg-type]
    path = tmp_path / "weights.safetensors"
    save_network(path, network, info)
    again, same = load_network(path)
    assert same == info
    state = network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())
    assert set(read_weights(path)[0]) == set(state)
