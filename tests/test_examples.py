"""The programs in ``examples`` run as their first lines say."""

import importlib
import json
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.drawn_persons import write_drawn_persons

from litehrnet import PoseEstimator, read_image
from litehrnet.video.writing import VideoWriter

PROJECT = Path(__file__).parents[1]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]


def _run(name: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, PROJECT / "examples" / name, *arguments],
        env={**os.environ, "PYTHONPATH": str(PROJECT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_predict_prints_and_draws_three_people(tmp_path: Path) -> None:
    photo, drawn = PROJECT / "src" / "litehrnet" / "photos" / "three_people.jpg", tmp_path / "drawn.png"
    said = _run("predict.py", photo, drawn)
    assert said.count("person") == 3
    assert said.count(" nose ") == 3
    assert (np.abs(read_image(drawn).astype(int) - read_image(photo)).max(axis=2) > 60).sum() > 1000


def test_track_video_names_the_person_and_the_time(tmp_path: Path) -> None:
    picture = read_image(PROJECT / "src" / "litehrnet" / "photos" / "astronaut.jpg")[::2, ::2]
    with VideoWriter(tmp_path / "film", Fraction(10)) as writer:
        for number in range(10):
            writer.write(picture, number / 10)
    lines = _run("track_video.py", writer.path).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("person 1: 0.")
    assert " to 0.9 s" in lines[0]


@pytest.mark.slow
def test_finetune_trains_and_keeps_the_best_weights(tmp_path: Path) -> None:
    picture = read_image(PROJECT / "src" / "litehrnet" / "photos" / "astronaut.jpg")[::2, ::2]
    poses = PoseEstimator().predict(picture)
    for name, count in (("train", 8), ("val", 2)):
        people = [(picture, poses.keypoints[0], poses.boxes[0])] * count
        write_drawn_persons(people, tmp_path / f"{name}.json", tmp_path / name, ".png")
        content = json.loads((tmp_path / f"{name}.json").read_text())
        for image in content["images"]:
            image["file_name"] = f"{name}/{image['file_name']}"
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    said = _run(
        "finetune.py",
        *(tmp_path / "train.json", tmp_path / "val.json", tmp_path, tmp_path / "run"),
        *("input_size_wh=96,128", "training.epochs=2", "training.evaluate_every=1", "training.workers=0"),
    )
    assert "PCK" in said
    assert (tmp_path / "run" / "best.safetensors").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_imports_in_the_pages_work(page: Path) -> None:
    for module, names in re.findall(r"^ *from (litehrnet[\w.]*) import ([\w, ]+)$", page.read_text(), re.MULTILINE):
        for name in names.split(", "):
            assert hasattr(importlib.import_module(module), name)
