"""Immutable inputs of a training run."""

from dataclasses import dataclass
from pathlib import Path

import torch

from litehrnet.config.schema import RunConfig
from litehrnet.training.distill import Teacher
from litehrnet.training.distributed import Processes
from litehrnet.training.loader import TrainingSamples
from litehrnet.training.task import EvalSamples, Task


@dataclass(frozen=True)
class Run:
    """Immutable inputs of a training run.

    Attributes:
        task: Task of the network.
        config: All settings.
        config_text: The settings as a recipe file, for checkpoints.
        folder: Folder for the run's files.
        training_set: Samples to train on.
        test_set: Samples to evaluate on while training, or None.
        teacher: Trained network to learn from besides the labels, or None.
        processes: This process among those of the run.
        device: Device of the network.
        fitted: Settings that were chosen by the number of samples, in words; None where there are none.
    """

    task: Task
    config: RunConfig
    config_text: str
    folder: Path
    training_set: TrainingSamples
    test_set: EvalSamples | None
    teacher: Teacher | None
    processes: Processes
    device: torch.device
    fitted: str | None = None

    @property
    def samples_per_step(self) -> int:
        """Number of samples per step in all processes together."""
        settings = self.config.training
        return settings.batch_size * settings.accumulate * self.processes.world_size

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps per epoch; batches that do not fill a step are dropped."""
        per_process = -(-len(self.training_set) // self.processes.world_size)
        return per_process // self.config.training.batch_size // self.config.training.accumulate

    @property
    def log_every(self) -> int:
        """Steps between lines of the log; a shorter epoch gives one line."""
        return min(self.config.training.log_every, self.steps_per_epoch)
