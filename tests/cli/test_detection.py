"""The commands on detectors: convert, test, data check, summary, models."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.drawn_scenes_of_figures import write_figure_scenes

from litehrnet.cli.main import main
from litehrnet.detection.objects import ObjectClass
from litehrnet.models.networks import create_network
from litehrnet.models.weights import save_network
from litehrnet.weights.weights_file import WeightsInfo, read_weights

RECIPE = """
variant = "lite_hrnet_18"
input_size_wh = (96, 96)
detection = dict(objects="person")
train = (dict(format="coco", annotations="{folder}/drawn/annotations.json", images="{folder}/drawn/images"),)
training = dict(epochs=1, batch_size=4, workers=0, loss=dict(kind="boxes"))
test = dict(format="coco", annotations="{folder}/drawn/annotations.json", images="{folder}/drawn/images")
"""


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = create_network("lite_hrnet_18", boxes=True)
    save_network(tmp_path / "some.safetensors", network, WeightsInfo("lite_hrnet_18", ObjectClass("person"), (96, 96)))
    return tmp_path / "some.safetensors"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    write_figure_scenes(tmp_path / "drawn", 6)
    (tmp_path / "mine.py").write_text(RECIPE.format(folder=tmp_path))
    return tmp_path / "mine.py"


def test_test_prints_the_metrics_of_boxes(weights: Path, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = recipe.parent / "drawn"
    annotated = ["--annotations", str(drawn / "annotations.json"), "--images", str(drawn / "images")]
    assert main(["test", str(weights), *annotated]) == 0
    printed = capsys.readouterr().out
    assert "COCO box AP" in printed
    assert "AP50" in printed
    assert main(["test", str(weights), "--config", str(recipe), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["AP"] == 0  # the network is not trained


def test_test_refuses_what_is_for_keypoints(weights: Path, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(weights), "--config", str(recipe), "--per-keypoint"]) == 2
    assert "--per-keypoint" in capsys.readouterr().err


def test_pose_weights_are_not_taken_for_a_detector(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "lite_hrnet_18", "--config", str(recipe)]) == 2
    assert "finds 17 keypoints (coco) (expected the weights of a detector)" in capsys.readouterr().err


def test_data_check_names_bad_boxes_and_draws_samples(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = recipe.parent / "sheet.png"
    assert main(["data", "check", str(recipe), "--sheet", str(sheet)]) == 0
    assert "no problems" in capsys.readouterr().out
    assert sheet.is_file()
    path = recipe.parent / "drawn" / "annotations.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["bbox"] = [1, 2, 3]
    path.write_text(json.dumps(content))
    assert main(["data", "check", str(recipe), "--sheet", str(sheet)]) == 1
    assert "bbox is [1, 2, 3] (expected x, y, width and height)" in capsys.readouterr().out


@pytest.mark.parametrize("setting", ["detection.scale=0,1", "detection.mosaic_probability=2", "detection.aspect=nan"])
def test_numbers_that_cannot_be_are_refused_when_the_recipe_is_read(
    setting: str, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(recipe), setting]) == 2
    assert setting.partition("=")[0] in capsys.readouterr().err


def test_convert_keeps_running_variances_beyond_half_precision(weights: Path, tmp_path: Path) -> None:
    network = create_network("lite_hrnet_18", boxes=True)
    network.state_dict()["backbone.stem.conv1.bn.running_var"][0] = 1e6
    torch.save(network.state_dict(), tmp_path / "large.pth")
    out = tmp_path / "half.safetensors"
    assert main(["convert", str(tmp_path / "large.pth"), str(out), "--half", "--objects", "hand"]) == 0
    arrays, info = read_weights(out)
    assert info.outputs == ObjectClass("hand")
    assert arrays["backbone.stem.conv1.bn.running_var"][0] == 1e6
    assert arrays["backbone.stem.conv1.conv.weight"].dtype == np.float16
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_convert_and_predict_refuse_what_is_for_another_task(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out.safetensors")
    assert main(["convert", str(weights), out, "--codec", "dark"]) == 2
    assert "--codec" in capsys.readouterr().err
    assert main(["convert", "lite_hrnet_18", out, "--objects", "hand"]) == 2
    assert "--objects: only works with detectors" in capsys.readouterr().err


def test_summary_counts_a_detector_by_its_recipe(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", str(recipe), "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["boxes"] == 1
    assert metrics["variant"] == "lite_hrnet_18"
