"""Data and evaluation of a segmentation in training; the loop does the rest (see ``training.task``)."""

from pathlib import Path

import numpy as np
import torch

from litehrnet.config.schema import RunConfig
from litehrnet.data.segmentation import SegmentationSet, read_segmentation_set
from litehrnet.errors import UserError
from litehrnet.evaluation.segmentation import SegmentationEvalSet, confusion_of, read_segmentation_eval_set
from litehrnet.inference.segmenter import Segmenter
from litehrnet.io.progress import SILENT, Progress
from litehrnet.models.networks import Network
from litehrnet.runtimes.torch import TorchRuntime
from litehrnet.segmentation.classes import ClassSet
from litehrnet.segmentation.confusion import figures
from litehrnet.training.distributed import Processes, copy_from_first, gather, own_share
from litehrnet.training.evaluate import weights_info


def read_training_images(config: RunConfig) -> SegmentationSet:
    """Read the images that a configuration trains on.

    Raises:
        UserError: A file is missing or broken, or there are not as many class weights as classes.
    """
    assert config.segmentation is not None
    class_set = config.class_set
    weights = config.training.loss.class_weights
    if weights and (len(weights) != len(class_set) or min(weights) < 0 or not max(weights)):
        raise UserError(
            f"{config.name}: training.loss.class_weights has {len(weights)} values (expected {len(class_set)} of 0 or "
            f"more, one per class of {class_set.name})"
        )
    size, seed = config.input_size_wh, config.training.seed
    skip = config.training.skip_broken_photos
    return read_segmentation_set(config.train, class_set, size, config.segmentation, seed, skip_broken=skip)


def read_test_images(config: RunConfig) -> SegmentationEvalSet:
    """Read the images that a configuration evaluates on while training."""
    assert config.validation is not None
    return read_segmentation_eval_set(config.validation, config.class_set)


def evaluate_segmentation(
    network: Network, config: RunConfig, test: SegmentationEvalSet, processes: Processes
) -> dict[str, float] | None:
    """Evaluate ``network``; exactly one process segments each image, and only the first gets the values.

    Raises:
        UserError: A file is broken, or no pixel of the label images has a class.
    """
    copy_from_first(network.buffers(), processes)
    info = weights_info(config)
    segmenter = Segmenter(
        TorchRuntime(network, info, config.input_size_wh),
        window=test.test.window,
        flip=test.test.flip,
        scales=test.test.scales,
    )
    found = evaluate_segmenter(segmenter, test, processes)
    if found is not None and not found:
        raise UserError(f"{Path(test.test.annotations)}: no pixel has a class (expected label images to test on)")
    return found


def perfect_figures(class_set: ClassSet) -> dict[str, float]:
    """Return the values of a perfect segmentation, which shows their names."""
    return figures(np.eye(len(class_set), dtype=np.int64), class_set.class_names)


def evaluate_segmenter(
    segmenter: Segmenter,
    test: SegmentationEvalSet,
    processes: Processes,
    folder: Path | None = None,
    out_dir: Path | None = None,
    progress: Progress = SILENT,
) -> dict[str, float] | None:
    """Evaluate a segmenter; exactly one process segments each image, and only the first gets the values.

    There are no values where no pixel has a class.

    Args:
        segmenter: Segmenter, the same in every process.
        test: Images to segment, the same in every process.
        processes: The processes, which must all call this.
        folder: Folder for files through which results are exchanged; None to use the backend.
        out_dir: Folder for predictions as label images; None for none.
        progress: Counts the images of this process.

    Raises:
        UserError: A file is broken, two do not fit together, or files cannot be written.
    """
    share = own_share(test.records, processes)
    own = confusion_of(segmenter, share, progress, out_dir)
    parts = gather(torch.from_numpy(own), processes, folder)
    if parts is None:
        return None
    return figures(np.sum([part.numpy() for part in parts], axis=0), test.class_set.class_names)
