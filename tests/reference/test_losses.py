"""Losses and training accuracy against the published ones (geometry.npz)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from litehrnet.training.losses import keypoint_accuracy, keypoint_mse, keypoint_ohkm

Batch = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, np.ndarray]:
    with np.load(shared / "reference" / "geometry.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if name.startswith(("loss_", "acc_"))}


@pytest.fixture(scope="module")
def batch(reference: dict[str, np.ndarray]) -> Batch:
    output, target, weight = (reference[f"loss_{name}"] for name in ("output_f16", "target", "target_weight"))
    return torch.from_numpy(output).float(), torch.from_numpy(target), torch.from_numpy(weight)


def test_weighted_and_unweighted_loss_equal_the_published_ones(reference: dict[str, np.ndarray], batch: Batch) -> None:
    output, target, weight = batch
    assert abs(float(keypoint_mse(output, target, weight)) - reference["loss_mse_weighted"]) < 1e-7
    unweighted = keypoint_mse(output, target, torch.ones_like(weight))
    assert abs(float(unweighted) - reference["loss_mse_unweighted"]) < 1e-7


def test_loss_of_hard_keypoints_equals_the_published_one(reference: dict[str, np.ndarray], batch: Batch) -> None:
    assert abs(float(keypoint_ohkm(*batch)) - reference["loss_ohkm_top8_weighted"]) < 1e-7


def test_accuracy_equals_the_published_one(reference: dict[str, np.ndarray], batch: Batch) -> None:
    average, per_keypoint = keypoint_accuracy(*batch)
    assert average == reference["acc_avg"]
    assert per_keypoint.tolist() == reference["acc_per_joint"].tolist()
    assert int((per_keypoint >= 0).sum()) == reference["acc_valid_joint_count"]
