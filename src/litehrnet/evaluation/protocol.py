"""Test weights: read annotations and boxes, predict, compute metrics (docs/spec/protocol.md, sections 1 and 4)."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from litehrnet.config.schema import RunConfig, TestConfig
from litehrnet.data.coco import (
    box_records,
    detection_records,
    ground_truth_records,
    read_annotations,
    refuse_photo_lists,
)
from litehrnet.data.mpii import mpii_records
from litehrnet.data.photos import check_photos
from litehrnet.data.records import Record
from litehrnet.detectors.detections import Detector
from litehrnet.errors import UserError
from litehrnet.evaluation.coco import annotated_keypoints, check_keypoint_count, coco_figures, coco_results
from litehrnet.evaluation.detected import cleaned, detected_persons
from litehrnet.evaluation.mpii_submission import MPII_RELEASE, TestPhoto, read_test_photos
from litehrnet.evaluation.pckh import mpii_ground_truth_file, read_mpii_ground_truth, reported_figures
from litehrnet.evaluation.predictions import Predictions, predict_records
from litehrnet.keypoints.skeletons import MPII
from litehrnet.optional import require
from litehrnet.poses import KeypointSet
from litehrnet.runtimes import Runtime, open_runtime


@dataclass(frozen=True)
class TestReport:
    """What a test gave.

    Attributes:
        figures: By name; 0..1 for COCO, percent for MPII; none for MPII without ground truth.
        results: Entries of COCO's result file; none for MPII.
        predictions: The network's keypoints for every record.
        box_source: Where the boxes came from.
        photos: How many.
        mpii_test_photos: Of MPII's test split, where MPII's own annotation file lies beside the annotations.
    """

    __test__ = False  # not a class of tests

    figures: dict[str, float]
    results: list[dict[str, Any]]
    predictions: Predictions
    box_source: str
    photos: int
    mpii_test_photos: Sequence[TestPhoto] = ()


def open_weights(
    weights: Path,
    config: RunConfig | None,
    *,
    input_size_wh: tuple[int, int] | None = None,
    **settings: Any,
) -> tuple[Runtime, str]:
    """Load weights for a test, and say where their input size comes from.

    The file's own description counts; a configuration fills in what the file does not say and must not contradict it.

    Args:
        weights: See ``open_runtime``.
        config: What is tested, or None.
        input_size_wh: (width, height) where neither file nor configuration says it.
        **settings: Further arguments of ``open_runtime``.

    Raises:
        UserError: See ``open_runtime``; or file and configuration contradict each other.
    """
    wanted = input_size_wh or (config.input_size_wh if config else None)
    opened = open_runtime(weights, input_size_wh=wanted, **settings)
    info = opened.info
    if config is not None and info.variant not in (None, config.variant):
        raise UserError(f"{weights}: weights of {info.variant} (expected {config.variant}, as {config.name} says)")
    if info.input_size_wh is not None:
        if config is not None and info.codec != config.codec:
            raise UserError(f"{weights}: its heatmaps are to be decoded by {info.codec}, not by {config.codec}")
        return opened, "from the weights' file"
    if config is not None:
        check_keypoint_count(config.keypoint_set, len(info.keypoint_set), weights, Path(config.name))
        opened.info = replace(info, outputs=config.keypoint_set, codec=config.codec)
    by_itself = "the default" if weights.is_file() else "known of these weights"
    source = "--input-size" if input_size_wh else f"from {config.name}" if config else by_itself
    return opened, source


@dataclass(frozen=True)
class TestSet:
    """What is to be predicted, where its boxes came from, and the images of COCO's that count."""

    __test__ = False  # not a class of tests

    test: TestConfig
    records: list[Record]
    keypoint_set: KeypointSet
    box_source: str
    image_ids: Collection[int] = ()
    mpii_test_photos: Sequence[TestPhoto] = ()


