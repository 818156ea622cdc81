"""What training does differently for poses, segmentation and detection. Everything else is written once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from litehrnet.config.schema import RunConfig
from litehrnet.data.detection_samples import make_detection_batch
from litehrnet.data.photos import PhotoCache
from litehrnet.data.samples import Batch, make_batch
from litehrnet.data.segmentation_samples import make_segmentation_batch
from litehrnet.data.trainingset import TrainingSet, read_training_set
from litehrnet.evaluation.protocol import TestSet, read_test_set
from litehrnet.evaluation.score import records_pck
from litehrnet.models.lite_hrnet import Network
from litehrnet.training.best import PCK, evaluates_pck, predictions_file, published_figures
from litehrnet.training.detection import evaluate_detection, read_test_photos, read_training_photos
from litehrnet.training.distributed import Processes
from litehrnet.training.evaluate import evaluate
from litehrnet.training.segmentation import evaluate_segmentation, read_test_images, read_training_images


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation gave.

    Attributes:
        figures: By the names of the log.
        files: Contents of files to write into the run's folder, by name.
    """

    figures: dict[str, float]
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What a network is trained for: ``POSES``, ``SEGMENTATION`` or ``DETECTION``.

    The sets that one function gives and another one takes are this task's own; the loop looks at no more of them than
    ``len``, ``records`` and each record's ``image_file``.

    Attributes:
        samples: What is counted, in the plural.
        read_training_set: Of a configuration.
        make_batch: Of a training set, the epoch from 0, and indices of records.
        read_test_set: Of a configuration with ``validation``.
        how: What a line of the log says of the way a test set is evaluated.
        evaluate: Of a network on a test set; every process must call it, only the first gets the result.
    """

    samples: str
    read_training_set: Callable[[RunConfig], Any]
    make_batch: Callable[[Any, int, Sequence[int], PhotoCache], Batch]
    read_test_set: Callable[[RunConfig], Any]
    how: Callable[[Any], str]
    evaluate: Callable[[Network, RunConfig, Any, Processes], Evaluation | None]


def task_of(config: RunConfig) -> Task:
    """What a configuration trains for."""
    if config.detection is not None:
        return DETECTION
    return POSES if config.segmentation is None else SEGMENTATION


def _training_persons(config: RunConfig) -> TrainingSet:
    size, seed = config.input_size_wh, config.training.seed
    return read_training_set(config.train, config.keypoint_set, size, config.codec, config.augmentation, seed)


def _test_persons(config: RunConfig) -> TestSet:
    assert config.validation is not None
    return read_test_set(config.validation, config.keypoint_set, config.input_size_wh, Path(config.name))


def _evaluate_poses(network: Any, config: RunConfig, test_set: TestSet, processes: Processes) -> Evaluation | None:
    report = evaluate(network, config, test_set, processes)
    if report is None:
        return None
    name, content = predictions_file(test_set.test, report)
    figures = published_figures(test_set.test, report.figures)
    if evaluates_pck(config, test_set.test):
        figures[PCK] = records_pck(test_set.records, report.predictions.keypoints)
    return Evaluation(figures, {name: content})


def _evaluate_images(network: Network, config: RunConfig, test: Any, processes: Processes) -> Evaluation | None:
    found = evaluate_segmentation(network, config, test, processes)
    return None if found is None else Evaluation(found)


def _evaluate_photos(network: Network, config: RunConfig, test: Any, processes: Processes) -> Evaluation | None:
    found = evaluate_detection(network, config, test, processes)
    return None if found is None else Evaluation(found)


POSES = Task(
    samples="persons",
    read_training_set=_training_persons,
    make_batch=make_batch,
    read_test_set=_test_persons,
    how=lambda test_set: f"boxes: {test_set.box_source}",
    evaluate=_evaluate_poses,
)
SEGMENTATION = Task(
    samples="images",
    read_training_set=read_training_images,
    make_batch=make_segmentation_batch,
    read_test_set=read_test_images,
    how=lambda test: test.how,
    evaluate=_evaluate_images,
)
DETECTION = Task(
    samples="photos",
    read_training_set=read_training_photos,
    make_batch=make_detection_batch,
    read_test_set=read_test_photos,
    how=lambda test: f"{len(test.records)} photos",
    evaluate=_evaluate_photos,
)
