"""Ranges of numeric settings, checked when a recipe is read."""

import math
from collections.abc import Callable, Iterator
from typing import Any

from litehrnet.config.schema import RunConfig
from litehrnet.errors import UserError

Range = tuple[str, Callable[[float], bool]]
"""Description of the expected numbers, and the test for them."""


def _from(least: float) -> Range:
    return f"{least:g} or more", lambda value: least <= value < math.inf


_ABOVE_ZERO: Range = ("a number above 0", lambda value: 0 < value < math.inf)
_PART: Range = ("0 to 1", lambda value: 0 <= value <= 1)
_DECAY: Range = ("0 or more and below 1", lambda value: 0 <= value < 1)
_EVALUATE: Range = ("1 or more, or 0 or -1 to train without evaluating", lambda value: -1 <= value < math.inf)

_RANGES: dict[str, Range] = {
    "input_size_wh": _from(1),
    "codec.sigma": _ABOVE_ZERO,
    "codec.blur_kernel": _from(1),
    "augmentation.flip_probability": _PART,
    "augmentation.half_body_probability": _PART,
    "augmentation.half_body_above": _from(0),
    "augmentation.rotation_deg": _from(0),
    "augmentation.rotation_probability": _PART,
    "augmentation.scale": _DECAY,
    "augmentation.center_jitter_probability": _PART,
    "augmentation.brightness": _PART,
    "augmentation.contrast": _PART,
    "augmentation.saturation": _PART,
    "augmentation.blur_probability": _PART,
    "augmentation.cutout_probability": _PART,
    "augmentation.background_probability": _PART,
    "augmentation.anywhere_probability": _PART,
    "segmentation.scale": _ABOVE_ZERO,
    "segmentation.max_class_share": _PART,
    "segmentation.flip_probability": _PART,
    "segmentation.brightness": _PART,
    "segmentation.contrast": _PART,
    "segmentation.saturation": _PART,
    "detection.scale": _ABOVE_ZERO,
    "detection.aspect": _DECAY,
    "detection.flip_probability": _PART,
    "detection.mosaic_probability": _PART,
    "detection.brightness": _PART,
    "detection.contrast": _PART,
    "detection.saturation": _PART,
    "detection.fill_above": _PART,
    "detection.ignore_above": _PART,
    "training.epochs": _from(1),
    "training.batch_size": _from(1),
    "training.workers": _from(0),
    "training.accumulate": _from(1),
    "training.optimizer.learning_rate": _ABOVE_ZERO,
    "training.optimizer.betas": _DECAY,
    "training.optimizer.momentum": _DECAY,
    "training.optimizer.weight_decay": _from(0),
    "training.optimizer.clip_norm": _ABOVE_ZERO,
    "training.schedule.steps": _from(0),
    "training.schedule.factor": _ABOVE_ZERO,
    "training.schedule.warmup_iterations": _from(0),
    "training.schedule.warmup_factor": _PART,
    "training.schedule.power": _ABOVE_ZERO,
    "training.loss.hard_keypoints": _from(1),
    "training.loss.hard_pixels": _PART,
    "training.loss.hard_below": _PART,
    "training.loss.class_weights": _from(0),
    "training.ema": _DECAY,
    "training.evaluate_every": _EVALUATE,
    "training.stop_after": _from(1),
    "training.save_every": _from(1),
    "training.snapshot_minutes": _from(0),
    "training.log_every": _from(1),
    "training.seed": _from(0),
    "distill.share": _PART,
    "distill.teacher_sigma": _ABOVE_ZERO,
}
for _role in ("validation", "test"):
    _RANGES |= {
        f"{_role}.min_box_score": _PART,
        f"{_role}.oks_threshold": _PART,
        f"{_role}.visibility_threshold": _PART,
        f"{_role}.scales": _ABOVE_ZERO,
    }


def check_numbers(config: RunConfig, source: str) -> None:
    """Check the numbers of a configuration, such as a batch size of 0 or a learning rate that is not a number.

    Args:
        config: All settings.
        source: Name of the file, for the message.

    Raises:
        UserError: A number is outside its range.
    """
    for name, (expected, fits) in _RANGES.items():
        for value in _values(config, name):
            if not fits(value):
                raise UserError(f"{source}: {name} is {value:g} (expected {expected})")


def _values(config: RunConfig, name: str) -> Iterator[float]:
    """Yield the numbers of a setting: none if it or its parent is None, several for a sequence."""
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
        if value is None:
            return
    yield from value if isinstance(value, tuple) else (value,)