def read_test_set(
    test: TestConfig,
    keypoint_set: KeypointSet,
    input_size_wh: tuple[int, int],
    weights: Path,
    *,
    without_truth: bool = False,
    detector: Detector | None = None,
) -> TestSet:
    """Read the annotations and boxes of a test.

    Args:
        test: Annotations, photos, boxes and thresholds.
        keypoint_set: Of the network.
        input_size_wh: (width, height) of its crops.
        weights: Its file, for messages.
        without_truth: Predictions alone will do for MPII where its ground truth is missing, as for its test split.
        detector: Finds the persons of COCO's photos, instead of the boxes that ``test`` names.

    Raises:
        UserError: A file is missing or broken; the annotations are of other keypoints; a package is missing.
    """
    path, images = Path(test.annotations), Path(test.images)
    image_ids: Collection[int] = ()
    test_photos: Sequence[TestPhoto] = ()
    if test.dataset == "mpii":
        refuse_photo_lists(test.annotations, test.only, test.without)
        check_keypoint_count(keypoint_set, len(MPII), path, weights)
        records = mpii_records(path, images, with_joints=False)
        if without_truth and not mpii_ground_truth_file(path).is_file():
            test_photos = _mpii_test_photos(records, path)
        else:
            read_mpii_ground_truth(mpii_ground_truth_file(path))
        box_source = f"annotated center and scale ({path})"
    else:
        require("pycocotools", "train", "computing AP")  # before the photos are gone through, not after
        annotations = read_annotations(path, test.only, test.without)
        image_ids = frozenset(annotations.images)
        check_keypoint_count(keypoint_set, annotated_keypoints(annotations), path, weights)
        if detector is not None:
            entries = cleaned(detected_persons(detector, annotations, images), annotations)
            records = box_records(entries, annotations, images, len(keypoint_set), input_size_wh)
            box_source = "detections (by the detector)"
        elif test.boxes is None:
            records = ground_truth_records(annotations, images, len(keypoint_set), input_size_wh)
            box_source = f"ground truth ({path})"
        else:
            boxes = Path(test.boxes)
            records = detection_records(
                annotations, boxes, images, len(keypoint_set), input_size_wh, test.min_box_score
            )
            box_source = f"detections ({boxes})"
    if not records:
        raise UserError(f"{path}: has no persons to test on")
    check_photos((record.image_file for record in records), str(path))
    return TestSet(test, records, keypoint_set, box_source, image_ids, test_photos)


def _mpii_test_photos(records: Sequence[Record], annotations: Path) -> Sequence[TestPhoto]:
    release = annotations.parent / MPII_RELEASE
    names = [record.image_file.name for record in records]
    return read_test_photos(release, names, annotations) if release.is_file() else ()


def run_test(
    runtime: Runtime,
    weights: Path,
    test: TestConfig,
    started: Callable[[int], Callable[[int], None]],
    *,
    without_truth: bool = False,
    detector: Detector | None = None,
) -> TestReport:
    """Test weights by the published protocol.

    Args:
        runtime: From ``open_weights``.
        weights: Its file, for messages.
        test: Annotations, photos, boxes and thresholds.
        started: Called with the number of persons; returns what is called with the number of persons done.
        without_truth: See ``read_test_set``.
        detector: See ``read_test_set``.

    Raises:
        UserError: See ``read_test_set``; or a photo is broken.
    """
    keypoint_set, size = runtime.info.keypoint_set, runtime.input_size_wh
    test_set = read_test_set(test, keypoint_set, size, weights, without_truth=without_truth, detector=detector)
    done = started(len(test_set.records))
    return report(test_set, predict_records(runtime, test_set.records, flip_test=test.flip, done=done))


def report(test_set: TestSet, predictions: Predictions) -> TestReport:
    """The figures that predictions for all of a test's records give.

    Raises:
        UserError: The annotations lack what the figures are computed from.
    """
    test, keypoint_set = test_set.test, test_set.keypoint_set
    path = Path(test.annotations)
    results: list[dict[str, Any]] = []
    if test.dataset == "mpii":
        truth = mpii_ground_truth_file(path)
        figures = reported_figures(predictions.keypoints, read_mpii_ground_truth(truth)) if truth.is_file() else {}
    else:
        results = coco_results(
            predictions,
            keypoint_set.sigmas,
            nms=test.nms,
            oks_threshold=test.oks_threshold,
            visibility_threshold=test.visibility_threshold,
        )
        figures = coco_figures(path, results, keypoint_set, test_set.image_ids)
    photos = len({record.image_file for record in test_set.records})
    return TestReport(figures, results, predictions, test_set.box_source, photos, test_set.mpii_test_photos)
