"""Learning from a teacher's heatmaps."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.simcc_models import write_rows
from torch import nn

from litehrnet.config.schema import DistillConfig, RunConfig
from litehrnet.data.photos import PhotoCache
from litehrnet.data.samples import make_batch
from litehrnet.data.settings import AugmentationConfig, DataConfig
from litehrnet.data.trainingset import read_training_set
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.skeletons import COCO, MPII
from litehrnet.models import create_network
from litehrnet.models.weights import save_network
from litehrnet.training.distill import Teacher, distilled, open_teacher, widening_matrix
from litehrnet.training.loader import TensorBatch
from litehrnet.weights.weights_file import WeightsInfo, read_weights

CPU = torch.device("cpu")


def _network(variant: str, keypoints: int = 17, seed: int = 0) -> Any:
    """A network with well scaled weights."""
    torch.manual_seed(seed)
    network = create_network(variant, keypoints)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
    return network.eval()


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_network(path, _network("naive_lite_hrnet_18"), WeightsInfo("naive_lite_hrnet_18", COCO))
    return path


class _Fixed:
    """A runtime that gives the same heatmaps for all crops."""

    description, input_size_wh, info = "fixed", (64, 64), WeightsInfo(None, COCO)

    def resized(self, input_size_wh: tuple[int, int]) -> "_Fixed":
        raise NotImplementedError

    def forward(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        rng = np.random.default_rng(0)
        return np.repeat(rng.random((1, 17, 16, 16), np.float32), len(crops), axis=0)


def _batch() -> TensorBatch:
    rng = np.random.default_rng(1)
    weights = torch.from_numpy(rng.integers(0, 2, (3, 17)).astype(np.float32))
    targets = torch.from_numpy(rng.random((3, 17, 16, 16), np.float32))
    return TensorBatch(torch.zeros(3, 64, 64, 3, dtype=torch.uint8), targets, weights, [0, 1, 2])


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_target_is_a_mixture_where_labeled_and_the_teachers_elsewhere(share: float) -> None:
    batch, same = _batch(), torch.eye(16)
    mixed = distilled(batch, Teacher(_Fixed(), share, "", (same, same)))
    taught = torch.from_numpy(_Fixed().forward(batch.images.numpy()))
    labeled = batch.weights > 0
    assert labeled.any()
    assert not labeled.all()
    torch.testing.assert_close(mixed.targets[~labeled], taught[~labeled])
    torch.testing.assert_close(mixed.targets[labeled], (share * taught + (1 - share) * batch.targets)[labeled])
    assert (mixed.weights == 1).all()


def test_crops_anywhere_learn_from_the_teacher_alone(drawn_coco: DataConfig) -> None:
    settings = AugmentationConfig(anywhere_probability=1.0)
    persons = read_training_set([drawn_coco], COCO, (64, 64), HeatmapCodec(), settings, 0)
    made = make_batch(persons, 0, [0, 1, 2], PhotoCache())
    images, targets, weights = map(torch.from_numpy, (made.images, made.targets, made.weights))
    batch = TensorBatch(images, targets, weights, made.indices.tolist())
    same = torch.eye(16)
    mixed = distilled(batch, Teacher(_Fixed(), 0.25, "", (same, same)))
    torch.testing.assert_close(mixed.targets, torch.from_numpy(_Fixed().forward(made.images)))
    assert (mixed.weights == 1).all()


@given(sigma=st.floats(0.8, 2.0), x=st.floats(12, 20), height=st.floats(0.1, 1.0))
def test_peaks_are_widened_in_place(sigma: float, x: float, height: float) -> None:
    cells = np.arange(33)
    narrow, wide = (height * np.exp(-((cells - x) ** 2) / (2 * s**2)) for s in (sigma, 2.0))
    np.testing.assert_allclose(widening_matrix(33, sigma, 2.0) @ narrow, wide, atol=0.02 * height)


def test_teacher_learns_at_the_input_size_of_the_run(small_config: RunConfig, teacher_file: Path) -> None:
    teacher = open_teacher(small_config, DistillConfig(str(teacher_file), share=0.3), CPU)
    heatmaps = teacher.runtime.forward(np.zeros((2, 64, 64, 3), np.uint8))
    assert heatmaps.shape == (2, 17, 16, 16)
    assert str(teacher_file) in teacher.description
    assert "0.3" in teacher.description


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share": 1.5}, "distill.share is 1.5 (expected a part, 0 to 1)"),
        ({"teacher_sigma": 3.0}, "the teacher's sigma is 3 (expected 0 to codec.sigma, 2)"),
        ({"teacher": "absent.safetensors"}, "absent.safetensors: no such file"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    small_config: RunConfig, teacher_file: Path, change: dict[str, Any], message: str, user_error: Any
) -> None:
    distill = replace(DistillConfig(str(teacher_file)), **change)
    assert message in user_error(lambda: open_teacher(small_config, distill, CPU))


def test_teacher_of_other_keypoints_is_one_sentence(small_config: RunConfig, tmp_path: Path, user_error: Any) -> None:
    path = tmp_path / "mpii.safetensors"
    save_network(path, _network("naive_lite_hrnet_18", 16), WeightsInfo("naive_lite_hrnet_18", MPII))
    said = user_error(lambda: open_teacher(small_config, DistillConfig(str(path)), CPU))
    assert "finds 16 keypoints" in said
    assert "expected the 17 that are trained" in said


def test_teacher_with_a_simcc_head_is_one_sentence(small_config: RunConfig, tmp_path: Path, user_error: Any) -> None:
    rows = np.zeros((1, 17, 128), np.float32)
    path = write_rows(tmp_path / "rtmpose.onnx", rows, rows, image=("batch", 3, 64, 64))
    said = user_error(lambda: open_teacher(small_config, DistillConfig(str(path)), CPU))
    assert said == f"{path}: has a SimCC head (expected a network with heatmaps)"


def test_a_run_learns_from_heatmaps_and_resumes_exactly(runs: Any, teacher_file: Path) -> None:
    distill = DistillConfig(str(teacher_file))
    whole, parts = (replace(runs.config(name, workers=0), distill=distill) for name in ("whole", "parts"))
    assert runs.run(whole) == 0
    for stop in (2, 4):
        runs.run(replace(parts, resume_from="latest"), stop_after=stop)
    assert runs.run(replace(parts, resume_from="latest")) == 0
    assert runs.run(runs.config("alone")) == 0
    ends = [read_weights(runs.folder / name / "last.safetensors")[0] for name in ("whole", "parts", "alone")]
    for name, array in ends[0].items():
        assert array.tobytes() == ends[1][name].tobytes(), name
    assert any(array.tobytes() != ends[2][name].tobytes() for name, array in ends[0].items())
