"""What a run works with and does not change."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from litehrnet.config.schema import RunConfig
from litehrnet.training.distill import Teacher
from litehrnet.training.distributed import Processes
from litehrnet.training.task import Task


@dataclass(frozen=True)
class Run:
    """What a run works with and does not change.

    Attributes:
        task: What is trained for.
        config: All settings.
        config_text: The same as a recipe file, for the checkpoints.
        folder: Where its files go.
        training_set: What is trained on, the task's own.
        test_set: What is evaluated on while training, the task's own, or None.
        teacher: What is learned from besides the labels, or None.
        processes: This process among those of the run.
        device: Where the network is.
        fitted: The settings that the number of samples decided, in words; None where there are none.
    """

    task: Task
    config: RunConfig
    config_text: str
    folder: Path
    training_set: Any
    test_set: Any
    teacher: Teacher | None
    processes: Processes
    device: torch.device
    fitted: str | None = None

    @property
    def samples_per_step(self) -> int:
        """Of all processes together."""
        settings = self.config.training
        return settings.batch_size * settings.accumulate * self.processes.world_size

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the optimizer; batches that do not fill one are left out."""
        per_process = -(-len(self.training_set) // self.processes.world_size)
        return per_process // self.config.training.batch_size // self.config.training.accumulate

    @property
    def log_every(self) -> int:
        """Steps between lines of the log; epochs shorter than that, of which published logs say nothing, give one."""
        return min(self.config.training.log_every, self.steps_per_epoch)
