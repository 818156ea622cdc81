"""Gallery of an evaluation: annotated beside predicted people, with the error of every keypoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.arrays import Floats, Floats64, Image, Mask
from litehrnet.data.coco import CocoAnnotations
from litehrnet.data.contact_sheet import in_rows, labeled
from litehrnet.drawing.skeletons import draw_poses
from litehrnet.evaluation.pckh import MpiiGroundTruth, pckh_errors
from litehrnet.evaluation.predictions import Predictions
from litehrnet.evaluation.score import MatchedPerson, match_persons
from litehrnet.io.images import read_image
from litehrnet.keypoints.boxes import PIXEL_STD
from litehrnet.keypoints.crop import crop_matrices, transform_points, warp
from litehrnet.poses import KeypointSet, Poses

COLUMNS = 4
VIEW_WH = (240, 320)
_ERROR_COLUMNS, _LINE_HEIGHT = 3, 15
_MARGIN = 1.15  # size of the view divided by that of the box and the annotated keypoints
_BACKGROUND, _PLAIN, _FAR, _FAINT = 30, (235, 235, 235), (255, 110, 90), (120, 120, 120)


@dataclass(frozen=True)
class Case:
    """One annotated person and the predicted keypoints.

    Attributes:
        image_file: Photo.
        label: Name of the person, unique in the gallery.
        truth: (keypoints, 2) annotated positions in image pixels.
        annotated: (keypoints,) whether each keypoint is annotated.
        box: (4,) x, y, width and height of the person's box.
        predicted: (keypoints, 3) x, y and score; infinite where nothing was predicted.
        errors: (keypoints,) distances divided by ``Gallery.unit``.
        quality: Value of ``Gallery.measure`` for the person, 0..1.
    """

    image_file: Path
    label: str
    truth: Floats
    annotated: Mask
    box: Floats
    predicted: Floats
    errors: Floats
    quality: float


@dataclass(frozen=True)
class Gallery:
    """The people of an evaluation.

    Attributes:
        cases: People, in the order of the files.
        keypoint_set: Their keypoints.
        measure: Name of ``Case.quality``.
        unit: Length that an error of 1 stands for, in words.
        far: Errors above this value are marked.
    """

    cases: tuple[Case, ...]
    keypoint_set: KeypointSet
    measure: str
    unit: str
    far: float


def coco_gallery(
    annotations: CocoAnnotations, images: Path, results: list[dict[str, Any]], keypoint_set: KeypointSet
) -> Gallery:
    """Make a gallery of COCO annotations; the other arguments and errors are those of ``match_persons``."""
    persons = match_persons(annotations, results, keypoint_set)
    cases = tuple(_coco_case(person, images / annotations.images[person.image_id]["file_name"]) for person in persons)
    return Gallery(cases, keypoint_set, "OKS", "the longer side of the annotated box", 0.2)


def _coco_case(person: MatchedPerson, image_file: Path) -> Case:
    distances = np.linalg.norm(person.predicted[:, :2] - person.truth, axis=1)
    return Case(
        image_file=image_file,
        label=f"{image_file.name} #{person.annotation_id}",
        truth=person.truth,
        annotated=person.annotated,
        box=person.box,
        predicted=person.predicted,
        errors=distances / person.box[2:].max(),
        quality=person.similarity,
    )


def mpii_gallery(predictions: Predictions, truth: MpiiGroundTruth, keypoint_set: KeypointSet) -> Gallery:
    """Make a gallery of MPII, in the order of ``predictions`` and ``truth``; the boxes are those of the crops.

    Raises:
        UserError: The numbers of people differ.
    """
    errors = pckh_errors(predictions.keypoints, truth)
    sizes = predictions.scales * PIXEL_STD
    boxes = np.concatenate([predictions.centers - sizes / 2, sizes], axis=1)
    triples = np.concatenate([predictions.keypoints, predictions.scores[..., None]], axis=2)
    annotated = ~truth.missing
    found = ((errors <= 0.5) & annotated).sum(axis=1) / np.maximum(1, annotated.sum(axis=1))
    columns = (truth.joints - 1, annotated, boxes, triples, errors, found.tolist())
    cases = tuple(
        Case(image_file, f"{image_file.name} #{index}", *values)
        for index, (image_file, *values) in enumerate(zip(predictions.image_files, *columns, strict=True))
    )
    return Gallery(cases, keypoint_set, "PCKh", "the head size of PCKh", 0.5)


def chosen(gallery: Gallery, count: int, *, worst: bool) -> list[Case]:
    """Choose ``count`` cases, or all: the worst, worst first, or cases at even distances in the order of the files."""
    count = min(count, len(gallery.cases))
    if worst:
        return sorted(gallery.cases, key=lambda case: case.quality)[:count]
    return [gallery.cases[index] for index in np.linspace(0, len(gallery.cases) - 1, count).astype(int)]


def draw_gallery(gallery: Gallery, cases: list[Case]) -> Image:
    """Draw one or more cases in rows: the annotated person, the predicted one beside it, and below them the errors.

    Raises:
        UserError: A photo is missing or broken.
    """
    sheet = in_rows([_tile(case, gallery) for case in cases], COLUMNS)
    unit = f"errors in % of {gallery.unit}, red above {100 * gallery.far:g} %"
    lines = ("left annotated, right predicted", unit)
    head = _strip(sheet.shape[1], len(lines))
    for number, line in enumerate(lines):
        _write(head, line, 0, number, _PLAIN)
    return np.concatenate([head, sheet])


def _tile(case: Case, gallery: Gallery) -> Image:
    (matrix,) = crop_matrices(*_view(case), VIEW_WH)
    view = warp(read_image(case.image_file), matrix, VIEW_WH)
    truth = np.where(case.annotated[:, None], case.truth, np.nan)
    certain = np.ones(len(truth))
    sides = [
        draw_poses(view, _pose(points, scores, case, matrix, gallery.keypoint_set))
        for points, scores in ((truth, certain), (case.predicted[:, :2], case.predicted[:, 2]))
    ]
    both = np.concatenate(sides, axis=1)
    named = labeled(both, f"{gallery.measure} {case.quality:.2f}  {case.label}")
    errors = _error_table(case, gallery, both.shape[1])
    return np.concatenate([named, errors])


def _view(case: Case) -> tuple[Floats64, Floats64]:
    """Center (1, 2) and scale (1, 2) of a crop that contains the box and all annotated keypoints."""
    corners = np.stack([case.box[:2], case.box[:2] + case.box[2:]])
    points = np.concatenate([corners, case.truth[case.annotated]])
    low, high = points.min(axis=0), points.max(axis=0)
    width = max(high[0] - low[0], (high[1] - low[1]) * VIEW_WH[0] / VIEW_WH[1])
    size = np.array([[width, width * VIEW_WH[1] / VIEW_WH[0]]])
    return (low + high)[None] / 2, size * _MARGIN / PIXEL_STD


def _pose(points: Floats, scores: Floats, case: Case, matrix: Floats64, keypoint_set: KeypointSet) -> Poses:
    """Convert a pose to pixels of the view."""
    points = np.where(np.isfinite(points), points, np.nan)
    magnified = np.linalg.norm(matrix[:, 0])
    box = np.concatenate([np.zeros(2), case.box[2:] * magnified]).astype(np.float32)
    view_xy = transform_points(points, matrix)[None].astype(np.float32)
    finite = np.where(np.isfinite(scores), scores, 0).astype(np.float32)
    return Poses(view_xy, finite[None], box[None], np.ones(1, np.float32), keypoint_set)


def _error_table(case: Case, gallery: Gallery, width: int) -> Image:
    names = gallery.keypoint_set.keypoint_names
    lines = -(-len(names) // _ERROR_COLUMNS)
    strip = _strip(width, lines)
    for index, (name, error, annotated) in enumerate(zip(names, case.errors, case.annotated, strict=True)):
        column, line = divmod(index, lines)
        text = "-" if not annotated else f"{100 * error:.0f}" if np.isfinite(error) else "not found"
        color = _FAINT if not annotated else _FAR if error > gallery.far else _PLAIN
        _write(strip, f"{name} {text}", column * width // _ERROR_COLUMNS, line, color)
    return strip


def _strip(width: int, lines: int) -> Image:
    return np.full((lines * _LINE_HEIGHT + 6, width, 3), _BACKGROUND, np.uint8)


def _write(strip: Image, text: str, x: int, line: int, color: tuple[int, int, int]) -> None:
    import cv2

    corner = (x + 4, (line + 1) * _LINE_HEIGHT - 2)
    cv2.putText(strip, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, 1, cv2.LINE_AA)
