"""Batches of encoded photos to rows: the work that the jobs on Ray and on Spark share.

A row is a person, with the columns of ``litehrnet.results.rows``: ``image`` is the photo's name, ``error`` comes
second. A photo without people has one row, with empty cells from ``person`` on. So has a photo that cannot be used, and
``error`` says why. ``error`` is empty in all other rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from litehrnet.errors import UserError
from litehrnet.inference.estimator import PoseEstimator, is_seen
from litehrnet.inference.photo import Photo, make_photo
from litehrnet.poses import KeypointSet, Poses
from litehrnet.results.rows import Columns, Found, to_columns

BATCH = 64
"""Photos in a batch: enough to fill the networks' batches, and about 10 MB of JPEG files."""


def open_estimator(arguments: dict[str, Any]) -> PoseEstimator:
    """Open an estimator for one of many workers: with one thread, unless ``threads`` is among the arguments.

    Raises:
        UserError: See ``PoseEstimator``.
    """
    return PoseEstimator(**{"threads": 1, **arguments})


def find_people(estimator: PoseEstimator, names: Sequence[str], contents: Sequence[bytes | None]) -> Columns:
    """Find the people in a batch of photos.

    Args:
        estimator: Networks. Without a detector each photo is a crop of one person, if one is seen there.
        names: Name of each photo.
        contents: Content of each photo's file; None, as missing values are in tables, is a photo that cannot be used.

    Returns:
        The table, with the photos in their order.
    """
    usable: list[int] = []
    errors: dict[int, str] = {}

    def photos() -> Iterator[Photo]:
        for place, (name, content) in enumerate(zip(names, contents, strict=True)):
            try:
                if content is None:
                    raise UserError(f"{name}: has no content (expected that of an image file)")
                photo = make_photo(content, name=name, detector=estimator.detector)
            except UserError as error:
                errors[place] = str(error)
            else:
                usable.append(place)
                yield photo

    shown = [_shown(poses, estimator) for _, poses in estimator.predict_many(photos())]
    found, nobody = dict(zip(usable, shown, strict=True)), _nobody(estimator.runtime.info.keypoint_set)
    return _table(
        [
            Found(found.get(place, nobody), {"image": name, "error": errors.get(place, "")})
            for place, name in enumerate(names)
        ],
        nobody,
    )


def _table(found: list[Found], nobody: Poses) -> Columns:
    columns = to_columns(found or [Found(nobody, {"image": "", "error": ""})])
    columns["error"] = np.ma.masked_array(columns["error"], columns["error"] == "")
    return columns if found else {name: column[:0] for name, column in columns.items()}


def _shown(poses: Poses, estimator: PoseEstimator) -> Poses:
    # A box shows a person; a whole picture may show none.
    return poses if estimator.detector is not None else poses[is_seen(poses)]


def _nobody(keypoints: KeypointSet) -> Poses:
    none = np.empty((0, len(keypoints), 2), np.float32)
    return Poses(none, none[..., 0], np.empty((0, 4), np.float32), np.empty(0, np.float32), keypoints)
