"""The published test: weights, annotations and boxes in; figures out (protocol specification, sections 1 and 4)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from litehrnet.config.run_config import RunConfig, TestConfig
from litehrnet.data.coco import CocoAnnotations, detection_records, ground_truth_records, read_annotations
from litehrnet.data.mpii import mpii_records
from litehrnet.data.records import Record
from litehrnet.errors import UserError
from litehrnet.evaluation.coco import check_keypoint_count, coco_figures, coco_results
from litehrnet.evaluation.pckh import mean_pckh, pckh_figures, read_mpii_ground_truth
from litehrnet.evaluation.predictions import Predictions, predict_records
from litehrnet.optional import require
from litehrnet.runtimes import Runtime, open_runtime

MPII_GROUND_TRUTH = "mpii_gt_val.mat"


@dataclass(frozen=True)
class TestReport:
    """What a test gave.

    Attributes:
        figures: By name; 0..1 for COCO, percent for MPII.
        results: Entries of COCO's result file; none for MPII.
        predictions: The network's keypoints for every record.
        box_source: Where the boxes came from.
        photos: How many.
    """

    __test__ = False  # not a class of tests

    figures: dict[str, float]
    results: list[dict[str, Any]]
    predictions: Predictions
    box_source: str
    photos: int


def open_weights(
    weights: Path,
    config: RunConfig | None,
    *,
    runtime: str | None = None,
    input_size_wh: tuple[int, int] | None = None,
    threads: int | None = None,
) -> tuple[Runtime, str]:
    """Load weights for a test, and say where their input size comes from.

    The file's own description counts; a configuration fills in what the file does not say and must not contradict it.

    Raises:
        UserError: See ``open_runtime``; or file and configuration contradict each other.
    """
    wanted = input_size_wh or (config.input_size_wh if config else None)
    opened = open_runtime(weights, runtime, input_size_wh=wanted, threads=threads)
    info = opened.info
    if config is not None and info.variant not in (None, config.variant):
        raise UserError(f"{weights}: weights of {info.variant} (expected {config.variant}, as {config.name} says)")
    if info.input_size_wh is not None:
        if config is not None and info.codec != config.codec:
            raise UserError(f"{weights}: its heatmaps are to be decoded by {info.codec}, not by {config.codec}")
        return opened, "from the weights' file"
    if config is not None:
        check_keypoint_count(config.keypoint_set, len(info.keypoint_set), weights, Path(config.name))
        opened.info = replace(info, keypoint_set=config.keypoint_set, codec=config.codec)
    source = "--input-size" if input_size_wh else f"from {config.name}" if config else "the default"
    return opened, source


def run_test(
    runtime: Runtime, weights: Path, test: TestConfig, started: Callable[[int], Callable[[int], None]]
) -> TestReport:
    """Test weights by the published protocol.

    Args:
        runtime: From ``open_weights``.
        weights: Its file, for messages.
        test: Annotations, photos, boxes and thresholds.
        started: Called with the number of persons; returns what is called with the number of persons done.

    Raises:
        UserError: A file is missing or broken; the annotations are of other keypoints; a package is missing.
    """
    return _test_coco(runtime, weights, test, started) if test.dataset == "coco" else _test_mpii(runtime, test, started)


def _test_coco(
    runtime: Runtime, weights: Path, test: TestConfig, started: Callable[[int], Callable[[int], None]]
) -> TestReport:
    require("pycocotools", "train", "computing AP")  # before the photos are gone through, not after
    annotations = read_annotations(Path(test.annotations))
    keypoint_set = runtime.info.keypoint_set
    check_keypoint_count(keypoint_set, _annotated_keypoints(annotations), annotations.path, weights)
    size, images = runtime.input_size_wh, Path(test.images)
    if test.boxes is None:
        records = ground_truth_records(annotations, images, len(keypoint_set), size)
        box_source = f"ground truth ({annotations.path})"
    else:
        boxes = Path(test.boxes)
        records = detection_records(annotations, boxes, images, len(keypoint_set), size)
        box_source = f"detections ({boxes})"
    _check_photos(records, annotations.path)
    predictions = predict_records(runtime, records, flip_test=test.flip, done=started(len(records)))
    results = coco_results(
        predictions,
        keypoint_set.sigmas,
        nms=test.nms,
        oks_threshold=test.oks_threshold,
        visibility_threshold=test.visibility_threshold,
    )
    figures = coco_figures(annotations.path, results, keypoint_set)
    return TestReport(figures, results, predictions, box_source, len({r.image_file for r in records}))


def _test_mpii(runtime: Runtime, test: TestConfig, started: Callable[[int], Callable[[int], None]]) -> TestReport:
    annotations = Path(test.annotations)
    truth = read_mpii_ground_truth(annotations.parent / MPII_GROUND_TRUTH)
    check_keypoint_count(runtime.info.keypoint_set, len(truth.joint_names), annotations, Path("the weights"))
    records = mpii_records(annotations, Path(test.images), with_joints=False)
    _check_photos(records, annotations)
    predictions = predict_records(runtime, records, flip_test=test.flip, done=started(len(records)))
    figures = pckh_figures(predictions.keypoints, truth)
    # The published "PCKh@0.1" is taken at 0.11: beside it stands what the name says.
    figures["PCKh at 0.10"] = mean_pckh(predictions.keypoints, truth, 0.10)
    return TestReport(
        figures, [], predictions, f"annotated centre and scale ({annotations})", len({r.image_file for r in records})
    )


def _annotated_keypoints(annotations: CocoAnnotations) -> int:
    counts = {
        len(annotation["keypoints"]) // 3
        for persons in annotations.by_image.values()
        for annotation in persons
        if annotation.get("keypoints")
    }
    if len(counts) != 1:
        raise UserError(
            f"{annotations.path}: its persons have {sorted(counts)} keypoints (expected one number for all)"
        )
    return counts.pop()


def _check_photos(records: list[Record], source: Path) -> None:
    if not records:
        raise UserError(f"{source}: has no persons to test on")
    missing = sorted({record.image_file for record in records if not record.image_file.is_file()})
    if missing:
        raise UserError(f"{missing[0]}: no such photo ({len(missing)} of those in {source} are missing)")
