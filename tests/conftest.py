"""What all tests share: the folder of reference files, and how its absence is treated."""

import os
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("suite", deadline=None, max_examples=60, derandomize=True)
hypothesis.settings.load_profile("suite")

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout."""
    return PROJECT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference files and photos: LITEHRNET_SHARED, else ../shared beside the checkout.

    Tests that need it skip where it is absent, or fail if LITEHRNET_REQUIRE_SHARED=1.
    """
    folder = Path(os.environ.get("LITEHRNET_SHARED", PROJECT.parent / "shared"))
    if not (folder / "reference").is_dir():
        reason = f"no reference files in {folder} (set LITEHRNET_SHARED to their folder)"
        if os.environ.get("LITEHRNET_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A safetensors file of naive_lite_hrnet_18 for 64x64 crops, COCO keypoints, untrained but well scaled."""
    from litehrnet.cli.demo import random_weights

    return random_weights(tmp_path_factory.mktemp("small") / "small.safetensors", "naive_lite_hrnet_18", (64, 64))


@pytest.fixture(scope="session")
def small_onnx(small_weights: Path) -> Path:
    """``small_weights``, exported."""
    from litehrnet.export.onnx import export_onnx

    path = small_weights.with_suffix(".onnx")
    export_onnx(small_weights, path)
    return path


@pytest.fixture(scope="session")
def small_mpii_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare state dict of naive_lite_hrnet_18 with 16 keypoints, untrained."""
    import torch

    from litehrnet.models import create_network

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("mpii") / "weights.pth"
    torch.save(create_network("naive_lite_hrnet_18", 16).state_dict(), path)
    return path
