"""The learning rate of every iteration (docs/spec/protocol.md, section 3.4)."""

import math

from litehrnet.config.schema import ScheduleConfig


def learning_rate(schedule: ScheduleConfig, base: float, iteration: int, epochs_done: float, epochs: int) -> float:
    """What the optimizer is to use.

    Args:
        schedule: Its kind, steps and warm-up.
        base: After the warm-up, before the first step.
        iteration: Steps of the optimizer so far, from 0; the warm-up counts these.
        epochs_done: From 0, with the part that is done of the one under way; the rest of the schedule counts these, so
            that a run that goes on with batches of another size keeps its place.
        epochs: Of the whole run; only ``cosine`` and ``poly`` depend on it.
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
