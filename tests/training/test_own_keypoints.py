"""Your own keypoints, as a user trains them: from the bundled weights, with a schedule that fits the set."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.drawn_persons import DrawnPerson, write_drawn_persons
from tests.figure import draw_figure

from litehrnet.cli.main import main
from litehrnet.data.records import Record
from litehrnet.errors import UserError
from litehrnet.evaluation.score import records_oks, records_pck
from litehrnet.keypoints.sides import mirroring_text
from litehrnet.keypoints.skeletons import COCO, LSP, from_dict
from litehrnet.models import create_network
from litehrnet.models.weights import read_any_weights
from litehrnet.training.initial_weights import HEAD, load_weights
from litehrnet.training.with_detector import bundled_start, detector_config, object_name

PARTS = ("Left Eye", "Right Eye", "beak")
"""The last keypoint is not one of COCO's, and the first two are spelled differently."""


def _set(folder: Path, name: str, seeds: range) -> None:
    """Drawn figures whose annotations name 17 keypoints of their own."""
    persons: list[DrawnPerson] = [draw_figure((96, 128), seed=seed) for seed in seeds]
    write_drawn_persons(persons, folder / f"{name}.json", folder / name, ".png")
    content = json.loads((folder / f"{name}.json").read_text())
    (category,) = content["categories"]
    category |= {"name": "puppet", "keypoints": [f"{part.title()} Of Puppet" for part in COCO.keypoint_names]}
    (folder / f"{name}.json").write_text(json.dumps(content))


