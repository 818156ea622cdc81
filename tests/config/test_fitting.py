"""What a recipe of your own keypoints leaves out fits the number of samples; published recipes stay as they are."""

from collections.abc import Iterator
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litehrnet.config.fitting import FITTED, fit, fitted_schedule
from litehrnet.config.ranges import _RANGES
from litehrnet.config.read import load_config
from litehrnet.config.recipes import read_recipe, recipe_names
from litehrnet.config.schema import RunConfig, TrainingConfig
from litehrnet.config.write import differences, recipe_text
from litehrnet.errors import UserError

OWN = """
variant = "lite_hrnet_18"
keypoints = "lsp"
input_size_wh = (96, 128)
train = (dict(format="coco", annotations="a.json", images="photos"),)
"""


def _recipe(folder: Path, training: str = "", start: str = "") -> Path:
    path = folder / "own.py"
    path.write_text(f"{OWN}training = dict({training})\n{start}\n")
    return path


@given(
    st.integers(1, 200_000),
    st.integers(1, 8),
    st.none() | st.integers(1, 512),
    st.none() | st.integers(1, 500),
    st.integers(1, 4),
)
def test_every_set_gets_whole_steps_a_short_warmup_and_evaluations(
    samples: int, processes: int, batch_size: int | None, epochs: int | None, accumulate: int
) -> None:
    chosen = fitted_schedule(samples, processes, batch_size=batch_size, epochs=epochs, accumulate=accumulate)
    share = -(-samples // processes)
    assert 1 <= chosen.batch_size <= max(1, share // accumulate)
    assert chosen.batch_size <= (batch_size or 32)
    assert chosen.warmup_steps * 10 <= chosen.steps
    assert 1 <= chosen.evaluate_every <= chosen.epochs
    assert chosen.epochs // chosen.evaluate_every >= min(chosen.epochs, 25)
    if share >= accumulate:
        assert chosen.steps == chosen.epochs * (share // accumulate // chosen.batch_size) >= chosen.epochs


@given(st.integers(24, 100_000), st.integers(24, 100_000))
def test_more_samples_get_more_training_in_fewer_epochs(one: int, other: int) -> None:
    few, many = sorted((one, other))
    small, large = fitted_schedule(few), fitted_schedule(many)
    assert small.epochs >= large.epochs
    assert small.epochs * few <= large.epochs * many + few
    assert small.batch_size <= large.batch_size
    assert small.steps // small.epochs >= 6


@pytest.mark.parametrize(
    ("samples", "batch_size", "epochs", "steps"),
    [(20, 4, 170, 850), (54, 8, 76, 456), (200, 32, 35, 210), (1000, 32, 23, 713), (3000, 32, 21, 1953)],
)
def test_schedules_are_those_of_the_table_in_the_docs(
    samples: int, batch_size: int, epochs: int, steps: int, project: Path
) -> None:
    chosen = fitted_schedule(samples)
    assert (chosen.batch_size, chosen.epochs, chosen.steps) == (batch_size, epochs, steps)
    row = f"| {samples:,} | {batch_size} | {epochs} | {steps:,} | {chosen.warmup_steps} | {chosen.evaluate_every} |"
    assert row in (project / "docs" / "own_keypoints.md").read_text()


def test_recipe_that_says_nothing_is_fitted_and_starts_from_the_bundled_weights(tmp_path: Path) -> None:
    config = read_recipe(_recipe(tmp_path))
    assert config.load_from == "lite_hrnet_18"
    assert config.fitted == FITTED
    result, words = fit(config, 54, 1)
    assert result.fitted == ()
    assert words is not None
    assert words.startswith("epochs=76, batch_size=8, optimizer.learning_rate=")
    training = result.training
    assert (training.epochs, training.batch_size, training.schedule.kind, training.workers) == (76, 8, "cosine", 0)
    assert (training.schedule.warmup_iterations, training.evaluate_every, training.stop_after) == (45, 3, 8)


def test_what_the_recipe_says_stays(tmp_path: Path) -> None:
    said = "epochs=7, batch_size=5, workers=3, ema=None, stop_after=None, evaluate_every=2, save_every=3, "
    said += "optimizer=dict(learning_rate=3e-4), schedule=dict(kind='step', steps=(5,), warmup_iterations=9)"
    config = read_recipe(_recipe(tmp_path, said, "load_from = None"))
    assert (config.fitted, config.load_from) == ((), None)
    assert fit(config, 54, 1) == (config, None)


def test_settings_follow_the_ones_that_the_recipe_says(tmp_path: Path) -> None:
    config = read_recipe(_recipe(tmp_path, "epochs=210, optimizer=dict(kind='sgd'), schedule=dict(kind='step')"))
    training = fit(config, 54, 1)[0].training
    assert (training.epochs, training.schedule.kind, training.schedule.steps) == (210, "step", (170, 200))
    assert training.schedule.warmup_iterations == 126
    assert training.optimizer.learning_rate == TrainingConfig().optimizer.learning_rate  # it is for another optimizer


def test_batch_that_the_set_cannot_fill_is_lowered_and_said(tmp_path: Path) -> None:
    config = read_recipe(_recipe(tmp_path, "batch_size=64"))
    result, words = fit(config, 54, 1)
    assert result.training.batch_size == 54
    assert words is not None
    assert "batch_size=54" in words
    assert "batch_size" not in (fit(config, 64, 1)[1] or "")


def test_command_line_counts_as_said(tmp_path: Path) -> None:
    loaded = load_config(_recipe(tmp_path), ["training.epochs=5", "load_from=none"])
    assert loaded.config.load_from is None
    config, recipe = fit(loaded.config, 54, 1)[0], fit(loaded.recipe, 54, 1)[0]
    changes = differences(config, recipe)
    assert "training.epochs: 76 -> 5" in changes
    assert "load_from: 'lite_hrnet_18' -> None" in changes


def test_written_recipe_spells_out_what_was_fitted(tmp_path: Path) -> None:
    config, _ = fit(read_recipe(_recipe(tmp_path)), 54, 1)
    (tmp_path / "config.py").write_text(recipe_text(config, []))
    assert replace(read_recipe(tmp_path / "config.py"), name="own") == config


def test_recipe_written_before_its_samples_are_known_leaves_the_same_settings_out(tmp_path: Path) -> None:
    config = read_recipe(_recipe(tmp_path, "epochs=9"))
    (tmp_path / "packed.py").write_text(recipe_text(config, []))
    assert replace(read_recipe(tmp_path / "packed.py"), name="own") == config


def test_recipes_of_other_keypoints_are_not_fitted() -> None:
    for name in recipe_names():
        recipe = read_recipe(name)
        if name != "lspet_256x192":
            assert recipe.fitted == (), name
            assert fit(recipe, 10, 1) == (recipe, None)


def test_networks_without_bundled_weights_start_at_random(tmp_path: Path) -> None:
    assert read_recipe(_recipe(tmp_path), {"variant": "lite_hrnet_30"}).load_from is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.batch_size=0", r"training\.batch_size is 0 \(expected 1 or more\)"),
        ("training.accumulate=0", r"training\.accumulate is 0 \(expected 1 or more\)"),
        ("training.workers=-1", r"training\.workers is -1 \(expected 0 or more\)"),
        ("training.epochs=0", r"training\.epochs is 0 \(expected 1 or more\)"),
        ("training.epochs=-1", r"training\.epochs is -1 \(expected 1 or more\)"),
        ("training.ema=2", r"training\.ema is 2 \(expected 0 or more and below 1\)"),
        ("training.evaluate_every=-2", r"evaluate_every is -2 \(expected 1 or more, or 0 or -1 to train without eval"),
        ("training.log_every=0", r"training\.log_every is 0 \(expected 1 or more\)"),
        ("training.save_every=0", r"training\.save_every is 0 \(expected 1 or more\)"),
        ("training.stop_after=0", r"training\.stop_after is 0 \(expected 1 or more\)"),
        ("training.seed=-1", r"training\.seed is -1 \(expected 0 or more\)"),
        ("training.snapshot_minutes=nan", r"training\.snapshot_minutes is nan \(expected 0 or more\)"),
        ("training.optimizer.learning_rate=nan", r"learning_rate is nan \(expected a number above 0\)"),
        ("training.optimizer.learning_rate=-1", r"learning_rate is -1 \(expected a number above 0\)"),
        ("training.optimizer.learning_rate=inf", r"learning_rate is inf \(expected a number above 0\)"),
        ("training.optimizer.betas=0.9,1", r"optimizer\.betas is 1 \(expected 0 or more and below 1\)"),
        ("training.optimizer.clip_norm=0", r"optimizer\.clip_norm is 0 \(expected a number above 0\)"),
        ("training.schedule.warmup_iterations=-5", r"warmup_iterations is -5 \(expected 0 or more\)"),
        ("augmentation.flip_probability=nan", r"augmentation\.flip_probability is nan \(expected 0 to 1\)"),
        ("augmentation.rotation_deg=nan", r"augmentation\.rotation_deg is nan \(expected 0 or more\)"),
    ],
)
def test_numbers_that_cannot_be_are_one_sentence_at_reading_the_recipe(
    tmp_path: Path, setting: str, message: str
) -> None:
    with pytest.raises(UserError, match=rf"own\.py: .*{message}"):
        load_config(_recipe(tmp_path), [setting])


def _numbers(kind: Any, inside: str = "") -> Iterator[str]:
    """Dotted names of the settings that are numbers."""
    for name, hint in get_type_hints(kind).items():
        for part in (hint, *get_args(hint)):
            if part in (int, float) or (get_origin(part) is tuple and set(get_args(part)) & {int, float}):
                yield f"{inside}{name}"
            elif is_dataclass(part) and name != "resolved":
                yield from _numbers(part, f"{inside}{name}.")


def test_every_number_of_a_recipe_has_a_range() -> None:
    names = {name if name in _RANGES else name.rpartition(".")[2] for name in _numbers(RunConfig)}
    assert names == set(_RANGES)
