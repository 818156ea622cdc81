"""A detector that learns from another detector."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from litehrnet.config.schema import DistillConfig, RunConfig, with_outputs
from litehrnet.data.settings import DetectionConfig
from litehrnet.detection.maps import DISTANCE_UNIT, encode
from litehrnet.detection.objects import ObjectClass
from litehrnet.models import create_network
from litehrnet.models.weights import save_network
from litehrnet.training.distill import distilled, distilled_boxes, open_teacher
from litehrnet.training.loader import TensorBatch
from litehrnet.weights.weights_file import WeightsInfo

NO_BOX = np.zeros((0, 4), np.float32)
CONFIG = with_outputs(RunConfig("person", "lite_hrnet_18", (64, 64), detection=DetectionConfig()))
CPU = torch.device("cpu")


@pytest.fixture
def teacher_file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = create_network("lite_hrnet_18", boxes=True)
    save_network(tmp_path / "t.safetensors", network, WeightsInfo("lite_hrnet_18", ObjectClass("person"), (64, 64)))
    return tmp_path / "t.safetensors"


def _targets() -> torch.Tensor:
    return torch.from_numpy(encode(np.array([[8, 8, 40, 56]], np.float32), NO_BOX, (16, 16)).stacked())[None]


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_sides_are_mixed_in_the_cells_of_an_object(share: float) -> None:
    targets, maps = _targets(), torch.zeros(1, 5, 16, 16)
    mixed, own = distilled_boxes(targets, maps, share), targets[0, 5] > 0
    expected = (1 - share) * targets[0, 1:5, own] + share * DISTANCE_UNIT
    torch.testing.assert_close(mixed[0, 1:5, own], expected)
    assert (mixed[0, 1:5, ~own] == 1).all()
    assert (mixed[:, 5:] == targets[:, 5:]).all()


def test_a_center_stays_one_and_what_the_teacher_sees_elsewhere_costs_less() -> None:
    targets, maps = _targets(), torch.full((1, 5, 16, 16), -9.0)
    maps[0, 0, 2, 14] = 9
    mixed = distilled_boxes(targets, maps, 1.0)
    assert mixed[0, 0, 2, 14] > 0.99
    assert ((mixed[:, 0] == 1) == (targets[:, 0] == 1)).all()


def test_the_teacher_is_run_on_the_batch(teacher_file: Path) -> None:
    teacher = open_teacher(CONFIG, DistillConfig(str(teacher_file), share=0.5), CPU)
    targets = _targets()
    batch = TensorBatch(torch.zeros(1, 64, 64, 3, dtype=torch.uint8), targets, torch.empty(1, 0), [0])
    expected = distilled_boxes(targets, torch.from_numpy(teacher.runtime.forward(batch.images.numpy())), 0.5)
    assert (distilled(copy.copy(batch), teacher).targets == expected).all()
    assert "0.5 of the targets of boxes" in teacher.description


def test_what_cannot_be_is_one_sentence(teacher_file: Path, user_error: Any) -> None:
    config = replace(CONFIG, input_size_wh=(192, 256))
    assert "expected a detector of this package" in user_error(
        lambda: open_teacher(config, DistillConfig("lite_hrnet_18"), CPU)
    )
    wrong = DistillConfig(str(teacher_file), teacher_sigma=1.0)
    assert "teacher_sigma" in user_error(lambda: open_teacher(CONFIG, wrong, CPU))
