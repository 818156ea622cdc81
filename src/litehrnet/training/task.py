"""The parts of training that differ between keypoints, segmentation and detection, in one table."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from litehrnet.config.schema import RunConfig, TaskName
from litehrnet.data.detection_samples import make_detection_batch
from litehrnet.data.samples import make_batch
from litehrnet.data.segmentation_samples import make_segmentation_batch
from litehrnet.data.trainingset import read_training_set
from litehrnet.evaluation.detection import read_detection_eval_set
from litehrnet.evaluation.metrics import find_measure, logged_metrics
from litehrnet.evaluation.predictions import predictions_of
from litehrnet.evaluation.protocol import read_eval_set, report
from litehrnet.evaluation.report import EvalReport, EvalSet
from litehrnet.evaluation.score import records_pck
from litehrnet.evaluation.segmentation import read_segmentation_eval_set
from litehrnet.models.networks import Network
from litehrnet.segmentation.confusion import segmentation_metrics
from litehrnet.training.best import PCK, evaluates_pck
from litehrnet.training.detection import detection_metrics, evaluate_detection, read_training_photos
from litehrnet.training.distributed import Processes
from litehrnet.training.evaluate import evaluate_runtime, evaluated_runtime
from litehrnet.training.loader import TrainingSamples
from litehrnet.training.segmentation import evaluate_segmentation, read_training_images

TestSet = TypeVar("TestSet")


@dataclass(frozen=True)
class Evaluation:
    """Result of an evaluation.

    Attributes:
        metrics: Values of the metric, by their names in the log.
        files: Contents of files to write into the run's folder, by name.
    """

    metrics: dict[str, float]
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class EvalSamples:
    """Samples to evaluate on.

    Attributes:
        count: Number of samples.
        how: Description of the evaluation, for the log.
        evaluate: Evaluate a network. Every process must call this; only the first gets the result.
        rehearse: Compute values without a network, by their names in the log, to find what an evaluation lacks before
            the first step.
    """

    count: int
    how: str
    evaluate: Callable[[Network, RunConfig, Processes], Evaluation | None]
    rehearse: Callable[[], dict[str, float]]


@dataclass(frozen=True)
class Task:
    """The parts of training that belong to one task.

    Attributes:
        samples: Name of the samples, in the plural.
        read: Read what a configuration trains on.
        read_test: Read what a configuration with ``validation`` evaluates on.
    """

    samples: str
    read: Callable[[RunConfig], TrainingSamples]
    read_test: Callable[[RunConfig], EvalSamples]


def _people(config: RunConfig) -> TrainingSamples:
    size, seed = config.input_size_wh, config.training.seed
    skip, variation = config.training.skip_broken_photos, config.augmentation
    people = read_training_set(config.train, config.keypoint_set, size, config.codec, variation, seed, skip_broken=skip)
    return TrainingSamples(people.records, partial(make_batch, people))


def _test_people(config: RunConfig) -> EvalSamples:
    assert config.validation is not None
    people = read_eval_set(config.validation, config.keypoint_set, config.input_size_wh, Path(config.name))

    def rehearse() -> dict[str, float]:
        keypoints = np.zeros((len(people.records), len(people.keypoint_set), 2), np.float32)
        return _people_metrics(report(people, predictions_of(people.records, keypoints, keypoints[..., 0])), config)

    return EvalSamples(len(people.records), people.how, partial(_evaluate_people, people), rehearse)


def _evaluate_people(people: EvalSet, network: Network, config: RunConfig, processes: Processes) -> Evaluation | None:
    found = evaluate_runtime(evaluated_runtime(network, config, processes), people, processes)
    if found is None:
        return None
    measure = find_measure(people.test)
    content = measure.encode(found, Path(measure.file_name).suffix)
    return Evaluation(_people_metrics(found, config), {measure.file_name: content})


def _people_metrics(found: EvalReport, config: RunConfig) -> dict[str, float]:
    test = found.eval_set.test
    values = logged_metrics(test, found.metrics)
    if evaluates_pck(config, test):
        values[PCK] = records_pck(found.eval_set.records, found.predictions.keypoints)
    return values


def _images(config: RunConfig) -> TrainingSamples:
    images = read_training_images(config)
    return TrainingSamples(images.records, partial(make_segmentation_batch, images))


def _test_images(config: RunConfig) -> EvalSamples:
    assert config.validation is not None
    images, classes = read_segmentation_eval_set(config.validation, config.class_set), len(config.class_set)
    perfect = partial(segmentation_metrics, np.eye(classes, dtype=np.int64), config.class_set.class_names)
    return EvalSamples(len(images.records), images.how, partial(_metrics, evaluate_segmentation, images), perfect)


def _photos(config: RunConfig) -> TrainingSamples:
    photos = read_training_photos(config)
    return TrainingSamples(photos.records, partial(make_detection_batch, photos))


def _test_photos(config: RunConfig) -> EvalSamples:
    assert config.validation is not None
    assert config.detection is not None
    photos = read_detection_eval_set(config.validation, config.detection.objects)
    evaluation = partial(_metrics, evaluate_detection, photos)
    return EvalSamples(len(photos.records), photos.how, evaluation, partial(detection_metrics, photos))


def _metrics(
    evaluate: Callable[[Network, RunConfig, TestSet, Processes], dict[str, float] | None],
    test: TestSet,
    network: Network,
    config: RunConfig,
    processes: Processes,
) -> Evaluation | None:
    """Evaluate for the metric alone, without files of predictions."""
    found = evaluate(network, config, test, processes)
    return None if found is None else Evaluation(found)


TASKS: dict[TaskName, Task] = {
    "keypoints": Task("people", _people, _test_people),
    "segmentation": Task("images", _images, _test_images),
    "detection": Task("photos", _photos, _test_photos),
}
"""By the name of the task in ``RunConfig``."""
