"""The whole path segments: drawn scenes as files go in, mIoU on others that were held out comes out."""

import json
from pathlib import Path

import pytest
import torch
from tests.drawn_scenes import write_scenes
from torch import nn

from litehrnet.cli.main import main
from litehrnet.models.networks import create_network
from litehrnet.models.weights import save_network
from litehrnet.segmentation.classes import find_class_set
from litehrnet.weights.weights_file import WeightsInfo

RECIPE = """
variant = "lite_hrnet_18"
input_size_wh = (96, 96)
segmentation = dict(
    classes="{folder}/drawn/classes.json",
    scale=(0.75, 1.5),
    brightness=0.0,  # of scenes whose colors vary already: half the steps are enough so
    contrast=0.0,
    saturation=0.0,
)
train = (dict(format="folder", images="{folder}/drawn/images", annotations="{folder}/drawn/labels"),)
training = dict(
    epochs=70,  # 350 steps
    batch_size=8,
    workers=0,
    optimizer=dict(kind="muon", learning_rate=4e-3),
    schedule=dict(kind="poly", warmup_iterations=20),
    loss=dict(kind="cross_entropy"),
    save_every=70,
)
test = dict(format="folder", images="{folder}/held_out/images", annotations="{folder}/held_out/labels")
load_from = "{folder}/start.safetensors"
work_dir = "{folder}/run"
"""


@pytest.mark.slow
def test_drawn_scenes_are_learned_within_350_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """45 scenes to train on, 15 to test on."""
    write_scenes(tmp_path / "drawn", 45)
    write_scenes(tmp_path / "held_out", 15, first=45)
    write_start(tmp_path / "start.safetensors", tmp_path / "drawn" / "classes.json")
    recipe = tmp_path / "scenes.py"
    recipe.write_text(RECIPE.format(folder=tmp_path))
    assert main(["train", str(recipe)]) == 0
    assert torch.load(tmp_path / "run" / "latest.pth", weights_only=True)["meta"]["iter"] == 350
    capsys.readouterr()
    assert main(["test", str(tmp_path / "run" / "last.safetensors"), "--config", str(recipe), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mIoU"] > 0.9


def write_start(path: Path, classes: Path) -> None:
    """Random weights that keep the size of what passes through, as docs/segmentation.md advises for short trainings."""
    torch.manual_seed(0)
    network = create_network("lite_hrnet_18", num_classes=4)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    save_network(path, network, WeightsInfo("lite_hrnet_18", find_class_set(str(classes))))
