"""Records of poses: one JSON line per frame, each written before the next frame is processed."""

import json
from pathlib import Path
from typing import Any, Self, TextIO

import numpy as np

from litehrnet.arrays import Floats32, Floats64
from litehrnet.errors import UserError
from litehrnet.video.predicting import FramePoses


def record(found: FramePoses) -> dict[str, Any]:
    """Convert a frame to plain numbers for JSON.

    People are written as in COCO's keypoint results: ``bbox`` (x, y, width, height), ``score``, and unsmoothed
    ``keypoints`` as triples x, y, score. Identities add ``id``, smoothing adds ``smoothed`` as pairs x, y. Pixels are
    rounded to a thousandth, scores to five digits.
    """
    poses = found.poses
    triples = np.concatenate([_rounded(poses.keypoints, 3), _rounded(poses.scores[..., None], 5)], axis=2)
    columns: dict[str, list[Any]] = {} if found.identities is None else {"id": found.identities.tolist()}
    columns["bbox"] = _rounded(poses.boxes, 3).tolist()
    columns["score"] = _rounded(poses.pose_scores, 5).tolist()
    columns["keypoints"] = [triple.ravel().tolist() for triple in triples]
    if found.smoothed is not None:
        columns["smoothed"] = [points.ravel().tolist() for points in _rounded(found.smoothed.keypoints, 3)]
    persons = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return {"frame": found.frame.number, "time": round(found.frame.time, 6), "persons": persons}


class RecordFile:
    """File of records that grows by a line per frame.

    It has its final name from the first frame on, so the records of a killed run are kept.

    Args:
        path: The file; the first record replaces an older file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def write(self, found: FramePoses) -> None:
        """Append a frame's record.

        Raises:
            UserError: The file cannot be written.
        """
        line = json.dumps(record(found), separators=(",", ":")) + "\n"
        try:
            if self._file is None:
                self._file = self.path.open("w", encoding="utf-8")
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror})") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()


def _rounded(values: Floats32, digits: int) -> Floats64:
    return np.asarray(np.round(values.astype(np.float64), digits), np.float64)
