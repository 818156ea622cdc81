"""The whole path learns: drawn persons go in, their average precision comes out."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from litehrnet.config.schema import OptimizerConfig, ScheduleConfig
from litehrnet.data.settings import AugmentationConfig, EvalConfig
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.training.start import run_training

UNVARIED = AugmentationConfig(
    flip_probability=0, half_body_probability=0, rotation_probability=0, scale=0, center_jitter_probability=0
)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_four_persons_are_learned_within_200_steps(runs: Any, drawn: Path, tmp_path: Path, seed: int) -> None:
    """Evaluated on the same four with the boxes of their annotations; 100 steps were enough when this was written."""
    content = json.loads((drawn / "persons.json").read_text())
    few = content | {name: content[name][:4] for name in ("images", "annotations")}
    path = tmp_path / "four.json"
    path.write_text(json.dumps(few))
    config = runs.config(
        "run",
        epochs=200,
        batch_size=4,
        seed=seed,
        optimizer=OptimizerConfig(learning_rate=4e-3),
        schedule=ScheduleConfig("cosine", warmup_iterations=20),
        evaluate_every=200,
        save_every=200,
        log_every=1,
    )
    config = replace(
        config,
        input_size_wh=(96, 96),
        codec=HeatmapCodec("udp"),
        augmentation=UNVARIED,
        train=(replace(config.train[0], annotations=str(path)),),
        validation=EvalConfig("coco", str(path), config.train[0].images, flip=False),
    )
    assert run_training(config, config).exit_code == 0
    assert json.loads((tmp_path / "run" / "best.json").read_text())["best_score"] == 1.0
