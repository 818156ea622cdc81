"""Evaluation while training: the published protocol on a network in memory, shared between processes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from litehrnet.config.schema import RunConfig
from litehrnet.evaluation.predictions import predict_records, predictions_of
from litehrnet.evaluation.protocol import TestReport, TestSet, report
from litehrnet.models.lite_hrnet import Network
from litehrnet.runtimes import Runtime
from litehrnet.runtimes.torch import TorchRuntime
from litehrnet.training.distributed import Processes, copy_from_first, gather, own_share
from litehrnet.weights.weights_file import WeightsInfo


def weights_info(config: RunConfig, provenance: str = "") -> WeightsInfo:
    """What the weights of a run are."""
    return WeightsInfo(
        variant=config.variant,
        outputs=config.outputs,
        input_size_wh=config.input_size_wh,
        codec=config.codec,
        provenance=provenance,
    )


def evaluate(network: Network, config: RunConfig, test_set: TestSet, processes: Processes) -> TestReport | None:
    """Figures of ``network`` on ``test_set``; every process must call this and only the first gets them.

    The first process's running statistics of the batch normalizations count, as in the files that are kept of a run;
    the others take them over. While training they are not used, so that this changes nothing else.

    Raises:
        UserError: A photo is broken.
    """
    copy_from_first(network.buffers(), processes)
    runtime = TorchRuntime(network, weights_info(config), config.input_size_wh)
    return evaluate_runtime(runtime, test_set, processes)


def evaluate_runtime(
    runtime: Runtime,
    test_set: TestSet,
    processes: Processes,
    folder: Path | None = None,
    started: Callable[[int], Callable[[int], None]] = lambda _: lambda _: None,
) -> TestReport | None:
    """Figures of a runtime; each record is predicted by exactly one process, and only the first gets the figures.

    Args:
        runtime: The same in every process.
        test_set: The same in every process.
        processes: All must call this together.
        folder: Exchange results through files in this folder; None for the backend.
        started: Called with this process's number of persons; returns what is called with the number of persons done.

    Raises:
        UserError: A photo is broken, or the folder is not one that all processes see.
    """
    share = own_share(test_set.records, processes)
    own = predict_records(runtime, share, flip_test=test_set.test.flip, done=started(len(share)))
    parts = gather([torch.from_numpy(own.keypoints), torch.from_numpy(own.scores)], processes, folder)
    if parts is None:
        return None
    keypoints, scores = (np.concatenate([part[i].numpy() for part in parts]) for i in (0, 1))
    return report(test_set, predictions_of(test_set.records, keypoints, scores))
