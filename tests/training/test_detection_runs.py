"""Runs that train a detector: resuming is exact, the weights say what they find, and evaluations keep the best."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.training.conftest import Runs
from tests.training.test_resume import assert_same_runs

from litehrnet.config.schema import LossConfig, RunConfig, with_outputs
from litehrnet.data.settings import DetectionConfig
from litehrnet.detection.objects import ObjectClass
from litehrnet.training.checkpoints import LATEST
from litehrnet.weights.weights_file import read_weights


@pytest.fixture
def detection_runs(small_config: RunConfig, tmp_path: Path, kept: Path) -> Runs:
    training = replace(small_config.training, loss=LossConfig("boxes"), ema=0.9)
    detection = DetectionConfig(mosaic_probability=0.5)
    config = replace(small_config, keypoints=None, detection=detection, training=training)
    return Runs(with_outputs(config), tmp_path, kept)


def test_a_detector_resumes_bit_for_bit(detection_runs: Any) -> None:
    config = detection_runs.config("resumed")
    assert detection_runs.run(config, stop_after=3) == 143
    latest = Path(config.work_dir) / LATEST
    assert detection_runs.run(detection_runs.config("resumed", resume_from=latest)) == 0
    assert_same_runs(detection_runs.whole(), Path(config.work_dir))


def test_weights_and_log_say_what_is_found_and_how_well(detection_runs: Any) -> None:
    folder = detection_runs.whole(validate=True, epochs=1)
    _, info = read_weights(folder / "last.safetensors")
    assert info.outputs == ObjectClass("person")
    assert info.input_size_wh == (64, 64)
    assert json.loads((folder / "best.json").read_text())["key_indicator"] == "AP"
    (log,) = folder.glob("*.log.json")
    header, *lines = map(json.loads, log.read_text().splitlines())
    assert "boxes (person)" in header["env_info"]["network"]
    assert "photos" in header["env_info"]["data"]
    assert {"boxes_loss", "acc_box"} <= lines[0].keys()
    assert {"AP", "AP50", "AR100"} <= lines[-1].keys()
