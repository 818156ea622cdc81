"""Inputs and results of an evaluation of keypoints."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from litehrnet.data.records import Record
from litehrnet.data.settings import EvalConfig
from litehrnet.evaluation.mpii_submission import MpiiPhoto
from litehrnet.evaluation.predictions import Predictions
from litehrnet.poses import KeypointSet


@dataclass(frozen=True)
class EvalSet:
    """People to predict.

    Attributes:
        test: Settings of the evaluation.
        records: One person each.
        keypoint_set: Keypoints of the network.
        box_source: Source of the boxes in a few words.
        image_ids: Numbers of the photos that count, in COCO's format.
        mpii_test_photos: Photos of MPII's test split, where MPII's own annotation file is beside the annotations.
    """

    test: EvalConfig
    records: list[Record]
    keypoint_set: KeypointSet
    box_source: str
    image_ids: Collection[int] = ()
    mpii_test_photos: Sequence[MpiiPhoto] = ()

    @property
    def how(self) -> str:
        """Description of the evaluation, for logs."""
        return f"boxes: {self.box_source}"


@dataclass(frozen=True)
class EvalReport:
    """Result of an evaluation.

    Attributes:
        eval_set: People that were predicted.
        metrics: Values of the metric by name: 0..1 for COCO, percent for MPII; None where a value cannot be computed;
            empty for MPII without ground truth.
        results: Entries of COCO's result file with integer ids of the images; empty for MPII.
        predictions: Keypoints of the network for every record.
    """

    eval_set: EvalSet
    metrics: dict[str, float | None]
    results: list[dict[str, Any]]
    predictions: Predictions

    @property
    def photos(self) -> int:
        """Number of photos."""
        return len({record.image_file for record in self.eval_set.records})
