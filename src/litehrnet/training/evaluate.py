"""Evaluation while training: a network in memory, and keypoints with the work shared between processes."""

from pathlib import Path

import numpy as np
import torch

from litehrnet.config.schema import RunConfig
from litehrnet.evaluation.predictions import predict_records, predictions_of
from litehrnet.evaluation.protocol import report
from litehrnet.evaluation.report import EvalReport, EvalSet
from litehrnet.io.progress import SILENT, Progress
from litehrnet.models.networks import Network
from litehrnet.runtimes import Runtime
from litehrnet.runtimes.torch import TorchRuntime
from litehrnet.training.distributed import Processes, copy_from_first, gather, own_share
from litehrnet.weights.weights_file import WeightsInfo


def weights_info(config: RunConfig, provenance: str = "") -> WeightsInfo:
    """Metadata of the weights of a run."""
    return WeightsInfo(
        variant=config.variant,
        outputs=config.outputs,
        input_size_wh=config.input_size_wh,
        codec=config.codec,
        provenance=provenance,
    )


def evaluated_runtime(network: Network, config: RunConfig, processes: Processes) -> TorchRuntime:
    """Return the runtime that evaluates ``network``; every process must call this.

    All processes use the first one's running statistics of batch normalization, as in the files of a run. Training
    does not use these statistics, so nothing else changes.
    """
    copy_from_first(network.buffers(), processes)
    return TorchRuntime(network, weights_info(config), config.input_size_wh)


def evaluate_runtime(
    runtime: Runtime,
    test_set: EvalSet,
    processes: Processes,
    folder: Path | None = None,
    progress: Progress = SILENT,
) -> EvalReport | None:
    """Evaluate a runtime; exactly one process predicts each record, and only the first gets the report.

    Args:
        runtime: Runtime, the same in every process.
        test_set: People to predict, the same in every process.
        processes: The processes, which must all call this.
        folder: Folder for files through which results are exchanged; None to use the backend.
        progress: Counts the people of this process.

    Raises:
        UserError: A photo is broken, or the folder is not one that all processes see.
    """
    share = own_share(test_set.records, processes)
    own = predict_records(runtime, share, flip_test=test_set.test.flip, progress=progress)
    parts = gather([torch.from_numpy(own.keypoints), torch.from_numpy(own.scores)], processes, folder)
    if parts is None:
        return None
    keypoints, scores = (np.concatenate([part[i].numpy() for part in parts]) for i in (0, 1))
    return report(test_set, predictions_of(test_set.records, keypoints, scores))
