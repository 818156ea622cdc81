"""The parts of a recipe that differ between keypoints, segmentation and detection, in one table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from litehrnet.config.schema import RunConfig, TaskName
from litehrnet.data.formats import BOX_FORMATS, FORMATS, LABEL_FORMATS, MIOU, Metric
from litehrnet.data.settings import EvalConfig
from litehrnet.errors import UserError

_BLANK = RunConfig("", "", (0, 0))


@dataclass(frozen=True)
class TaskRules:
    """The settings of one task.

    Attributes:
        formats: Formats of its data, with their metrics.
        losses: Names of its losses.
        foreign: Names of the settings in a recipe that this task does not use.
    """

    formats: Mapping[str, Metric]
    losses: tuple[str, ...]
    foreign: Callable[[RunConfig], list[str]]


def metric_of(config: RunConfig, test: EvalConfig) -> Metric:
    """Return the metric of an evaluation.

    Raises:
        UserError: The task does not know the format.
    """
    formats = TASKS[config.task].formats
    if test.format not in formats:
        raise UserError(
            f"{config.name}: {test.format} is not a format for {config.task} (expected {' or '.join(formats)})"
        )
    return formats[test.format]


def check_task(config: RunConfig, path: Path) -> None:
    """Refuse a recipe with no task or several, or with settings that do not belong to its task.

    Raises:
        UserError: See above.
    """
    named = [name for name in TASKS if getattr(config, name) is not None]
    if len(named) != 1:
        raise UserError(f"{path}: names {' and '.join(named) or 'no task'} (expected one of {', '.join(TASKS)})")
    task, rules = config.task, TASKS[config.task]
    given = [(f"train.{i}.format", data.format) for i, data in enumerate(config.train)]
    given += [(f"{role}.format", test.format) for role, test in _tests(config)]
    for name, value in given:
        if value not in rules.formats:
            raise UserError(
                f"{path}: {name} is {value}, not a format for {task} (expected {' or '.join(rules.formats)})"
            )
    if config.train and config.training.loss.kind not in rules.losses:
        raise UserError(
            f"{path}: training.loss.kind is {config.training.loss.kind}, not a loss for {task} "
            f"(expected {' or '.join(rules.losses)})"
        )
    if foreign := rules.foreign(config):
        raise UserError(f"{path}: {', '.join(foreign)}: not for {task} (expected to be left out)")


def _tests(config: RunConfig) -> list[tuple[str, EvalConfig]]:
    return [(role, test) for role, test in (("validation", config.validation), ("test", config.test)) if test]


def _changed(config: RunConfig, *names: str) -> list[str]:
    return [name for name in names if getattr(config, name) != getattr(_BLANK, name)]


def _only_detection(config: RunConfig) -> list[str]:
    """Names of the settings that only detection uses."""
    return [f"train.{i}.boxes_complete" for i, data in enumerate(config.train) if data.boxes_complete is not None]


def _only_keypoints(config: RunConfig) -> list[str]:
    """Names of the settings that segmentation does not use."""
    found = _changed(config, "augmentation", "codec", "distill")
    for i, data in enumerate(config.train):
        found += [f"train.{i}.{name}" for name in ("keypoints", "only", "without") if getattr(data, name) is not None]
    for role, test in _tests(config):
        found += [f"{role}.{name}" for name in ("boxes", "only", "without") if getattr(test, name) is not None]
    return found


def _only_segmentation(config: RunConfig) -> list[str]:
    """Names of the settings that only segmentation uses."""
    found = ["training.loss.class_weights"] if config.training.loss.class_weights else []
    for role, test in _tests(config):
        found += [f"{role}.window"] * test.window + [f"{role}.scales"] * (test.scales != (1.0,))
    return found


TASKS: dict[TaskName, TaskRules] = {
    "keypoints": TaskRules(
        {name: form.metric for name, form in FORMATS.items()},
        ("mse", "ohkm"),
        lambda config: _only_segmentation(config) + _only_detection(config),
    ),
    "segmentation": TaskRules(
        dict.fromkeys(LABEL_FORMATS, MIOU),
        ("cross_entropy", "ohem"),
        lambda config: _only_keypoints(config) + _only_detection(config),
    ),
    "detection": TaskRules(
        BOX_FORMATS,
        ("boxes",),
        lambda config: _changed(config, "augmentation", "codec") + _only_segmentation(config),
    ),
}
"""By the field of ``RunConfig`` that names the task."""
