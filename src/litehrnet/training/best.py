"""The best weights of a run so far, and weights files for prediction.

Names and contents of the files: docs/spec/protocol.md, section 5.6.
"""

import json
import time
from pathlib import Path

import litehrnet
from litehrnet.config.schema import RunConfig
from litehrnet.config.tasks import metric_of
from litehrnet.data.formats import find_format
from litehrnet.data.records import read_json
from litehrnet.data.settings import EvalConfig
from litehrnet.errors import UserError
from litehrnet.io.files import write_bytes
from litehrnet.models.networks import Network
from litehrnet.models.weights import save_network
from litehrnet.training.checkpoints import BEST, BEST_SCORE, write_checkpoint
from litehrnet.training.evaluate import weights_info
from litehrnet.training.state import Progress, TrainingState

PCK = "PCK"
"""Share of keypoints with an error below a fifth of the longer side of the box."""


def evaluates_pck(config: RunConfig, test: EvalConfig) -> bool:
    """Whether evaluations also give ``PCK``: for your own keypoints, with the annotated boxes.

    AP depends on how far annotators disagree, which is unknown for new keypoints, and is coarse on a few photos.
    """
    return config.has_own_keypoints and find_format(test.format).takes_boxes and test.boxes is None


def best_by(config: RunConfig, test: EvalConfig) -> str:
    """Name of the value that decides which weights are the best: the highest wins.

    Raises:
        UserError: The configuration names a value that this evaluation does not give.
    """
    metric, has_pck = metric_of(config, test), evaluates_pck(config, test)
    name = config.training.best_by or (PCK if has_pck else metric.best_by)
    known = (*metric.values, PCK) if has_pck else metric.values
    if known and name not in known:
        raise UserError(
            f"{config.name}: training.best_by is {name}, not a value of {metric.name} (expected {', '.join(known)})"
        )
    return name


def check_metrics(config: RunConfig, test: EvalConfig, metrics: dict[str, float]) -> None:
    """Check that an evaluation gives the value that decides which weights are the best.

    Raises:
        UserError: It does not, such as the AP of large people where nobody is large.
    """
    name = best_by(config, test)
    if name not in metrics:
        given = ", ".join(metrics) or "none"
        raise UserError(
            f"{test.annotations}: gives no {name}, which training.best_by needs to choose the best weights (expected "
            f"one of {given})"
        )


def keep_if_best(folder: Path, state: TrainingState, config: RunConfig, metrics: dict[str, float], epoch: int) -> bool:
    """Write ``best.pth``, ``best.safetensors`` and ``best.json`` if this evaluation is better than all before.

    Args:
        folder: Folder of the run; its ``best.json`` holds the best value so far.
        state: Its moving average is written if there is one, otherwise its network.
        config: Configuration, which names the value that counts.
        metrics: Values of the metric, by their names in the log.
        epoch: Epoch, counted from 1.

    Returns:
        Whether this evaluation is the best.

    Raises:
        UserError: ``best.json`` is broken, or a file cannot be written.
    """
    assert config.validation is not None
    name = best_by(config, config.validation)
    before = read_best(folder)
    if before is not None and metrics[name] <= before[0]:
        return False
    meta = {"time": time.asctime(), "litehrnet_version": litehrnet.__version__, "epoch": epoch, name: metrics[name]}
    weights = {key: value.detach().cpu() for key, value in state.evaluated.state_dict().items()}
    write_checkpoint(folder / BEST, {"meta": meta, "state_dict": weights})
    write_weights_file(folder / "best.safetensors", state.evaluated, config, state.progress)
    best = {"best_score": metrics[name], "best_ckpt": str(folder / f"epoch_{epoch}.pth"), "key_indicator": name}
    # Written last: a run that is killed before this evaluates again and writes all three.
    write_bytes(folder / BEST_SCORE, json.dumps(best).encode())
    return True


def read_best(folder: Path) -> tuple[float, int] | None:
    """Read the best value and its epoch, counted from 1, from ``best.json`` in a run's folder; None without the file.

    Raises:
        UserError: It is broken.
    """
    path = folder / BEST_SCORE
    if not path.exists():
        return None
    try:
        content = read_json(path)
        return float(content["best_score"]), int(Path(content["best_ckpt"]).stem.removeprefix("epoch_"))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: has no best_score or best_ckpt (expected the file that training wrote)") from error


def has_stalled(folder: Path, epochs_done: int, evaluate_every: int, stop_after: int) -> bool:
    """Return whether the last ``stop_after`` evaluations were no better than the best one, which is above 0.

    ``epochs_done`` epochs are completed and evaluated. Errors as in ``read_best``.
    """
    best = read_best(folder)
    return best is not None and best[0] > 0 and epochs_done - best[1] >= evaluate_every * stop_after


def write_weights_file(path: Path, network: Network, config: RunConfig, progress: Progress) -> None:
    """Write weights as a safetensors file with metadata.

    Raises:
        UserError: It cannot be written.
    """
    provenance = f"litehrnet {litehrnet.__version__}, recipe {config.name}, {progress.iteration} iterations"
    save_network(path, network, weights_info(config, provenance))
