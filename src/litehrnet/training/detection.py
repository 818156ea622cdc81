"""Data and evaluation of a detector in training; the loop does the rest (see ``training.task``)."""

import hashlib
from pathlib import Path

import numpy as np
import torch

from litehrnet.arrays import Floats32
from litehrnet.config.schema import RunConfig
from litehrnet.data.detection import DetectionSet, completed, read_detection_set
from litehrnet.detectors.box_detector import BoxDetector
from litehrnet.detectors.detector import open_detector
from litehrnet.evaluation.detection import MIN_SCORE, DetectionEvalSet, Found, box_metrics, found_boxes
from litehrnet.io.files import read_bytes
from litehrnet.io.images import read_image
from litehrnet.models.networks import Network
from litehrnet.training.distributed import Processes, gather, own_share
from litehrnet.training.evaluate import evaluated_runtime
from litehrnet.weights.zoo import cache_folder, find_detector


def read_training_photos(config: RunConfig) -> DetectionSet:
    """Read the photos that a configuration trains on; ``detection.fill_from`` completes missing boxes.

    Raises:
        UserError: A file is missing or broken, or has no box of the object class.
    """
    assert config.detection is not None
    settings, seed = config.detection, config.training.seed
    skip = config.training.skip_broken_photos
    detection_set = read_detection_set(config.train, settings, config.input_size_wh, seed, skip_broken=skip)
    if settings.fill_from is None:
        return detection_set
    path = find_detector(settings.fill_from)
    detector = open_detector(path, min_score=settings.ignore_above, threads=torch.get_num_threads())
    name = hashlib.sha256(read_bytes(path)).hexdigest() + f" {settings.ignore_above}"

    def find_boxes(image_file: Path) -> tuple[Floats32, Floats32]:
        found = detector.detect(read_image(image_file))
        first, size = found.boxes[:, :2], found.boxes[:, 2:]
        return np.concatenate([first, first + size], axis=1), found.scores

    return completed(detection_set, find_boxes, name, cache_folder())


def evaluate_detection(
    network: Network, config: RunConfig, test: DetectionEvalSet, processes: Processes
) -> dict[str, float] | None:
    """Evaluate ``network``; exactly one process runs each photo, and only the first gets the values.

    Raises:
        UserError: A photo is broken.
    """
    detector = BoxDetector(evaluated_runtime(network, config, processes), MIN_SCORE)
    own = found_boxes(detector, own_share(test.records, processes))
    parts = gather(torch.from_numpy(own), processes)
    if parts is None:
        return None
    return detection_metrics(test, *[part.numpy() for part in parts])


def detection_metrics(test: DetectionEvalSet, *found: Found) -> dict[str, float]:
    """Compute the metrics of found boxes, and leave out metrics that cannot be computed."""
    metrics = box_metrics(test, np.concatenate([np.empty((0, 6)), *found]))
    return {name: value for name, value in metrics.items() if value is not None}
