"""Keypoints predicted for all records of a data set, from which every metric starts."""

import json
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Floats, Floats32, Floats64
from litehrnet.data.records import Record
from litehrnet.inference.batching import CropJob, find_keypoints
from litehrnet.io.images import read_image
from litehrnet.io.progress import SILENT, Progress
from litehrnet.keypoints.boxes import PIXEL_STD
from litehrnet.runtimes import Runtime

OUTPUT_SUFFIXES = (".json", ".yaml", ".yml", ".pkl", ".pickle")
"""Suffixes of files with raw outputs."""


@dataclass(frozen=True)
class Predictions:
    """Predicted keypoints: arrays over people, in the order of the records.

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
    box_scores: Floats64
    centers: Floats
    scales: Floats
    keypoints: Floats32
    scores: Floats32

    @property
    def areas(self) -> Floats64:
        """(persons,): area of the padded box in square image pixels, which suppression uses."""
        areas: Floats64 = np.prod(self.scales * PIXEL_STD, axis=1).astype(np.float64)
        return areas


def predict_records(
    runtime: Runtime, records: Sequence[Record], *, flip_test: bool, progress: Progress = SILENT
) -> Predictions:
    """Predict the keypoints of every record; neighbors in the same photo are read together. Progress counts people.

    Raises:
        UserError: A photo is missing or broken.
    """
    count = len(runtime.info.keypoint_set)
    keypoints = np.empty((len(records), count, 2), np.float32)
    scores = np.empty((len(records), count), np.float32)
    start = 0
    progress.start(len(records))
    for job, found in find_keypoints(runtime, _jobs(records), flip_test=flip_test):
        own = slice(start, start + len(job.centers))
        keypoints[own], scores[own] = found.image_xy, found.scores
        start = own.stop
        progress.advance(len(job.centers))
    return predictions_of(records, keypoints, scores)


def predictions_of(records: Sequence[Record], keypoints: Floats32, scores: Floats32) -> Predictions:
    """Combine records with keypoints (persons, keypoints, 2) and scores (persons, keypoints) predicted for them."""
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


def encode_outputs(predictions: Predictions, suffix: str) -> bytes:
    """Encode raw outputs as JSON, YAML or a pickle, for a suffix of ``OUTPUT_SUFFIXES``."""
    outputs = raw_outputs(predictions)
    if suffix in (".pkl", ".pickle"):
        return pickle.dumps(outputs)
    return json.dumps(outputs, default=lambda array: array.tolist()).encode()  # JSON is YAML too


def raw_outputs(predictions: Predictions) -> list[dict[str, Any]]:
    """Convert predictions to the raw outputs of mmpose: one dictionary per batch of one person.

    ``preds`` is float32 (1, keypoints, 3): x, y, score; ``boxes`` float32 (1, 6): center, scale, area, box score.
    """
    p = predictions
    preds = np.concatenate([p.keypoints, p.scores[..., None]], axis=2).astype(np.float32)
    boxes = np.column_stack([p.centers, p.scales, p.areas, p.box_scores]).astype(np.float32)
    return [
        {
            "preds": preds[i : i + 1],
            "boxes": boxes[i : i + 1],
            "image_paths": [str(p.image_files[i])],
            "bbox_ids": [int(p.box_ids[i])],
            "output_heatmap": None,
        }
        for i in range(len(preds))
    ]
