"""The formats of annotations and their metrics, in one table.

A new format touches three files: a new file in ``data/`` with its reader, an entry in ``FORMATS`` below, and its name
in docs/training.md. If its files can be parsed into COCO's object, the reader is one function and the entry is
``coco_like(NAME, FUNCTION)``. COCO's object is a dictionary with ``images``, ``annotations`` and ``categories``. For
other formats ``mpii.py`` is the example. Only a new metric touches a fourth file, ``evaluation/metrics.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from litehrnet.data.checks import FileReport, check_coco, check_mpii
from litehrnet.data.coco_records import read_coco_people, read_coco_test
from litehrnet.data.label_images import LabeledImage, cityscapes_images, folder_images, has_cityscapes_labels
from litehrnet.data.mpii import read_mpii_people, read_mpii_test
from litehrnet.data.records import PeopleToEvaluate, Record, read_json
from litehrnet.data.settings import DataConfig, EvalConfig
from litehrnet.errors import UserError
from litehrnet.poses import KeypointSet

Size = tuple[int, int]


@dataclass(frozen=True)
class Metric:
    """A metric and the names of its values.

    Attributes:
        name: Name of the metric, as in ``tools/test.py --eval``.
        title: Heading of its table.
        values: Names of its values in logs; empty where they depend on the classes.
        best_by: The value that decides which weights are the best, where the recipe names none.
        digits: Decimal places in tables.
    """

    name: str
    title: str
    values: tuple[str, ...]
    best_by: str
    digits: int


AP = Metric(
    "mAP",
    "COCO keypoint AP",
    ("AP", "AP .5", "AP .75", "AP (M)", "AP (L)", "AR", "AR .5", "AR .75", "AR (M)", "AR (L)"),
    best_by="AP",
    digits=4,
)
PCKH = Metric(
    "PCKh",
    "MPII PCKh (%)",
    ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "PCKh", "PCKh@0.1", "PCKh at 0.10"),
    best_by="PCKh",
    digits=3,
)
MIOU = Metric("mIoU", "mIoU (%)", (), best_by="mIoU", digits=2)
BOX_AP = Metric(
    "bbox",
    "COCO box AP",
    ("AP", "AP50", "AP75", "APS", "APM", "APL", "AR1", "AR10", "AR100", "ARS", "ARM", "ARL"),
    best_by="AP",
    digits=4,
)


@dataclass(frozen=True)
class Format:
    """A format of files with annotated keypoints.

    Attributes:
        name: Name in recipes.
        load: Parse an annotation file; for the metric ``AP`` into COCO's object.
        recognizes: Whether the content of a JSON file has this format, for commands without a recipe.
        read: Read people to train on, with the given keypoints and input size (width, height).
        read_test: Read people to evaluate on; the path is the weights file, for error messages.
        check: Report all faults of an annotation file. Arguments are the file, the folder of photos, the number of
            keypoints of every person (None for what the file says), whether joints are needed, and the category.
        metric: Metric of the predictions.
        takes_boxes: Whether detected boxes can replace the annotated ones.
        keypoint_count: Number of keypoints of every file; None for what the file says.
    """

    name: str
    load: Callable[[Path], Any]
    recognizes: Callable[[Any], bool]
    read: Callable[[DataConfig, KeypointSet, Size], list[Record]]
    read_test: Callable[[EvalConfig, KeypointSet, Size, Path], PeopleToEvaluate]
    check: Callable[[Path, Path, int | None, bool, str | None], FileReport]
    metric: Metric
    takes_boxes: bool = False
    keypoint_count: int | None = None


@dataclass(frozen=True)
class LabelFormat:
    """A layout of folders with photos and label images.

    Attributes:
        name: Name in recipes.
        recognizes: Whether a folder of label images has this format, for commands without a recipe; the first wins.
        read: Find the pairs in a folder of photos and a folder of label images.
    """

    name: str
    recognizes: Callable[[Path], bool]
    read: Callable[[str, str], list[LabeledImage]]


def coco_like(
    name: str, load: Callable[[Path], Any], recognizes: Callable[[Any], bool] = lambda content: False
) -> Format:
    """A format whose files ``load`` can parse into COCO's object; arguments as the attributes of ``Format``."""
    return Format(
        name,
        load,
        recognizes,
        partial(read_coco_people, load=load),
        partial(read_coco_test, load=load),
        partial(check_coco, load=load),
        AP,
        takes_boxes=True,
    )


COCO = coco_like("coco", read_json, lambda content: isinstance(content, dict))
MPII = Format(
    "mpii",
    read_json,
    lambda content: isinstance(content, list),
    read_mpii_people,
    read_mpii_test,
    check_mpii,
    PCKH,
    keypoint_count=16,
)

FORMATS = {form.name: form for form in (COCO, MPII)}
"""Formats of keypoint annotations, by name."""

LABEL_FORMATS = {
    form.name: form
    for form in (
        LabelFormat("cityscapes", has_cityscapes_labels, cityscapes_images),
        LabelFormat("folder", Path.is_dir, folder_images),
    )
}
"""Formats of label images, by name."""

BOX_FORMATS = {COCO.name: BOX_AP}
"""Metrics of the formats with boxes that detectors are trained on, by name."""


def find_format(name: str) -> Format:
    """Return the format of keypoint annotations with this name.

    Raises:
        UserError: There is no such format.
    """
    if name not in FORMATS:
        raise UserError(f"{name}: unknown format of keypoint annotations (expected {' or '.join(FORMATS)})")
    return FORMATS[name]


def guess_format(annotations: Path) -> Format:
    """Return the format of an annotation file, by its content.

    Raises:
        UserError: The file is missing, is not JSON, or has an unknown format.
    """
    return format_of(read_json(annotations), annotations)


def format_of(content: Any, annotations: Path) -> Format:
    """Return the format of the parsed content of an annotation file.

    Raises:
        UserError: The format is unknown.
    """
    for form in FORMATS.values():
        if form.recognizes(content):
            return form
    raise UserError(f"{annotations}: unknown format (expected annotations in the format {' or '.join(FORMATS)})")


def guess_label_format(labels: Path) -> LabelFormat:
    """Return the format of a folder of label images, by the names of its files."""
    return next(form for form in LABEL_FORMATS.values() if form.recognizes(labels))


def find_label_format(name: str) -> LabelFormat:
    """Return the format of label images with this name.

    Raises:
        UserError: There is no such format.
    """
    if name not in LABEL_FORMATS:
        raise UserError(f"{name}: unknown format of label images (expected {' or '.join(LABEL_FORMATS)})")
    return LABEL_FORMATS[name]
