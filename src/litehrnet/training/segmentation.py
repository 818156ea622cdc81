"""Training a segmentation: its data and its evaluation; all else is the loop's (see ``training.task``)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from litehrnet.config.schema import RunConfig
from litehrnet.data.segmentation import SegmentationSet, read_segmentation_set
from litehrnet.errors import UserError
from litehrnet.evaluation.segmentation import SegmentationTest, confusion_of, read_segmentation_test
from litehrnet.inference.segmenter import Segmenter
from litehrnet.models.lite_hrnet import Network
from litehrnet.runtimes.torch import TorchRuntime
from litehrnet.segmentation.classes import find_class_set
from litehrnet.segmentation.confusion import figures
from litehrnet.training.distributed import Processes, copy_from_first, gather, own_share
from litehrnet.training.evaluate import weights_info


def read_training_images(config: RunConfig) -> SegmentationSet:
    """What a configuration trains on.

    Raises:
        UserError: A file is missing or broken, or the class weights are not those of the classes.
    """
    assert config.segmentation is not None
    class_set = find_class_set(config.segmentation.classes)
    weights = config.training.loss.class_weights
    if weights and (len(weights) != len(class_set) or min(weights) < 0 or not max(weights)):
        raise UserError(
            f"{config.name}: training.loss.class_weights has {len(weights)} values (expected {len(class_set)} of 0 or "
            f"more, one per class of {class_set.name})"
        )
    size, seed = config.input_size_wh, config.training.seed
    return read_segmentation_set(config.train, class_set, size, config.segmentation, seed)


def read_test_images(config: RunConfig) -> SegmentationTest:
    """What a configuration evaluates on while training."""
    assert config.validation is not None
    assert config.segmentation is not None
    return read_segmentation_test(config.validation, find_class_set(config.segmentation.classes))


def evaluate_segmentation(
    network: Network, config: RunConfig, test: SegmentationTest, processes: Processes
) -> dict[str, float] | None:
    """Figures of ``network``; each image is segmented by exactly one process, and only the first gets the figures.

    Raises:
        UserError: A file is broken, or no pixel of the label images has a class.
    """
    copy_from_first(network.buffers(), processes)
    info = weights_info(config)
    segmenter = Segmenter(
        lambda size_wh: TorchRuntime(network, info, size_wh or config.input_size_wh),
        window=test.test.window,
        flip=test.test.flip,
        scales=test.test.scales,
    )
    found = evaluate_segmenter(segmenter, test, processes)
    if found is not None and not found:
        raise UserError(f"{Path(test.test.annotations)}: no pixel has a class (expected label images to test on)")
    return found


def evaluate_segmenter(
    segmenter: Segmenter,
    test: SegmentationTest,
    processes: Processes,
    folder: Path | None = None,
    out_dir: Path | None = None,
    started: Callable[[int], Callable[[int], None]] = lambda _: lambda _: None,
) -> dict[str, float] | None:
    """Figures of a segmenter; each image is segmented by exactly one process, and only the first gets the figures,
    which are none where no pixel has a class.

    Args:
        segmenter: The same in every process.
        test: The same in every process.
        processes: All must call this together.
        folder: Exchange results through files in this folder; None for the backend.
        out_dir: Where predictions are written as label images; None for nowhere.
        started: Called with this process's number of images; returns what is called with the number of images done.

    Raises:
        UserError: A file is broken, two do not fit together, or files cannot be written.
    """
    share = own_share(test.records, processes)
    own = confusion_of(segmenter, share, started(len(share)), out_dir)
    parts = gather(torch.from_numpy(own), processes, folder)
    if parts is None:
        return None
    return figures(np.sum([part.numpy() for part in parts], axis=0), test.class_set.class_names)
