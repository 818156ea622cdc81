"""The learning rate of every iteration (docs/spec/protocol.md, section 3.4)."""

import math

from litehrnet.config.schema import ScheduleConfig


def learning_rate(schedule: ScheduleConfig, base: float, iteration: int, epochs_done: float, epochs: int) -> float:
    """Compute the learning rate of one step.

    Args:
        schedule: Kind, steps and warm-up of the schedule.
        base: Learning rate after the warm-up.
        iteration: Optimizer steps so far, from 0; the warm-up counts these.
        epochs_done: Epochs so far, with the part of the current one. The schedule after the warm-up counts these, so a
            run that resumes with another batch size keeps its place.
        epochs: Epochs of the whole run; only ``cosine`` and ``poly`` depend on it.
    """
    if schedule.kind == "step":
        rate = base * schedule.factor ** sum(epochs_done >= step for step in schedule.steps)
    elif schedule.kind == "poly":
        rate = base * max(0.0, 1 - epochs_done / epochs) ** schedule.power
    else:
        rate = base * 0.5 * (1 + math.cos(math.pi * min(1.0, epochs_done / epochs)))
    if iteration < schedule.warmup_iterations:
        done = iteration / schedule.warmup_iterations
        rate *= 1 - (1 - done) * (1 - schedule.warmup_factor)
    return rate