def _recipe(folder: Path, count: int, lines: str = "") -> Path:
    _set(folder, "train", range(count))
    _set(folder, "val", range(1000, 1000 + max(2, count // 4)))
    path = folder / "puppets.py"
    path.write_text(
        f"""
variant = "lite_hrnet_18"
keypoints = "{folder}/train.json"
input_size_wh = (96, 128)
codec = dict(sigma=1.5)
train = (dict(format="coco", annotations="{folder}/train.json", images="{folder}/train"),)
validation = dict(format="coco", annotations="{folder}/val.json", images="{folder}/val")
work_dir = "{folder}/run"
{lines}
"""
    )
    return path


def test_keypoints_of_the_same_name_start_from_the_bundled_head() -> None:
    own = from_dict({"name": "own", "keypoints": list(PARTS)}, "own.json")
    network = create_network("lite_hrnet_18", len(own))
    random_start = network.state_dict()[HEAD[0]].clone()
    said = load_weights(network, Path("lite_hrnet_18"), own)
    assert said == "weights of lite_hrnet_18; new keypoints start at random: beak"
    weights, info = read_any_weights(Path("lite_hrnet_18"))
    head = network.state_dict()[HEAD[0]]
    for row, name in enumerate(("left_eye", "right_eye")):
        source = info.keypoint_set.keypoint_names.index(name)
        assert torch.equal(head[row], weights[HEAD[0]][source])
    assert torch.equal(head[2], random_start[2])


def test_keypoints_in_another_order_start_from_their_own_rows() -> None:
    network = create_network("lite_hrnet_18", 17)
    turned = from_dict({"name": "own", "keypoints": list(reversed(COCO.keypoint_names))}, "own.json")
    assert load_weights(network, Path("lite_hrnet_18"), turned) == "weights of lite_hrnet_18"
    weights, _ = read_any_weights(Path("lite_hrnet_18"))
    for name in HEAD:
        assert torch.equal(network.state_dict()[name], weights[name].flip(0))


def test_header_line_names_pairs_and_sides_without_partner() -> None:
    assert mirroring_text(LSP).startswith("left_hip and right_hip, left_knee and right_knee, ")
    assert mirroring_text(LSP).endswith(" change places")
    own = from_dict({"name": "own", "keypoints": ["nose_L", "tail", "Left Eye", "Right Eye"]}, "own.json")
    assert mirroring_text(own).startswith("Left Eye and Right Eye change places; NO PARTNER FOUND for nose_L (")
    assert mirroring_text(from_dict({"name": "own", "keypoints": ["tail"]}, "")) == "no keypoints change places"


def test_pck_of_records_counts_annotated_keypoints_within_a_fifth_of_the_box() -> None:
    joints = np.array([[10, 10], [20, 20], [0, 0]], np.float32)
    visible = np.array([1, 1, 0], np.float32)
    record = Record(Path("a"), 1, 1, np.zeros(2), np.ones(2), 1.0, joints, visible, np.array([50.0, 30.0]))
    found = joints + np.array([[9.9, 0], [0, 10.1], [99, 99]], np.float32)
    assert records_pck([record], found[None]) == 0.5
    assert records_pck([replace(record, visible=0 * visible)], found[None]) == -1


def test_detector_learns_the_same_objects_from_the_same_files(tmp_path: Path) -> None:
    from litehrnet.config.recipes import read_recipe

    config = read_recipe(_recipe(tmp_path, 2))
    assert object_name(config) == "puppet"
    detector = detector_config(config, "puppet", tmp_path / "run" / "detector", tmp_path / "start.safetensors")
    assert detector.detection is not None
    assert (detector.detection.objects, detector.keypoints, detector.train) == ("puppet", None, config.train)
    assert detector.training.loss.kind == "boxes"
    assert detector.fitted == config.fitted


def test_detector_of_people_starts_from_the_bundled_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litehrnet.training.with_detector.BUNDLED", tmp_path)
    assert bundled_start("lite_hrnet_18", "person") is None  # there is none
    bundled = tmp_path / "person.safetensors"
    bundled.write_bytes(b"")
    assert bundled_start("lite_hrnet_18", "person") == bundled
    assert bundled_start("lite_hrnet_18", "puppet") is None
    assert bundled_start("lite_hrnet_30", "person") is None


def test_detector_needs_annotations_of_one_category(tmp_path: Path) -> None:
    from litehrnet.config.recipes import read_recipe

    config = read_recipe(_recipe(tmp_path, 2))
    content = json.loads((tmp_path / "train.json").read_text())
    content["categories"].append({"id": 2, "name": "other", "keypoints": content["categories"][0]["keypoints"]})
    content["annotations"][0]["category_id"] = 2
    (tmp_path / "train.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="keypoints of puppet, other \\(expected one category"):
        object_name(config)
    with pytest.raises(UserError, match="needs keypoints"):
        object_name(replace(config, keypoints=None))


@pytest.mark.slow
def test_one_command_trains_both_networks_and_names_the_command_that_uses_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = _recipe(tmp_path, 4, "training = dict(epochs=1, batch_size=2)")
    assert main(["train", str(recipe), "--with-detector"]) == 0
    command = capsys.readouterr().out.splitlines()[-1].removeprefix("with both: ")
    weights, detector = f"{tmp_path}/run/best.safetensors", f"{tmp_path}/run/detector/best.safetensors"
    assert command == f"litehrnet predict PHOTOS --weights {weights} --detector {detector} --out-dir OUT"
    words = command.replace("PHOTOS", f"{tmp_path}/val").replace("OUT", f"{tmp_path}/out").split()
    assert main(words[1:]) == 0
    assert "start:         weights of " in (next((tmp_path / "run" / "detector").glob("*.log")).read_text())


@pytest.mark.slow
def test_sixty_photos_are_learned_the_first_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The schedule for COCO would end within its warm-up here, with AP 0."""
    recipe = _recipe(tmp_path, 60)
    assert main(["train", str(recipe), "training.epochs=12"]) == 0
    best: dict[str, Any] = json.loads((tmp_path / "run" / "best.json").read_text())
    assert best["key_indicator"] == "PCK"
    assert best["best_score"] > 0.8
    said = capsys.readouterr().out
    assert "chosen:        batch_size=8, optimizer.learning_rate=0.001, " in said
    assert "start:         weights of lite_hrnet_18, except 2 arrays" in said  # none of its keypoints has such a name


def test_oks_of_records_falls_with_the_distance_and_the_body_covers_half_of_the_box() -> None:
    joints = np.array([[10, 10], [0, 0]], np.float32)
    visible = np.array([1, 0], np.float32)
    record = Record(Path("a"), 1, 1, np.zeros(2), np.ones(2), 1.0, joints, visible, np.array([50.0, 30.0]))
    half = np.sqrt(2 * 0.53 * 1500 * 0.2**2 * np.log(2))
    found = np.stack([joints, joints + np.array([[half, 0], [99, 99]], np.float32)])
    assert abs(records_oks([record, record], found, [0.1, 0.1]) - 0.75) < 1e-6
    assert records_oks([replace(record, visible=0 * visible)], found[:1], [0.1, 0.1]) == -1
