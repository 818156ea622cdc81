"""Predictions for MPII's test split, which has no public ground truth, in the layout of MPII's own evaluation.

The evaluation reads ``pred_keypoints_mpii.mat`` with ``pred``: ``RELEASE.annolist`` of all photos with ``img_train`` 0,
in that order and with all their rectangles. ``annorect(r).annopoints.point`` holds 16 predicted joints (x and y counted
from 1, id from 0) for the rectangles r that ``RELEASE.single_person`` names. Photos and rectangles therefore come from
MPII's annotation file. The people of a photo in ``mpii_test.json`` are these rectangles, in the same order.
"""

import contextlib
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Floats
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.optional import require

MPII_RELEASE = "mpii_human_pose_v1_u12_1.mat"
"""MPII's own annotation file."""

_RECTANGLE = ("scale", "objpos", "annopoints")


@dataclass(frozen=True)
class MpiiPhoto:
    """A photo of the test split.

    Attributes:
        name: File name.
        rectangles: Scale and position of each annotated person as SciPy reads them; empty arrays where MPII has none.
        single: Numbers of the rectangles to predict, from 0.
        persons: Numbers of the predicted people that belong to them.
    """

    name: str
    rectangles: tuple[tuple[Any, Any], ...]
    single: tuple[int, ...]
    persons: tuple[int, ...] = ()


def read_test_photos(path: Path, names: Sequence[str], annotations: Path) -> list[MpiiPhoto]:
    """Read the photos of the test split from MPII's own annotation file.

    Args:
        path: MPII's annotation file.
        names: Name of the photo of each predicted person, in the order of the predictions.
        annotations: Annotation file of the predictions, for error messages.

    Raises:
        UserError: SciPy is not installed; the file is missing, broken, or another one; or the numbers of people in a
            photo differ.
    """
    photos = _photos(path)
    persons: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(names):
        persons[name].append(number)
    wanted = {photo.name: len(photo.single) for photo in photos}
    for name in [*wanted, *persons]:
        given, expected = len(persons[name]), wanted.get(name, 0)
        if given != expected:
            raise UserError(
                f"{annotations}: the number of people in {name} is {given} (expected {expected}, as in {path})"
            )
    return [replace(photo, persons=tuple(persons[photo.name])) for photo in photos]


def _photos(path: Path) -> list[MpiiPhoto]:
    with reading_mat(path, f"not MPII's annotation file (expected {MPII_RELEASE})", "RELEASE") as content:
        release = content["RELEASE"][0, 0]
        photos, persons = release["annolist"].ravel(), release["single_person"].ravel()
        return [_test_photo(photos[i], persons[i]) for i in np.flatnonzero(release["img_train"].ravel() == 0)]


@contextlib.contextmanager
def reading_mat(path: Path, fault: str, *names: str) -> Iterator[Any]:
    """Read variables of a ``.mat`` file, all by default; errors while the block takes them apart become ``fault``.

    Raises:
        UserError: SciPy is not installed; the file is missing, broken, or another one.
    """
    content = read_bytes(path)
    require("scipy", "train", f"{path}: reading this format")
    from scipy.io import loadmat

    try:
        yield loadmat(io.BytesIO(content), variable_names=names or None)
    except Exception as error:
        # SciPy's reader raises many kinds of errors for a damaged file.
        raise UserError(f"{path}: {fault}") from error


def _test_photo(photo: Any, persons: NDArray[Any]) -> MpiiPhoto:
    rectangles = photo["annorect"].ravel()
    known = rectangles.dtype.names or ()
    nothing = np.zeros((0, 0))
    fields = (tuple(each[name] if name in known else nothing for name in _RECTANGLE[:2]) for each in rectangles)
    name = str(photo["image"].ravel()[0]["name"].ravel()[0])
    single = tuple((persons.ravel().astype(int) - 1).tolist())
    if single and max(single) >= len(rectangles):
        raise ValueError(name)
    return MpiiPhoto(name, tuple((scale, position) for scale, position in fields), single)


def submission(photos: Sequence[MpiiPhoto], predicted: Floats) -> NDArray[np.void]:
    """Make the struct array ``pred``.

    Args:
        photos: Photos from ``read_test_photos``.
        predicted: (persons, 16, 2) image pixels, counted from 0.

    Returns:
        (1, photos), ready for SciPy's ``savemat``.
    """
    pred = np.zeros((1, len(photos)), dtype=[("image", "O"), ("annorect", "O")])
    for place, photo in enumerate(photos):
        points = {r: _points(predicted[person]) for r, person in zip(photo.single, photo.persons, strict=True)}
        rectangles = np.zeros((1, len(photo.rectangles)), dtype=[(name, "O") for name in _RECTANGLE])
        for number, fields in enumerate(photo.rectangles):
            rectangles[0, number] = (*fields, points.get(number, np.zeros((0, 0))))
        pred[0, place] = ({"name": photo.name}, rectangles if photo.rectangles else np.zeros((0, 0)))
    return pred


def _points(joints: Floats) -> dict[str, NDArray[np.void]]:
    points = np.zeros((1, len(joints)), dtype=[("x", "f8"), ("y", "f8"), ("id", "f8")])
    points["x"], points["y"] = joints[:, 0] + 1.0, joints[:, 1] + 1.0
    points["id"] = np.arange(len(joints))
    return {"point": points}
