"""State of a training run, and its checkpoints, from which a run resumes exactly.

Checkpoints have the layout of the reference implementation (docs/spec/protocol.md, section 5.6) and one more entry,
``run``, for the rest of the state.
"""

import copy
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import litehrnet
from litehrnet.config.schema import OptimizerConfig, RunConfig
from litehrnet.errors import UserError
from litehrnet.models.networks import Network, channels_last
from litehrnet.training.muon import Muon, matrices_of


@dataclass
class Progress:
    """Progress of a run.

    Attributes:
        epoch: Completed epochs.
        iteration: Optimizer steps so far.
        samples_in_epoch: Samples of the current epoch that all processes together have used.
        sums: Sums of the values that the log averages, since its last line.
        seconds: Training time so far in seconds.
    """

    epoch: int = 0
    iteration: int = 0
    samples_in_epoch: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class TrainingState:
    """The parts of a run that its checkpoints hold.

    Attributes:
        network: Network on its device, in its memory format.
        optimizer: Optimizer of the network's parameters.
        average: Moving average of the network, or None.
        scaler: Loss scaler for fp16; otherwise it does nothing.
        progress: Progress of the run.
    """

    network: Network
    optimizer: torch.optim.Optimizer
    average: Network | None
    scaler: torch.amp.GradScaler
    progress: Progress

    def is_finite(self) -> bool:
        """Whether every weight and running statistic is a finite number."""
        return all(bool(torch.isfinite(value).all()) for value in self.network.state_dict().values())

    @property
    def evaluated(self) -> Network:
        """Network that is evaluated and written as weights: the moving average if there is one."""
        return self.network if self.average is None else self.average


def new_state(network: Network, config: RunConfig, device: torch.device) -> TrainingState:
    """Make the state before the first step; the weights of ``network`` stay."""
    network = network.to(device)
    if config.training.channels_last:
        network = channels_last(network)
    network.train()
    average = copy.deepcopy(network).eval() if config.training.ema is not None else None
    scaler = torch.amp.GradScaler(device.type, enabled=config.training.precision == "fp16")
    optimizer = make_optimizer(config.training.optimizer, network)
    return TrainingState(network, optimizer, average, scaler, Progress())


