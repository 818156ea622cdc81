"""Ranges of numeric settings, checked when a recipe is read."""

import math
from collections.abc import Callable

from litehrnet.config.schema import RunConfig
from litehrnet.config.write import settings
from litehrnet.errors import UserError

Range = tuple[str, Callable[[float], bool]]
"""Description of the expected numbers, and the test for them."""


def _from(least: float) -> Range:
    return f"{least:g} or more", lambda value: least <= value < math.inf


_ABOVE_ZERO: Range = ("a number above 0", lambda value: 0 < value < math.inf)
_PART: Range = ("0 to 1", lambda value: 0 <= value <= 1)
_DECAY: Range = ("0 or more and below 1", lambda value: 0 <= value < 1)
_ANY: Range = ("any value", lambda value: True)
_EVALUATE: Range = ("1 or more, or 0 or -1 to train without evaluating", lambda value: -1 <= value < math.inf)

_RANGES: dict[str, Range] = {
    "input_size_wh": _from(1),
    "sigma": _ABOVE_ZERO,
    "blur_kernel": _from(1),
    "flip_probability": _PART,
    "half_body_probability": _PART,
    "half_body_above": _from(0),
    "rotation_deg": _from(0),
    "rotation_probability": _PART,
    "augmentation.scale": _DECAY,
    "scale": _ABOVE_ZERO,
    "center_jitter_probability": _PART,
    "brightness": _PART,
    "contrast": _PART,
    "saturation": _PART,
    "blur_probability": _PART,
    "cutout_probability": _PART,
    "background_probability": _PART,
    "anywhere_probability": _PART,
    "max_class_share": _PART,
    "aspect": _DECAY,
    "mosaic_probability": _PART,
    "fill_above": _PART,
    "ignore_above": _PART,
    "epochs": _from(1),
    "batch_size": _from(1),
    "workers": _from(0),
    "accumulate": _from(1),
    "learning_rate": _ABOVE_ZERO,
    "betas": _DECAY,
    "momentum": _DECAY,
    "weight_decay": _from(0),
    "clip_norm": _ABOVE_ZERO,
    "steps": _from(0),
    "factor": _ABOVE_ZERO,
    "warmup_iterations": _from(0),
    "warmup_factor": _PART,
    "power": _ABOVE_ZERO,
    "hard_keypoints": _from(1),
    "hard_pixels": _PART,
    "hard_below": _PART,
    "class_weights": _from(0),
    "ema": _DECAY,
    "evaluate_every": _EVALUATE,
    "stop_after": _from(1),
    "save_every": _from(1),
    "snapshot_minutes": _from(0),
    "log_every": _from(1),
    "seed": _from(0),
    "share": _PART,
    "teacher_sigma": _ABOVE_ZERO,
    "min_box_score": _PART,
    "oks_threshold": _PART,
    "visibility_threshold": _PART,
    "scales": _ABOVE_ZERO,
}
"""Ranges by setting. The full name is used if two settings share their last name but not their range."""


def check_numbers(config: RunConfig, source: str) -> None:
    """Check the numbers of a configuration, such as a batch size of 0 or a learning rate that is not a number.

    Args:
        config: All settings.
        source: Name of the file, for the message.

    Raises:
        UserError: A number is outside its range.
    """
    for name, value in settings(config):
        expected, fits = _RANGES.get(name) or _RANGES.get(name.rpartition(".")[2]) or _ANY
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int | float) and not fits(number):
                raise UserError(f"{source}: {name} is {number:g} (expected {expected})")
