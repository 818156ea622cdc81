"""The whole path detects: drawn scenes as files go in, box AP on others that were held out comes out."""

import json
from pathlib import Path

import pytest
from tests.drawn_scenes_of_figures import write_figure_scenes

from litehrnet.cli.main import main

RECIPE = "litehrnet_18_person_320x320"


@pytest.mark.slow
def test_drawn_metrics_are_found_after_two_minutes_of_the_person_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """96 scenes to train on, 24 to test on, from the bundled pose weights."""
    write_figure_scenes(tmp_path / "drawn", 96)
    write_figure_scenes(tmp_path / "held_out", 24, seed=1)
    sets = [
        f"{role}.{key}={tmp_path}/{folder}/{file}"
        for role, folder in (("train.0", "drawn"), ("train.1", "drawn"), ("validation", "held_out"))
        for key, file in (("annotations", "annotations.json"), ("images", "images"))
    ]
    settings = [
        "input_size_wh=160,160",
        "train.1.without=none",
        "validation.only=none",
        "detection.fill_from=none",
        "detection.scale=0.8,1.25",
        "detection.mosaic_probability=0",
        "training.epochs=16",
        "training.batch_size=8",
        "training.optimizer.learning_rate=5e-3",
        "training.schedule.warmup_iterations=10",
        "training.ema=0.98",
        "training.evaluate_every=16",
        "training.log_every=24",
    ]
    work_dir = tmp_path / "run"
    assert main(["train", RECIPE, *sets, *settings, "--work-dir", str(work_dir)]) == 0
    (log,) = work_dir.glob("*.log.json")
    losses = [line["loss"] for line in map(json.loads, log.read_text().splitlines()) if line.get("mode") == "train"]
    assert losses[-1] < losses[0] / 4
    capsys.readouterr()
    held_out = [
        "--annotations",
        str(tmp_path / "held_out" / "annotations.json"),
        "--images",
        str(tmp_path / "held_out" / "images"),
    ]
    assert main(["test", str(work_dir / "best.safetensors"), *held_out, "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["AP"] > 0.9
