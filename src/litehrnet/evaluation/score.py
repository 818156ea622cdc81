"""Result files against annotations: match predicted to annotated people, and compute PCK, AUC, EPE and NME."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.annotations import id_key
from litehrnet.data.coco import CocoAnnotations
from litehrnet.data.photo_names import by_file_name, closest
from litehrnet.data.records import Record, read_json
from litehrnet.errors import UserError
from litehrnet.evaluation.pck import KeypointRow, KeypointScore, auc, epe, keypoint_errors, nme, pck
from litehrnet.io.notes import say_once
from litehrnet.keypoints.boxes import BODY_SHARE
from litehrnet.keypoints.oks import oks_to_truth
from litehrnet.poses import KeypointSet
from litehrnet.results.files import is_table, read_people

PCK_THRESHOLD = 0.2
"""Fraction of the longer side of the annotated box."""

_FIELDS = "image_id, category_id, keypoints and score, as in COCO's results"


@dataclass(frozen=True)
class MatchedPerson:
    """An annotated person, and the predicted pose that matches.

    Attributes:
        image_id: Id of the photo.
        annotation_id: Id of the annotation.
        truth: (keypoints, 2) annotated positions in image pixels.
        annotated: (keypoints,) whether each keypoint is annotated.
        box: (4,) x, y, width and height of the annotated box.
        area: Area of the person in square pixels.
        predicted: (keypoints, 3) x, y and score; infinite where no pose matches.
        similarity: Similarity (OKS), 0..1.
    """

    image_id: Any
    annotation_id: Any
    truth: NDArray[np.float64]
    annotated: NDArray[np.bool_]
    box: NDArray[np.float64]
    area: float
    predicted: NDArray[np.float64]
    similarity: float = 0.0


def read_results(path: Path, annotations: CocoAnnotations, num_keypoints: int) -> list[dict[str, Any]]:
    """Read keypoint results in COCO's format.

    Args:
        path: JSON list of image_id, category_id, keypoints (x, y, score triples) and score; or a table, CSV or Parquet,
            as ``litehrnet predict`` writes it.
        annotations: Annotations of the same photos.
        num_keypoints: Number of keypoints that every entry must have.

    Returns:
        The four fields of every entry in the category of the keypoints, with the integer ids of the images. Where no
        entry is in this category, as in files that call every person 1, all entries are meant. Where ids do not fit
        but every entry has a ``file_name``, as ``litehrnet predict`` writes it, photos are matched by these names.

    Raises:
        UserError: The file has no entries, or an entry is incomplete, not finite, or does not fit the annotations.
    """
    content = read_people(path, boxes=False) if is_table(path) else read_json(path)
    if not isinstance(content, list) or not content:
        raise UserError(f"{path}: has no predictions (expected a list of {_FIELDS})")
    own = [_is_meant(entry, annotations) for entry in content]
    kept = [(f"{path}: entry {i}", entry) for i, entry in enumerate(content) if own[i] or not any(own)]
    results = [_result(entry, where, num_keypoints) for where, entry in kept]
    names = [entry.get("file_name") for _, entry in kept]
    keys = [str(id_key(entry["image_id"])) for entry in results]
    by_name = all(isinstance(name, str) for name in names) and not _ids_fit(keys, names, annotations)
    known = _numbers_by_name(annotations, names) if by_name else annotations.numbers
    for (where, _), entry, key, name in zip(kept, results, keys, names, strict=True):
        number = known.get(name if by_name else key)
        if number is None:
            which = f"photo {name}" if by_name else f"image {entry['image_id']}"
            raise UserError(f"{where} is on {which}, which {annotations.path} does not have")
        entry["image_id"] = number
    _say_what_is_odd(path, annotations, results, len(content) - len(kept), by_name, any(own))
    return results


def score_keypoints(
    annotations: CocoAnnotations,
    results: list[dict[str, Any]],
    keypoint_set: KeypointSet,
    threshold: float = PCK_THRESHOLD,
) -> KeypointScore:
    """Compute PCK, AUC, EPE and NME of results, and a row per keypoint.

    Keypoints of people without a matching pose count as not found in PCK and AUC, and do not count in EPE and NME. PCK
    divides distances by the longer side of the annotated box, and AUC by 30 pixels. NME divides them by the width of
    the box along x and its height along y.

    Args:
        annotations: Annotated people with the keypoints of ``keypoint_set``.
        results: Entries with image_id and keypoints, of images that ``annotations`` has.
        keypoint_set: Keypoint set, for its names and sigmas.
        threshold: Threshold of PCK.

    Raises:
        UserError: An annotation is incomplete or has other keypoints.
    """
    return _score(match_persons(annotations, results, keypoint_set), keypoint_set.keypoint_names, threshold)


def records_pck(records: Sequence[Record], keypoints: NDArray[np.floating], threshold: float = 0.2) -> float:
    """Compute PCK of people with annotated boxes, who need no matching; -1 without annotations.

    Args:
        records: Annotated people with their boxes.
        keypoints: Predicted positions (persons, keypoints, 2) in pixels of the photo, in the same order.
        threshold: Distance relative to the longer side of the box.
    """
    truth = np.stack([record.joints_xy for record in records])
    annotated = np.stack([record.visible > 0 for record in records])
    sides = np.array([0.0 if record.box_wh is None else record.box_wh.max() for record in records])
    longer_sides = np.repeat(sides[:, None], 2, axis=1)
    return pck(keypoints, truth, annotated & (sides > 0)[:, None], np.maximum(longer_sides, 1e-9), threshold).average


def records_oks(
    records: Sequence[Record], keypoints: NDArray[np.floating], sigmas: Sequence[float] | NDArray[np.floating]
) -> float:
    """Compute the mean OKS of people with annotated boxes, who need no matching; -1 without annotations.

    The area of a person is ``BODY_SHARE`` of the box, since records have no outlines.

    Args:
        records: Annotated people with their boxes.
        keypoints: Predicted positions (persons, keypoints, 2) in pixels of the photo, in the same order.
        sigmas: (keypoints,), relative to the square root of the area.
    """
    values = [
        oks_to_truth(
            predicted[None],
            record.joints_xy[None],
            np.array([BODY_SHARE * record.box_wh.prod()]),
            np.asarray(sigmas),
            record.visible[None] > 0,
        )
        for record, predicted in zip(records, keypoints, strict=True)
        if record.box_wh is not None and record.visible.any()
    ]
    return float(np.mean(values)) if values else -1.0


def match_persons(
    annotations: CocoAnnotations, results: list[dict[str, Any]], keypoint_set: KeypointSet
) -> list[MatchedPerson]:
    """Match annotated people with predicted poses, in the order of the file's images.

    Annotated people count who are not a crowd, and have a labeled keypoint and a box with an area. In each photo the
    most similar pair (by OKS) is matched first, then the next of the rest, down to a similarity of 0.

    Args:
        annotations: Annotated people with the keypoints of ``keypoint_set``.
        results: Entries with image_id and keypoints, of images that ``annotations`` has.
        keypoint_set: Keypoint set, for its sigmas.

    Raises:
        UserError: An annotation is incomplete or has other keypoints, or nobody is annotated.
    """
    found: dict[Any, list[NDArray[np.float64]]] = {image_id: [] for image_id in annotations.images}
    for entry in results:
        found[entry["image_id"]].append(np.array(entry["keypoints"], np.float64).reshape(-1, 3))
    persons: list[MatchedPerson] = []
    for image_id in annotations.images:
        own = _annotated_persons(annotations, image_id, len(keypoint_set))
        persons += _matched(found[image_id], own, np.array(keypoint_set.sigmas))
    if not persons:
        raise UserError(f"{annotations.path}: nobody to compare with (expected labeled keypoints and a box)")
    return persons


def _score(persons: list[MatchedPerson], names: tuple[str, ...], threshold: float) -> KeypointScore:
    predicted = np.stack([person.predicted[:, :2] for person in persons])
    truth = np.stack([person.truth for person in persons])
    annotated = np.stack([person.annotated for person in persons])
    boxes_wh = np.stack([person.box[2:] for person in persons])
    longer_sides = np.repeat(boxes_wh.max(axis=1, keepdims=True), 2, axis=1)
    matched = np.isfinite(predicted[:, 0, 0])
    compared = annotated & matched[:, None]
    found = pck(predicted, truth, annotated, longer_sides, threshold)
    share = f"PCK@{threshold:g}"
    metrics = {
        share: found.average,
        "AUC": auc(predicted, truth, annotated),
        "EPE": epe(predicted, truth, compared),
        "NME": nme(predicted, truth, compared, boxes_wh),
    }
    columns = (annotated.sum(axis=0), found.per_keypoint, keypoint_errors(predicted, truth, compared))
    rows = zip(names, *(column.tolist() for column in columns), strict=True)
    return KeypointScore(metrics, share, tuple(KeypointRow(*row) for row in rows), len(persons), int(matched.sum()))


def _matched(
    found: list[NDArray[np.float64]], persons: list[MatchedPerson], sigmas: NDArray[np.float64]
) -> list[MatchedPerson]:
    """Match the annotated people of one photo with predicted poses."""
    matched = list(persons)
    if not found or not persons:
        return matched
    similarity = oks_to_truth(
        np.stack(found)[..., :2],
        np.stack([person.truth for person in persons]),
        np.array([person.area for person in persons]),
        sigmas,
        np.stack([person.annotated for person in persons]),
    )
    while similarity.max() > 0:
        pose, person = np.unravel_index(similarity.argmax(), similarity.shape)
        likeness = float(similarity[pose, person])
        matched[person] = replace(persons[person], predicted=found[pose], similarity=likeness)
        similarity[pose] = similarity[:, person] = 0
    return matched


def _annotated_persons(annotations: CocoAnnotations, image_id: int, num_keypoints: int) -> list[MatchedPerson]:
    persons = [
        _person(annotation, f"{annotations.path}: annotation {annotation.get('id')}", num_keypoints)
        for annotation in annotations.people(image_id)
        if annotation.get("keypoints") and not annotation["iscrowd"] and annotation["bbox"]
    ]
    return [person for person in persons if person.annotated.any() and person.box[2:].min() > 0]


def _person(annotation: dict[str, Any], where: str, num_keypoints: int) -> MatchedPerson:
    keypoints, box = np.array(annotation["keypoints"], np.float64), np.array(annotation["bbox"], np.float64)
    _check(keypoints, num_keypoints, box, where)
    triples = keypoints.reshape(-1, 3)
    return MatchedPerson(
        image_id=annotation["image_id"],
        annotation_id=annotation.get("id"),
        truth=triples[:, :2],
        annotated=triples[:, 2] > 0,
        box=box,
        area=float(annotation["area"]),
        predicted=np.full_like(triples, np.inf),
    )


def _is_meant(entry: Any, annotations: CocoAnnotations) -> bool:
    return isinstance(entry, dict) and id_key(entry.get("category_id")) == id_key(annotations.category)


def _ids_fit(keys: list[str], names: list[str], annotations: CocoAnnotations) -> bool:
    """Whether no id contradicts the photo that its entry names; names of other or several photos say nothing."""
    numbers, named = annotations.numbers, _numbers_by_name(annotations, names)
    return all(
        key in numbers and named.get(name, numbers[key]) == numbers[key] for key, name in zip(keys, names, strict=True)
    )


def _numbers_by_name(annotations: CocoAnnotations, names: Iterable[str]) -> dict[str, int]:
    """Integer ids of the images that names of photos mean; names of none or several are left out."""
    photos = by_file_name({number: image["file_name"] for number, image in annotations.images.items()})
    found = {name: closest(name, photos)[1] for name in dict.fromkeys(names)}
    return {name: numbers[0] for name, numbers in found.items() if len(numbers) == 1}


def _say_what_is_odd(
    path: Path, annotations: CocoAnnotations, results: list[dict[str, Any]], others: int, by_name: bool, meant: bool
) -> None:
    """Log in one sentence each what a reader of the metrics must know about a results file."""
    notes = []
    if by_name:
        notes.append("photos are matched by file_name, as ids are not those of the annotations")
    if not meant and annotations.category is not None:
        notes.append(f"no entry has category {annotations.category}, which has the keypoints; all entries are taken")
    if others:
        notes.append(f"{others} entries have another category and are left out")
    needed = {i for i in annotations.images if any(each.get("num_keypoints") for each in annotations.people(i))}
    missing = len(needed - {entry["image_id"] for entry in results})
    if 2 * missing > len(needed):
        notes.append(f"{missing} of {len(needed)} annotated photos have no entry, so that their people count as missed")
    for note in notes:
        say_once(f"note: {path}: {note}")


def _result(entry: Any, where: str, num_keypoints: int) -> dict[str, Any]:
    try:
        fields = {name: entry[name] for name in ("image_id", "category_id")}
        keypoints = [float(value) for value in entry["keypoints"]]
        score = float(entry["score"])
        if id_key(fields["image_id"]) is None:
            raise ValueError
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{where} is not a prediction (expected {_FIELDS})") from error
    _check(np.array(keypoints), num_keypoints, np.array([score]), where)
    return {**fields, "keypoints": keypoints, "score": score}


def _check(keypoints: NDArray[np.float64], expected: int, others: NDArray[np.float64], where: str) -> None:
    if len(keypoints) != 3 * expected:
        raise UserError(f"{where} has {len(keypoints) / 3:g} keypoints (expected {expected})")
    if not (np.isfinite(keypoints).all() and np.isfinite(others).all()):
        raise UserError(f"{where} has a number that is not finite (expected pixels and scores)")
