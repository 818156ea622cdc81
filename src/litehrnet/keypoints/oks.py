"""Object keypoint similarity (OKS), non-maximum suppression by it, and the rescoring before.

Source: docs/spec/protocol.md, section 4.3.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray


def pairwise_oks(
    keypoints: NDArray[np.floating],
    areas: NDArray[np.floating],
    sigmas: NDArray[np.floating],
    counted: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Similarity of every person to every other.

    Args:
        keypoints: image_xy (persons, keypoints, 2).
        areas: (persons,) square pixels; the published protocol takes the padded box.
        sigmas: (keypoints,), relative to the square root of the area.
        counted: (persons, keypoints), which keypoints of the second person of each pair count; None for all, as
            the published protocol has it. The published helper asks the second person's scores only.

    Returns:
        float64 (persons, persons), 0..1; [i, j] compares i with j. Symmetric, and 1 on the diagonal, where all
        keypoints count; 0 where none does.
    """
    return _oks(keypoints[:, None], keypoints[None], areas[:, None], areas[None], sigmas, counted)


def oks_to_truth(
    predicted: NDArray[np.floating],
    truth: NDArray[np.floating],
    areas: NDArray[np.floating],
    sigmas: NDArray[np.floating],
    annotated: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Similarity of predicted to annotated persons, as COCO's evaluation has it.

    Args:
        predicted: image_xy (predicted, keypoints, 2).
        truth: image_xy (persons, keypoints, 2).
        areas: (persons,) annotated areas in square pixels.
        sigmas: (keypoints,), relative to the square root of the area.
        annotated: (persons, keypoints), which keypoints count.

    Returns:
        float64 (predicted, persons), 0..1; 0 where no keypoint is annotated.
    """
    return _oks(predicted[:, None], truth[None], areas, areas, sigmas, annotated)


def oks_nms(
    keypoints: NDArray[np.floating],
    scores: NDArray[np.floating],
    areas: NDArray[np.floating],
    sigmas: NDArray[np.floating],
    threshold: float,
    images: NDArray[np.integer] | None = None,
) -> NDArray[np.intp]:
    """In each image keep the best person, drop those more similar to it than ``threshold``, repeat with the rest.

    Args:
        keypoints: image_xy (persons, keypoints, 2).
        scores: (persons,).
        areas: (persons,) square pixels.
        sigmas: (keypoints,).
        threshold: 0..1; a similarity equal to it is kept.
        images: (persons,) number of each person's image; None for all in one.

    Returns:
        Indices of the kept persons by rising image number, then by falling score; equal scores keep the order they
        came in.
    """
    images = np.zeros(len(scores), np.intp) if images is None else images
    order = np.lexsort((-np.asarray(scores), images))
    keypoints, areas, sigmas = keypoints[order], areas[order], np.asarray(sigmas)
    # Were all but a few keypoints of a pair equal, its similarity could still be too low: that rules out most pairs.
    # The smallest sigmas tell persons apart best. The margin leaves to the whole sum what rounding could decide.
    count = len(sigmas)
    few = np.argsort(sigmas)[: max(1, int((1 - threshold) * count) + 2)]
    some, least = keypoints[:, few], 1 - (1 - threshold) * count / len(few) - 1e-9
    kept = np.ones(len(order), dtype=bool)
    for better, worse in _pairs(images[order]):
        likely = ~(_oks(some[better], some[worse], areas[better], areas[worse], sigmas[few]) <= least)
        better, worse = better[likely], worse[likely]
        alike = ~(_oks(keypoints[better], keypoints[worse], areas[better], areas[worse], sigmas) <= threshold)
        # By falling score of the better one, so that whether it was kept is known when its turn comes.
        for one, other in zip(better[alike].tolist(), worse[alike].tolist(), strict=True):
            if kept[one]:
                kept[other] = False
    return order[kept]


def soft_oks_nms(
    keypoints: NDArray[np.floating],
    scores: NDArray[np.floating],
    areas: NDArray[np.floating],
    sigmas: NDArray[np.floating],
    threshold: float,
    max_keep: int = 20,
) -> NDArray[np.intp]:
    """Pick the best person, lower the scores of those similar to it, repeat up to ``max_keep`` times.

    Nobody is dropped but by ``max_keep``; as published, the lowered scores only decide the order.

    Args:
        keypoints: image_xy (persons, keypoints, 2).
        scores: (persons,).
        areas: (persons,) square pixels.
        sigmas: (keypoints,).
        threshold: Above 0; the smaller, the more similar persons are lowered.
        max_keep: How many persons to keep at most.

    Returns:
        Indices of the kept persons in the order they were picked; equal scores keep the order they came in.
    """
    lowered = np.array(scores, dtype=np.float64)
    left = np.arange(len(lowered))
    keep: list[np.intp] = []
    while left.size and len(keep) < max_keep:
        at = int(lowered[left].argmax())
        best, left = left[at], np.delete(left, at)
        keep.append(best)
        overlaps = _oks(keypoints[best], keypoints[left], areas[best], areas[left], sigmas)
        lowered[left] = decay_scores(lowered[left], overlaps, threshold)
    return np.array(keep, dtype=np.intp)


def decay_scores(
    scores: NDArray[np.floating],
    overlaps: NDArray[np.floating],
    threshold: float,
    kind: Literal["gaussian", "linear"] = "gaussian",
) -> NDArray[np.float64]:
    """Scores (persons,) lowered by their similarity (persons,) to a better person.

    ``gaussian`` lowers all, by the threshold as its width, and is what the published suppression uses; ``linear``
    lowers those that are ``threshold`` alike or more, in proportion.
    """
    if kind == "gaussian":
        return np.asarray(scores * np.exp(-(overlaps**2) / threshold), dtype=np.float64)
    return np.asarray(np.where(overlaps >= threshold, scores * (1 - overlaps), scores), dtype=np.float64)


def rescore(
    box_scores: NDArray[np.floating], keypoint_scores: NDArray[np.floating], visibility_threshold: float = 0.2
) -> NDArray[np.float64]:
    """Person scores: the box score times the mean of the keypoint scores above a threshold.

    Args:
        box_scores: (persons,).
        keypoint_scores: (persons, keypoints).
        visibility_threshold: Scores equal to it do not count.

    Returns:
        float64 (persons,); 0 where no keypoint is above the threshold.
    """
    counted = keypoint_scores > visibility_threshold
    totals = np.where(counted, keypoint_scores, 0).sum(axis=1, dtype=np.float64)
    return np.asarray(box_scores * totals / np.maximum(counted.sum(axis=1), 1), dtype=np.float64)


def _pairs(images: NDArray[np.integer], at_once: int = 2**14) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """All pairs of places (i, j), i before j, in sorted ``images`` that hold the same number: by i, then by j.

    They come in blocks of about ``at_once``, small enough to stay in the processor's caches.
    """
    places = np.arange(len(images))
    counts = np.searchsorted(images, images, side="right") - places - 1
    before = np.concatenate([[0], np.cumsum(counts)])
    start = 0
    while start < len(images):
        stop = max(start + 1, int(np.searchsorted(before, before[start] + at_once, side="right")) - 1)
        first = np.repeat(places[start:stop], counts[start:stop])
        within = np.arange(len(first)) - np.repeat(before[start:stop] - before[start], counts[start:stop])
        yield first, first + 1 + within
        start = stop


def _oks(
    points: NDArray[np.floating],
    others: NDArray[np.floating],
    areas: NDArray[np.floating],
    other_areas: NDArray[np.floating],
    sigmas: NDArray[np.floating],
    counted: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    # (..., keypoints, 2) and (...) of both sides, broadcast against each other -> (...)
    squared = (np.subtract(points, others, dtype=np.float64) ** 2).sum(axis=-1)
    areas = np.add(areas, other_areas, dtype=np.float64) / 2 + np.spacing(1)
    variances = (2 * np.asarray(sigmas, dtype=np.float64)) ** 2
    similarity = np.exp(-squared / variances / areas[..., None] / 2)
    if counted is None:
        return np.asarray(similarity.mean(axis=-1))
    return np.asarray((similarity * counted).sum(axis=-1) / np.maximum(counted.sum(axis=-1), 1))
