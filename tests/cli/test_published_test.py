"""``tools/test.py`` in parts; as a whole it is run in tests/reference/test_published_protocol.py."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml

from litehrnet.cli.main import run_command
from litehrnet.cli.published_test import parse, raw_outputs, run, write_outputs
from litehrnet.evaluation.predictions import Predictions


@pytest.fixture
def predictions() -> Predictions:
    rng = np.random.default_rng(0)
    return Predictions(
        image_files=[Path("val/000000000001.jpg"), Path("val/000000000002.jpg")],
        image_ids=np.array([1, 2]),
        box_ids=np.array([0, 1]),
        box_scores=np.array([0.5, 0.25]),
        centers=rng.uniform(0, 100, (2, 2)).astype(np.float32),
        scales=np.array([[0.75, 1], [1.5, 2]], np.float32),
        keypoints=rng.uniform(0, 100, (2, 17, 2)).astype(np.float32),
        scores=rng.random((2, 17), np.float32),
    )


def test_raw_outputs_have_the_published_layout(predictions: Predictions) -> None:
    first, second = raw_outputs(predictions)
    assert (first["preds"].shape, first["preds"].dtype) == ((1, 17, 3), np.float32)
    np.testing.assert_array_equal(second["preds"][0, :, :2], predictions.keypoints[1])
    np.testing.assert_array_equal(second["preds"][0, :, 2], predictions.scores[1])
    expected = [*predictions.centers[1], 1.5, 2, 300 * 400, 0.25]
    np.testing.assert_allclose(second["boxes"], [expected], rtol=1e-6)
    assert second["image_paths"] == ["val/000000000002.jpg"]
    assert second["bbox_ids"] == [1]
    assert second["output_heatmap"] is None


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml", ".pkl", ".pickle"])
def test_raw_outputs_are_written_by_suffix(predictions: Predictions, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"raw{suffix}"
    write_outputs(path, predictions)
    content = path.read_bytes()
    outputs = pickle.loads(content) if "p" in suffix else yaml.safe_load(content)
    if suffix == ".json":
        assert json.loads(content) == outputs
    assert isinstance(outputs[0]["preds"], np.ndarray if "p" in suffix else list)
    np.testing.assert_allclose(outputs[1]["preds"], raw_outputs(predictions)[1]["preds"], rtol=1e-6)


def test_unknown_format_is_refused_before_anything_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    options = parse(["litehrnet_18_coco_256x192", "weights.pth", "--out", "raw.txt"])
    assert run_command(run, options) == 2
    assert "raw.txt: unknown format (expected .json, .yaml, .yml, .pkl, .pickle)" in capsys.readouterr().err


def test_missing_checkpoint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(run, parse(["litehrnet_18_coco_256x192", "gone.pth"])) == 2
    error = capsys.readouterr().err
    assert "gone.pth: no such file" in error
    assert error.count("\n") == 1
