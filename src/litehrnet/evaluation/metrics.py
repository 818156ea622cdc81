"""The work behind each metric of keypoints: measure predictions, write them, compare them person by person.

``MEASURES`` has one entry for each ``Metric`` of ``data.formats``. A new metric needs an entry here and a file with its
functions; ``pckh.py`` is an example.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litehrnet.data.coco import CocoAnnotations, in_order_of, read_annotations
from litehrnet.data.formats import AP, PCKH, find_format
from litehrnet.data.records import Record
from litehrnet.data.settings import EvalConfig
from litehrnet.errors import UserError
from litehrnet.evaluation.coco import coco_metrics, coco_results, results_json
from litehrnet.evaluation.gallery import Gallery, coco_gallery, mpii_gallery
from litehrnet.evaluation.mpii_submission import MPII_RELEASE, MpiiPhoto, read_test_photos
from litehrnet.evaluation.pck import KeypointScore
from litehrnet.evaluation.pckh import (
    mpii_ground_truth_file,
    prediction_mat,
    read_mpii_ground_truth,
    reported_metrics,
    score_joints,
)
from litehrnet.evaluation.predictions import Predictions, encode_outputs
from litehrnet.evaluation.report import EvalReport, EvalSet
from litehrnet.evaluation.score import score_keypoints
from litehrnet.optional import require

Results = list[dict[str, Any]]


@dataclass(frozen=True)
class Measure:
    """The functions of one metric.

    Attributes:
        package: Python package that is needed before photos are read; None for none.
        prepare: Check that the ground truth is there. Its flag says whether predictions alone will do; returns the
            photos of MPII's test split then.
        metrics: Values of the metric by name, and entries of COCO's result file.
        file_name: Name of the file with predictions that a training run and ``tools/test.py`` write.
        encode: Content of a file with predictions, for a file suffix.
        check_out: Refuse a file of predictions that could not be written, before the network runs; None for no file.
        gallery: People to draw, annotated beside predicted.
        per_keypoint: One row per keypoint; None without ground truth.
        why_none: Sentences that explain why there are no values.
    """

    package: str | None
    prepare: Callable[[EvalConfig, Sequence[Record], bool], Sequence[MpiiPhoto]]
    metrics: Callable[[EvalSet, Predictions], tuple[dict[str, float | None], Results]]
    file_name: str
    encode: Callable[[EvalReport, str], bytes]
    check_out: Callable[[Path | None, EvalConfig], None]
    gallery: Callable[[EvalReport], Gallery]
    per_keypoint: Callable[[EvalReport], KeypointScore | None]
    why_none: Callable[[EvalReport], list[str]]


def find_measure(test: EvalConfig) -> Measure:
    """Return the functions of the metric that belongs to the format of annotations.

    Raises:
        UserError: There is no such format.
    """
    return MEASURES[find_format(test.format).metric.name]


def logged_metrics(test: EvalConfig, metrics: dict[str, float | None]) -> dict[str, float]:
    """Rename the values of a metric to the names in logs, which are those of the reference implementation.

    Values that cannot be computed are left out.
    """
    named = zip(find_format(test.format).metric.values, metrics.values(), strict=True)
    return {name: value for name, value in named if value is not None}


def _coco_metrics(eval_set: EvalSet, predictions: Predictions) -> tuple[dict[str, float | None], Results]:
    test, keypoint_set = eval_set.test, eval_set.keypoint_set
    results = coco_results(
        predictions,
        keypoint_set.sigmas,
        nms=test.nms,
        oks_threshold=test.oks_threshold,
        visibility_threshold=test.visibility_threshold,
    )
    load = find_format(test.format).load
    path, images = Path(test.annotations), eval_set.image_ids
    return coco_metrics(path, results, keypoint_set, images, load, test.category), results


def _coco_annotations(eval_set: EvalSet) -> CocoAnnotations:
    test = eval_set.test
    load = find_format(test.format).load
    annotations = read_annotations(Path(test.annotations), test.only, test.without, load, test.category)
    return in_order_of(annotations, eval_set.keypoint_set)


def _coco_encode(report: EvalReport) -> bytes:
    """Encode results with the ids of the images and the category as the annotations have them."""
    annotations = _coco_annotations(report.eval_set)
    category = {} if annotations.category is None else {"category_id": annotations.category}
    originals = annotations.original_ids
    own = [{**entry, **category, "image_id": originals[entry["image_id"]]} for entry in report.results]
    return results_json(own).encode()


def _coco_people(report: EvalReport) -> Gallery:
    test = report.eval_set.test
    return coco_gallery(
        _coco_annotations(report.eval_set), Path(test.images), report.results, report.eval_set.keypoint_set
    )


def _coco_rows(report: EvalReport) -> KeypointScore:
    return score_keypoints(_coco_annotations(report.eval_set), report.results, report.eval_set.keypoint_set)


def _mpii_prepare(test: EvalConfig, records: Sequence[Record], without_truth: bool) -> Sequence[MpiiPhoto]:
    path = Path(test.annotations)
    truth = mpii_ground_truth_file(path)
    if not without_truth or truth.is_file():
        read_mpii_ground_truth(truth)
        return ()
    release = path.parent / MPII_RELEASE
    names = [record.image_file.name for record in records]
    return read_test_photos(release, names, path) if release.is_file() else ()


def _mpii_metrics(eval_set: EvalSet, predictions: Predictions) -> tuple[dict[str, float | None], Results]:
    truth = _mpii_truth(eval_set)
    if not truth.is_file():
        return {}, []
    return {**reported_metrics(predictions.keypoints, read_mpii_ground_truth(truth))}, []


def _mpii_truth(eval_set: EvalSet) -> Path:
    return mpii_ground_truth_file(Path(eval_set.test.annotations))


def _mpii_encode(report: EvalReport, suffix: str) -> bytes:
    if suffix == ".json":
        return encode_outputs(report.predictions, suffix)
    return prediction_mat(report.predictions.keypoints, report.eval_set.mpii_test_photos)


def _mpii_check_out(out: Path | None, test: EvalConfig) -> None:
    truth = mpii_ground_truth_file(Path(test.annotations))
    if out is None and not truth.is_file():
        raise UserError(f"{truth}: no such file (or --out FILE, to keep predictions for a split without ground truth)")
    if out is not None and out.suffix not in (".mat", ".json"):
        raise UserError(f"{out}: unknown format for MPII (expected .mat or .json)")
    if out is not None and out.suffix == ".mat":
        require("scipy", "train", f"{out}: writing this format")


def _mpii_people(report: EvalReport) -> Gallery:
    truth = read_mpii_ground_truth(_mpii_truth(report.eval_set))
    return mpii_gallery(report.predictions, truth, report.eval_set.keypoint_set)


def _mpii_rows(report: EvalReport) -> KeypointScore | None:
    if not report.metrics:
        return None
    return score_joints(report.predictions.keypoints, read_mpii_ground_truth(_mpii_truth(report.eval_set)))


def _mpii_why_none(report: EvalReport) -> list[str]:
    missing = f"no metrics: {_mpii_truth(report.eval_set)} is missing"
    if report.eval_set.mpii_test_photos:
        return [missing, "'pred' in a .mat file has the layout of MPII's own evaluation (pred_keypoints_mpii.mat)"]
    return [missing, f"put {MPII_RELEASE} beside the annotations to write a .mat file for MPII's own evaluation"]


MEASURES = {
    AP.name: Measure(
        package="pycocotools",
        prepare=lambda test, records, without_truth: (),
        metrics=_coco_metrics,
        file_name="result_keypoints.json",
        encode=lambda report, suffix: _coco_encode(report),
        check_out=lambda out, test: None,
        gallery=_coco_people,
        per_keypoint=_coco_rows,
        why_none=lambda report: [],
    ),
    PCKH.name: Measure(
        package=None,
        prepare=_mpii_prepare,
        metrics=_mpii_metrics,
        file_name="pred.mat",
        encode=_mpii_encode,
        check_out=_mpii_check_out,
        gallery=_mpii_people,
        per_keypoint=_mpii_rows,
        why_none=_mpii_why_none,
    ),
}
"""By name of the metric."""
