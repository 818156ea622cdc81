"""What is kept of an evaluation: its predictions, the best weights so far, weights files for predicting.

Names and contents of the files: docs/spec/protocol.md, section 5.6.
"""

import json
import time
from pathlib import Path

import litehrnet
from litehrnet.config.schema import RunConfig, TestConfig
from litehrnet.data.records import read_json
from litehrnet.errors import UserError
from litehrnet.evaluation.coco import PUBLISHED_NAMES, published_json
from litehrnet.evaluation.detection import FIGURES
from litehrnet.evaluation.pckh import prediction_mat
from litehrnet.evaluation.protocol import TestReport
from litehrnet.io.files import write_bytes
from litehrnet.models.lite_hrnet import Network
from litehrnet.models.weights import save_network
from litehrnet.training.checkpoints import BEST, BEST_SCORE, write_checkpoint
from litehrnet.training.evaluate import weights_info
from litehrnet.training.state import Progress, TrainingState

BEST_BY = {"coco": "AP", "mpii": "PCKh", "cityscapes": "mIoU", "folder": "mIoU"}
"""The figure that counts where the configuration names none."""


PCK = "PCK"
"""Share of keypoints that are closer to their place than a fifth of the longer side of the box."""


def evaluates_pck(config: RunConfig, test: TestConfig) -> bool:
    """Whether evaluations also give ``PCK``: for your own keypoints, with the annotations' own boxes.

    AP depends on how far annotators spread, which nobody knows of new keypoints, and is coarse on a few photos.
    """
    return config.has_own_keypoints and test.dataset == "coco" and test.boxes is None


def published_figures(test: TestConfig, figures: dict[str, float]) -> dict[str, float]:
    """Figures under the names that the published logs use."""
    if test.dataset == "mpii":
        return figures
    return dict(zip(PUBLISHED_NAMES, list(figures.values())[: len(PUBLISHED_NAMES)], strict=True))


def best_by(config: RunConfig, test: TestConfig) -> str:
    """Name of the figure whose highest value is the best.

    Raises:
        UserError: The configuration names one that this evaluation does not give.
    """
    has_pck = evaluates_pck(config, test)
    name = config.training.best_by or (PCK if has_pck else BEST_BY[test.dataset])
    known = PUBLISHED_NAMES if config.detection is None else FIGURES
    known = (*known, PCK) if has_pck else known
    if test.dataset == "coco" and name not in known:
        raise UserError(f"{config.name}: training.best_by is {name}, no figure of COCO's (expected {', '.join(known)})")
    return name


def predictions_file(test: TestConfig, report: TestReport) -> tuple[str, bytes]:
    """Name and content of the file of an evaluation's keypoints: ``result_keypoints.json`` or ``pred.mat``."""
    if test.dataset == "coco":
        return "result_keypoints.json", published_json(report.results).encode()
    return "pred.mat", prediction_mat(report.predictions.keypoints)


def keep_if_best(folder: Path, state: TrainingState, config: RunConfig, figures: dict[str, float], epoch: int) -> bool:
    """Write ``best.pth``, ``best.safetensors`` and ``best.json`` if this evaluation is better than all before.

    Args:
        folder: Of the run; its ``best.json`` says how good the best was.
        state: Its moving average if there is one, otherwise its network is kept.
        config: Says which figure counts.
        figures: By the names of the log.
        epoch: Counted from 1.

    Returns:
        Whether it is.

    Raises:
        UserError: There is no such figure, ``best.json`` is broken, or a file cannot be written.
    """
    assert config.validation is not None
    name = best_by(config, config.validation)
    if name not in figures:
        raise UserError(
            f"training.best_by: {name} is no figure of this evaluation (expected one of {', '.join(figures)})"
        )
    before = best_score(folder)
    if before is not None and figures[name] <= before:
        return False
    meta = {"time": time.asctime(), "litehrnet_version": litehrnet.__version__, "epoch": epoch, name: figures[name]}
    weights = {key: value.detach().cpu() for key, value in state.evaluated.state_dict().items()}
    write_checkpoint(folder / BEST, {"meta": meta, "state_dict": weights})
    write_weights_file(folder / "best.safetensors", state.evaluated, config, state.progress)
    best = {"best_score": figures[name], "best_ckpt": str(folder / f"epoch_{epoch}.pth"), "key_indicator": name}
    # Last: a run that is killed before this evaluates again and writes all three.
    write_bytes(folder / BEST_SCORE, json.dumps(best).encode())
    return True


def best_score(folder: Path) -> float | None:
    """What ``best.json`` of a run's folder says; None where there is none.

    Raises:
        UserError: It is broken.
    """
    path = folder / BEST_SCORE
    if not path.exists():
        return None
    try:
        return float(read_json(path)["best_score"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: has no best_score (expected what this program wrote there)") from error


def has_stalled(folder: Path, epochs_done: int, evaluate_every: int, stop_after: int) -> bool:
    """Whether the last ``stop_after`` evaluations were no better than the best one, which found something at all.

    Args:
        folder: Of the run; its ``best.json`` names the epoch of the best.
        epochs_done: Completed and evaluated epochs.
        evaluate_every: Epochs between evaluations.
        stop_after: Number of evaluations.

    Raises:
        UserError: ``best.json`` is broken.
    """
    best = best_score(folder)
    if best is None or best <= 0:
        return False
    return epochs_done - best_epoch(folder) >= evaluate_every * stop_after


def best_epoch(folder: Path) -> int:
    """Epoch, counted from 1, that ``best.json`` of a run's folder names.

    Raises:
        UserError: It is missing or broken.
    """
    path = folder / BEST_SCORE
    try:
        return int(Path(read_json(path)["best_ckpt"]).stem.removeprefix("epoch_"))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: has no best_ckpt (expected what this program wrote there)") from error


def write_weights_file(path: Path, network: Network, config: RunConfig, progress: Progress) -> None:
    """Write weights as a safetensors file that says what they are.

    Raises:
        UserError: It cannot be written.
    """
    provenance = f"litehrnet {litehrnet.__version__}, recipe {config.name}, {progress.iteration} iterations"
    save_network(path, network, weights_info(config, provenance))
