"""What the tests of several processes run in each of them: ``together.py CASE RECIPE FOLDER [a.b=c ...]``.

Every case leaves what it found in ``FOLDER/CASE_<rank>.pth``, for a test to look at.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from litehrnet.bench.subject import write_random_weights
from litehrnet.config.read import load_config
from litehrnet.config.schema import RunConfig, TrainingConfig
from litehrnet.evaluation.protocol import read_eval_set
from litehrnet.models.weights import load_network
from litehrnet.runtimes.torch import TorchRuntime
from litehrnet.training import distributed, steps
from litehrnet.training.distributed import Processes
from litehrnet.training.evaluate import evaluate_runtime, evaluated_runtime, weights_info
from litehrnet.training.loader import TensorBatch
from litehrnet.training.loop import remaining_steps
from litehrnet.training.start import prepare, starting_state
from litehrnet.variants import find_variant

CPU = torch.device("cpu")


def exchange(config: RunConfig, processes: Processes, folder: Path) -> dict[str, Any]:
    """All that processes exchange, each with something of its own."""
    rank = processes.rank
    weight = nn.Parameter(torch.zeros(2, 3, 2, 2).to(memory_format=torch.channels_last))
    weight.grad = torch.arange(24.0).view(2, 3, 2, 2).to(memory_format=torch.channels_last) * (rank + 1)
    unused = nn.Parameter(torch.zeros(3))
    bias = nn.Parameter(torch.zeros(2))
    bias.grad = torch.full((2,), float(rank))
    distributed.average_gradients([weight, unused, bias], processes)
    copied = [torch.full((2, 2, 2, 2), float(rank)).to(memory_format=torch.channels_last), torch.tensor(rank)]
    distributed.copy_from_first(copied, processes)
    parts = {"rank": torch.tensor(rank)}
    return {
        "weight": weight.grad,
        "unused": unused.grad,
        "bias": bias.grad,
        "copied": copied,
        "highest": distributed.highest_of(10 * rank, processes, CPU),
        "mean": distributed.mean_of(float(rank), processes, CPU),
        "gathered": distributed.gather(parts, processes),
        "by_files": [distributed.gather(parts | {"round": i}, processes, folder / "parts") for i in range(3)],
    }


class _Counted:
    """Counts what is done."""

    done = 0

    def start(self, total: int | None) -> None:
        self.done = 0

    def advance(self, count: int) -> None:
        self.done += count


def evaluation(config: RunConfig, processes: Processes, folder: Path) -> dict[str, Any]:
    """A network's figures by each exchange, for several and for few persons; and with statistics that differ."""
    assert config.validation is not None
    # Untrained, but with heatmaps that are not flat: on flat ones the last digits decide where the maximum is.
    weights = folder / f"weights_{processes.rank}.safetensors"
    write_random_weights(weights, find_variant(config.variant), config.input_size_wh)
    network, _ = load_network(weights)
    several = read_eval_set(config.validation, config.keypoint_set, config.input_size_wh, Path("drawn"))
    few = replace(several, records=several.records[:2])
    runtime = TorchRuntime(network, weights_info(config), config.input_size_wh)
    counted = _Counted()
    reports = {
        "by backend": evaluate_runtime(runtime, several, processes, progress=counted),
        "by files": evaluate_runtime(runtime, several, processes, folder / "parts"),
        "few by backend": evaluate_runtime(runtime, few, processes),
        "few by files": evaluate_runtime(runtime, few, processes, folder / "parts"),
    }
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer += processes.rank
    reports["by the statistics of the first"] = evaluate_runtime(
        evaluated_runtime(network, config, processes), several, processes
    )
    found = {name: report and (report.metrics, report.results) for name, report in reports.items()}
    return {"done": counted.done, "found": found, "left": [path.name for path in (folder / "parts").glob("*")]}


def training(config: RunConfig, processes: Processes, folder: Path) -> dict[str, Any]:
    """Five steps in float64, with the loop's own samples and order."""
    run = prepare(config, config, processes, CPU)
    state, _, _ = starting_state(run)
    state.network.double()
    steps.forward = _forward_in_float64
    network = steps.prepared(state.network, config.training, processes)
    losses = []
    while state.progress.iteration < 5:
        for batches, _ in remaining_steps(run, state):
            values = steps.optimizer_step(
                network, state, batches, config.training, config.training.optimizer.learning_rate, processes
            )
            losses.append(distributed.mean_of(values["mse_loss"], processes, CPU))
            state.progress.iteration += 1
            if state.progress.iteration == 5:
                break
        state.progress.epoch += 1
    return {"state": state.network.state_dict(), "losses": losses}


def _forward_in_float64(
    network: nn.Module, batch: TensorBatch, settings: TrainingConfig
) -> tuple[Tensor, Tensor, Tensor]:
    output = network(steps.normalized(batch.images, settings.channels_last).double())
    return output, batch.targets.double(), batch.weights.double()[..., None]


CASES = {case.__name__: case for case in (exchange, evaluation, training)}


def main(name: str, recipe: str, folder: Path, overrides: list[str]) -> None:
    """Run one case in this process."""
    torch.set_num_threads(1)
    config = load_config(recipe, overrides).config
    processes = distributed.start_processes("pytorch")
    torch.save(CASES[name](config, processes, folder), folder / f"{name}_{processes.rank}.pth")
    distributed.stop_processes()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