def make_optimizer(config: OptimizerConfig, network: nn.Module) -> torch.optim.Optimizer:
    """Make the optimizer of all parameters of ``network``, in one group."""
    # Checkpoints of the reference implementation hold initial_lr beside the current rate.
    group: dict[str, Any] = {"params": list(network.parameters()), "initial_lr": config.learning_rate}
    common: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.weight_decay, "fused": True}
    if config.kind == "sgd":
        return torch.optim.SGD([group], momentum=config.momentum, **common)
    if config.kind == "muon":
        del common["fused"]
        return Muon([group], matrices_of(network), betas=config.betas, **common)
    kind = torch.optim.Adam if config.kind == "adam" else torch.optim.AdamW
    return kind([group], betas=config.betas, **common)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move ``average`` toward ``network``: parameters and running statistics; counters are copied."""
    tensors = [[*module.parameters(), *module.buffers()] for module in (average, network)]
    pairs = list(zip(*tensors, strict=True))
    floats = [(old, new) for old, new in pairs if old.is_floating_point()]
    torch._foreach_lerp_([old for old, _ in floats], [new for _, new in floats], 1 - decay)
    for old, new in pairs:
        if not old.is_floating_point():
            old.copy_(new)


def checkpoint_of(state: TrainingState, config_text: str, seed: int) -> dict[str, Any]:
    """Make the contents of a checkpoint: tensors on the CPU and plain values."""
    progress = state.progress
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "meta": {
            "epoch": progress.epoch,
            "iter": progress.iteration,
            "config": config_text,
            "seed": seed,
            "time": time.asctime(),
            "litehrnet_version": litehrnet.__version__,
            "torch_version": str(torch.__version__),
        },
        "state_dict": _on_cpu(state.network.state_dict()),
        "optimizer": _on_cpu(state.optimizer.state_dict()),
        "run": {
            "progress": asdict(progress),
            "average": None if state.average is None else _on_cpu(state.average.state_dict()),
            "scaler": state.scaler.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": cuda,
        },
    }


def resume(state: TrainingState, checkpoint: Any, path: Path) -> None:
    """Load a checkpoint into ``state``; checkpoints of the reference implementation resume at their next epoch.

    The settings of the optimizer come from the configuration, not from the checkpoint.

    Args:
        state: State of a network of the same variant and keypoints.
        checkpoint: Contents from ``litehrnet.models.checkpoint.read_contents``.
        path: Checkpoint file, for error messages.

    Raises:
        UserError: The checkpoint belongs to another network or optimizer, or has no optimizer.
    """
    if not isinstance(checkpoint, dict) or not {"state_dict", "optimizer", "meta"} <= checkpoint.keys():
        raise UserError(
            f"{path}: has no optimizer state, so a run cannot resume from it (expected latest.pth or an "
            "epoch_N.pth; load_from accepts weights alone)"
        )
    try:
        weights = {name.removeprefix("module."): value for name, value in checkpoint["state_dict"].items()}
        state.network.load_state_dict(weights)
        _load_optimizer(state.optimizer, checkpoint["optimizer"])
        if checkpoint.get("run"):
            _resume_run(state, checkpoint["run"], weights)
        else:
            meta = checkpoint["meta"]
            state.progress = Progress(epoch=int(meta["epoch"]), iteration=int(meta["iter"]))
            if state.average is not None:
                state.average.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be resumed from ({reason}; expected a checkpoint of this run)") from error


def _resume_run(state: TrainingState, run: dict[str, Any], weights: dict[str, Tensor]) -> None:
    known = {f.name for f in fields(Progress)}
    state.progress = Progress(**{name: value for name, value in run["progress"].items() if name in known})
    if state.average is not None:
        state.average.load_state_dict(run["average"] or weights)
    if run["scaler"]:  # empty if the precision was different
        state.scaler.load_state_dict(run["scaler"])
    torch.set_rng_state(run["torch_rng"])
    if len(run["cuda_rng"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(run["cuda_rng"])


def _load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Load the optimizer's state of each parameter, in the memory layout of the parameter.

    PyTorch's fused optimizers ignore strides: a moment in another memory format would belong to the wrong elements.
    """
    parameters = optimizer.param_groups[0]["params"]
    numbers = [number for group in saved["param_groups"] for number in group["params"]]
    if len(numbers) != len(parameters):
        raise ValueError(f"its optimizer has {len(numbers)} parameters instead of {len(parameters)}")
    state = {}
    for place, (number, parameter) in enumerate(zip(numbers, parameters, strict=True)):
        if number not in saved["state"]:
            continue  # no step has been made yet
        kept, wanted = saved["state"][number], _kept_by(optimizer, parameter)
        if set(kept) != wanted:
            raise ValueError(f"its optimizer keeps {', '.join(kept)} instead of {', '.join(sorted(wanted))}")
        state[place] = {name: _laid_out_like(parameter, value, name) for name, value in kept.items()}
    (group,) = optimizer.state_dict()["param_groups"]
    # The learning rate of the newest step, which the log shows until the next step sets its own.
    group["lr"] = float(saved["param_groups"][0]["lr"])
    optimizer.load_state_dict({"state": state, "param_groups": [group]})


def _kept_by(optimizer: torch.optim.Optimizer, parameter: Tensor) -> set[str]:
    if isinstance(optimizer, torch.optim.SGD) or (isinstance(optimizer, Muon) and optimizer.is_matrix(parameter)):
        return {"momentum_buffer"}
    return {"step", "exp_avg", "exp_avg_sq"}


def _laid_out_like(parameter: Tensor, value: Any, name: str) -> Any:
    if name == "step" or value is None:
        return value
    if value.shape != parameter.shape:
        raise ValueError(f"{name} of a parameter has shape {tuple(value.shape)}, not {tuple(parameter.shape)}")
    return torch.empty_like(parameter).copy_(value)


def _on_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {key: _on_cpu(item) for key, item in value.items()}
    return [_on_cpu(item) for item in value] if isinstance(value, list) else value
