"""Evaluation of keypoints by the published protocol (docs/spec/protocol.md, sections 1 and 4)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from litehrnet.config.schema import RunConfig
from litehrnet.data.coco import check_keypoint_count
from litehrnet.data.coco_records import box_records, read_test_annotations
from litehrnet.data.formats import find_format
from litehrnet.data.photos import check_photos
from litehrnet.data.records import PeopleToEvaluate
from litehrnet.data.settings import EvalConfig
from litehrnet.detectors.detections import Detector
from litehrnet.errors import UserError
from litehrnet.evaluation.detected import cleaned, detected_persons
from litehrnet.evaluation.metrics import find_measure
from litehrnet.evaluation.predictions import Predictions
from litehrnet.evaluation.report import EvalReport, EvalSet
from litehrnet.optional import require
from litehrnet.poses import KeypointSet
from litehrnet.runtimes import Runtime, open_runtime


def open_weights(
    weights: Path,
    config: RunConfig | None,
    *,
    input_size_wh: tuple[int, int] | None = None,
    **settings: Any,
) -> tuple[Runtime, str]:
    """Open weights for an evaluation; other arguments as for ``open_runtime``.

    The metadata of the file count. A configuration fills in what they lack and must not contradict them.

    Returns:
        The runtime, and where its input size comes from, in words.

    Raises:
        UserError: See ``open_runtime``; or file and configuration contradict each other.
    """
    wanted = input_size_wh or (config.input_size_wh if config else None)
    opened = open_runtime(weights, input_size_wh=wanted, **settings)
    info = opened.info
    if config is not None and info.variant not in (None, config.variant):
        raise UserError(f"{weights}: weights of {info.variant} (expected {config.variant}, as in {config.name})")
    if info.input_size_wh is not None:
        if config is not None and info.codec != config.codec:
            expected = f"{config.codec}, as in {config.name}"
            raise UserError(f"{weights}: heatmaps are decoded by {info.codec} (expected {expected})")
        return opened, "from the weights' file"
    if config is not None:
        check_keypoint_count(config.keypoint_set, len(info.keypoint_set), weights, Path(config.name))
        codec = info.codec if info.simcc_bins_wh else config.codec  # UDP would cut other crops than SimCC's
        opened.info = replace(info, outputs=config.keypoint_set, codec=codec)
    by_itself = "the default" if weights.is_file() else "known of these weights"
    source = "--input-size" if input_size_wh else f"from {config.name}" if config else by_itself
    return opened, source


def read_eval_set(
    test: EvalConfig,
    keypoint_set: KeypointSet,
    input_size_wh: tuple[int, int],
    weights: Path,
    *,
    without_truth: bool = False,
    detector: Detector | None = None,
) -> EvalSet:
    """Read the annotations and boxes of an evaluation.

    Args:
        test: Annotations, photos, boxes and thresholds.
        keypoint_set: Keypoints of the network.
        input_size_wh: (width, height) of its crops in pixels.
        weights: Weights file, for error messages.
        without_truth: Whether predictions alone will do where MPII's ground truth is missing, as for its test split.
        detector: Finds the people in COCO's photos, instead of the boxes that ``test`` names.

    Raises:
        UserError: A file is missing or broken, the annotations have other keypoints, or a package is missing.
    """
    form, measure = find_format(test.format), find_measure(test)
    if measure.package is not None:
        require(measure.package, "train", f"computing {form.metric.name}")
    if detector is None:
        people = form.read_test(test, keypoint_set, input_size_wh, weights)
    else:
        people = _detected_people(test, keypoint_set, input_size_wh, weights, detector)
    if not people.records:
        raise UserError(f"{test.annotations}: nobody to evaluate on (expected annotated people)")
    photos = measure.prepare(test, people.records, without_truth)
    check_photos(((record.image_file, record.image_wh) for record in people.records), test.annotations)
    return EvalSet(test, people.records, keypoint_set, people.box_source, people.image_ids, photos)


def _detected_people(
    test: EvalConfig, keypoint_set: KeypointSet, input_size_wh: tuple[int, int], weights: Path, detector: Detector
) -> PeopleToEvaluate:
    images = Path(test.images)
    annotations = read_test_annotations(test, keypoint_set, weights, find_format(test.format).load)
    entries = cleaned(detected_persons(detector, annotations, images), annotations)
    records = box_records(entries, annotations, images, len(keypoint_set), input_size_wh)
    return PeopleToEvaluate(records, "detections (by the detector)", frozenset(annotations.images))


def report(eval_set: EvalSet, predictions: Predictions) -> EvalReport:
    """Measure predictions for all records of an evaluation.

    Raises:
        UserError: The annotations lack something that the metric needs.
    """
    metrics, results = find_measure(eval_set.test).metrics(eval_set, predictions)
    return EvalReport(eval_set, metrics, results, predictions)
