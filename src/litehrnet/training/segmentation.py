"""Data and evaluation of a segmentation in training; the loop does the rest (see ``training.task``)."""

from pathlib import Path

import numpy as np
import torch

from litehrnet.config.schema import RunConfig
from litehrnet.data.segmentation import SegmentationSet, read_segmentation_set
from litehrnet.errors import UserError
from litehrnet.evaluation.segmentation import SegmentationEvalSet, confusion_of
from litehrnet.inference.segmenter import Segmenter
from litehrnet.io.progress import SILENT, Progress
from litehrnet.models.networks import Network
from litehrnet.segmentation.confusion import segmentation_metrics
from litehrnet.training.distributed import Processes, gather, own_share
from litehrnet.training.evaluate import evaluated_runtime


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


def evaluate_segmentation(
    network: Network, config: RunConfig, test: SegmentationEvalSet, processes: Processes
) -> dict[str, float] | None:
    """Evaluate ``network``; exactly one process segments each image, and only the first gets the values.

    Raises:
        UserError: A file is broken, or no pixel of the label images has a class.
    """
    runtime, how = evaluated_runtime(network, config, processes), test.test
    found = evaluate_segmenter(Segmenter(runtime, window=how.window, flip=how.flip, scales=how.scales), test, processes)
    if found is not None and not found:
        raise UserError(f"{Path(how.annotations)}: no pixel has a class (expected label images to test on)")
    return found


def evaluate_segmenter(
    segmenter: Segmenter,
    test: SegmentationEvalSet,
    processes: Processes,
    folder: Path | None = None,
    out_dir: Path | None = None,
    progress: Progress = SILENT,
) -> dict[str, float] | None:
    """Evaluate a segmenter; exactly one process segments each image, and only the first gets the values.

    There are no values where no pixel has a class. Arguments are as for ``evaluate_runtime``; predictions are written
    to ``out_dir`` as label images.

    Raises:
        UserError: A file is broken, two do not fit together, or files cannot be written.
    """
    share = own_share(test.records, processes)
    own = confusion_of(segmenter, share, progress, out_dir)
    parts = gather(torch.from_numpy(own), processes, folder)
    if parts is None:
        return None
    return segmentation_metrics(np.sum([part.numpy() for part in parts], axis=0), test.class_set.class_names)
