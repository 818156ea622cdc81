"""A schedule for your own keypoints: what a recipe leaves out is chosen by the number of samples.

The reference implementation's schedule is for 150,000 people in 210 epochs. With sixty photos it would end within its
warm-up. The rules here come from measurements, see docs/own_keypoints.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from litehrnet.config.schema import RunConfig
from litehrnet.processors import usable_cpus

FITTED = (
    "epochs",
    "batch_size",
    "optimizer.learning_rate",
    "schedule.kind",
    "schedule.steps",
    "schedule.warmup_iterations",
    "ema",
    "evaluate_every",
    "stop_after",
    "save_every",
    "workers",
)
"""Settings below ``training`` that are chosen where the recipe leaves them out."""

LEARNING_RATE = 1e-3
EMA = 0.99


@dataclass(frozen=True)
class Schedule:
    """Length of the training, and its steps.

    Attributes:
        batch_size: Samples per process and step.
        epochs: Number of epochs.
        steps: Total number of optimizer steps.
        warmup_steps: Number of warm-up steps, at most a tenth of all.
        evaluate_every: Epochs between evaluations.
        stop_after: Number of evaluations without improvement after which training stops.
    """

    batch_size: int
    epochs: int
    steps: int
    warmup_steps: int
    evaluate_every: int
    stop_after: int = 8


def fitted_schedule(
    samples: int, processes: int = 1, *, batch_size: int | None = None, epochs: int | None = None, accumulate: int = 1
) -> Schedule:
    """Choose the schedule for a number of samples.

    Batches have 4 to 32 samples, and are small enough for six steps per epoch. Every sample is seen 20 times, plus
    3,000 samples in total, so that a small set gets enough steps.

    Args:
        samples: Number of people, or objects, to train on: 1 or more.
        processes: Processes that share every step.
        batch_size: Batch size that the recipe asks for; lowered to what the set can fill. None to choose one.
        epochs: Number of epochs that the recipe asks for; None to choose it.
        accumulate: Batches per step.
    """
    share = max(1, -(-samples // processes) // accumulate)
    if batch_size is None:
        batch_size = 32
        while batch_size > 4 and batch_size * 6 > share:
            batch_size //= 2
    batch_size = min(batch_size, share)
    steps_per_epoch = share // batch_size
    if epochs is None:
        epochs = 20 + -(-3000 // samples)
    steps = epochs * steps_per_epoch
    return Schedule(batch_size, epochs, steps, min(500, steps // 10), max(1, epochs // 25))


def left_out(training: Mapping[str, Any]) -> tuple[str, ...]:
    """List the settings in ``FITTED`` that a recipe's ``training`` leaves out.

    The chosen learning rate suits Adam, so a recipe with another optimizer has to state both. Steps belong to the
    schedule ``step``.

    Args:
        training: Nested field values as the recipe and the command line give them.
    """
    named = {f"{part}.{name}" for part in ("optimizer", "schedule") for name in training.get(part, {})} | set(training)
    if training.get("optimizer", {}).get("kind", "adam") != "adam":
        named.add("optimizer.learning_rate")
    if "schedule.steps" in named:
        named.add("schedule.kind")  # the default, step, is then used
    return tuple(name for name in FITTED if name not in named)


def fit(config: RunConfig, samples: int, processes: int) -> tuple[RunConfig, str | None]:
    """Fill in the settings that the recipe leaves out, and lower a batch size that the set cannot fill.

    Args:
        config: Configuration with the names of these settings in ``fitted``; without any, it is returned unchanged.
        samples: Number of samples to train on.
        processes: Processes that share every step.

    Returns:
        The complete configuration, and the chosen values as text; None if nothing was chosen.
    """
    if not config.fitted:
        return config, None
    training, names = config.training, config.fitted
    chosen = fitted_schedule(
        samples,
        processes,
        batch_size=None if "batch_size" in names else training.batch_size,
        epochs=None if "epochs" in names else training.epochs,
        accumulate=training.accumulate,
    )
    values: dict[str, Any] = {
        "epochs": chosen.epochs,
        "batch_size": chosen.batch_size,
        "optimizer.learning_rate": LEARNING_RATE,
        "schedule.kind": "cosine",
        "schedule.steps": (
            round(chosen.epochs * 17 / 21),
            round(chosen.epochs * 20 / 21),
        ),  # as in the reference schedule of 210
        "schedule.warmup_iterations": chosen.warmup_steps,
        "ema": EMA,
        "evaluate_every": chosen.evaluate_every,
        "stop_after": chosen.stop_after,
        "save_every": max(1, chosen.epochs // 4),
        # Starting processes takes longer than loading the few batches of a small set's epoch.
        "workers": 0 if samples < 1000 else min(2, usable_cpus()),
    }
    kind = values["schedule.kind"] if "schedule.kind" in names else training.schedule.kind
    picked = {name: values[name] for name in names if name != "schedule.steps" or kind == "step"}
    if chosen.batch_size < training.batch_size:
        picked["batch_size"] = chosen.batch_size  # also if the recipe asks for more samples than there are
    for name, value in picked.items():
        training = _with(training, name, value)
    words = ", ".join(f"{name}={value}" for name, value in picked.items())
    return replace(config, fitted=(), training=training), words or None


def _with(settings: Any, name: str, value: Any) -> Any:
    """Return a dataclass with the field of a dotted name replaced."""
    first, _, rest = name.partition(".")
    return replace(settings, **{first: _with(getattr(settings, first), rest, value) if rest else value})
