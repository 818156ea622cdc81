"""The network's keypoints for all records of a dataset: what every metric starts from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.records import Record
from litehrnet.inference.batching import CropJob, find_keypoints
from litehrnet.io.images import read_image
from litehrnet.keypoints.boxes import PIXEL_STD
from litehrnet.runtimes import Runtime


@dataclass(frozen=True)
class Predictions:
    """Arrays over persons, in the order of the records.

    Attributes:
        image_files: Path of each person's photo.
        image_ids: int64 (persons,).
        box_ids: int64 (persons,).
        box_scores: float64 (persons,).
        centers: (persons, 2) image pixels.
        scales: (persons, 2) in units of 200 image pixels.
        keypoints: float32 (persons, keypoints, 2) image pixels.
        scores: float32 (persons, keypoints).
    """

    image_files: Sequence[Path]
    image_ids: NDArray[np.int64]
    box_ids: NDArray[np.int64]
    box_scores: NDArray[np.float64]
    centers: NDArray[np.floating]
    scales: NDArray[np.floating]
    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]

    @property
    def areas(self) -> NDArray[np.float64]:
        """(persons,): of the padded box, in square image pixels, as the published suppression takes it."""
        areas: NDArray[np.float64] = np.prod(self.scales * PIXEL_STD, axis=1).astype(np.float64)
        return areas


def predict_records(
    runtime: Runtime, records: Sequence[Record], *, flip_test: bool, done: Callable[[int], None] = lambda _: None
) -> Predictions:
    """Run the network on every record.

    Args:
        runtime: The network.
        records: Neighbors of the same photo are read together.
        flip_test: Average with the mirrored crops, as published.
        done: Called with the number of persons finished since the last call.

    Raises:
        UserError: A photo is missing or broken.
    """
    count = len(runtime.info.keypoint_set)
    keypoints = np.empty((len(records), count, 2), np.float32)
    scores = np.empty((len(records), count), np.float32)
    start = 0
    for job, found in find_keypoints(runtime, _jobs(records), flip_test=flip_test):
        own = slice(start, start + len(job.centers))
        keypoints[own], scores[own] = found.image_xy, found.scores
        start = own.stop
        done(len(job.centers))
    return predictions_of(records, keypoints, scores)


def predictions_of(
    records: Sequence[Record], keypoints: NDArray[np.float32], scores: NDArray[np.float32]
) -> Predictions:
    """Predictions from what was found for each of ``records``: (persons, keypoints, 2) and (persons, keypoints)."""
    return Predictions(
        image_files=[record.image_file for record in records],
        image_ids=np.array([record.image_id for record in records], np.int64),
        box_ids=np.array([record.box_id for record in records], np.int64),
        box_scores=np.array([record.box_score for record in records], np.float64),
        centers=np.array([record.center for record in records]),
        scales=np.array([record.scale for record in records]),
        keypoints=keypoints,
        scores=scores,
    )


def _jobs(records: Sequence[Record]) -> Iterator[CropJob[Path]]:
    for image_file, persons in groupby(records, key=lambda record: record.image_file):
        group = list(persons)
        centers = np.array([record.center for record in group])
        scales = np.array([record.scale for record in group])
        yield CropJob(read_image(image_file), centers, scales, image_file)
