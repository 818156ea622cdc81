"""Object keypoint similarity (OKS), non-maximum suppression based on it, and rescoring.

Source: docs/spec/protocol.md, section 4.3. Throughout, ``keypoints`` are image_xy (people, keypoints, 2), ``scores``
(people,), ``areas`` (people,) in square pixels; ``sigmas`` (keypoints,) are relative to the square root of the area.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Floats, Floats64, Indices, Mask


def pairwise_oks(keypoints: Floats, areas: Floats, sigmas: Floats, counted: Mask | None = None) -> Floats64:
    """Compute the similarity (people, people) of every person to every other person, 0..1; [i, j] compares i with j.

    ``counted`` (people, keypoints) masks the second person of each pair, as the reference implementation does; None
    counts all keypoints. Then the result is symmetric with 1 on the diagonal. It is 0 if no keypoint counts. The
    reference implementation uses the areas of the padded boxes.
    """
    return _oks(keypoints[:, None], keypoints[None], areas[:, None], areas[None], sigmas, counted)


def oks_to_truth(predicted: Floats, truth: Floats, areas: Floats, sigmas: Floats, annotated: Mask) -> Floats64:
    """Compute the similarity (predicted, people) of predicted to annotated people, as COCO's evaluation does.

    ``annotated`` (people, keypoints) masks the keypoints that count, ``areas`` are annotated ones. The similarity is
    0..1, and 0 if no keypoint is annotated.
    """
    return _oks(predicted[:, None], truth[None], areas, areas, sigmas, annotated)


def oks_nms(
    keypoints: Floats,
    scores: Floats,
    areas: Floats,
    sigmas: Floats,
    threshold: float,
    images: NDArray[np.integer] | None = None,
) -> Indices:
    """Keep the best person of each image, drop people more similar to it than ``threshold``, and repeat.

    ``threshold`` is 0..1; ``images`` (people,) are numbers of each person's image, None if all are in one image.

    Returns:
        Indices of the kept people by rising image number, then by falling score; equal scores keep their order.
    """
    images = np.zeros(len(scores), np.intp) if images is None else images
    order = np.lexsort((-np.asarray(scores), images))
    keypoints, areas, sigmas = keypoints[order], areas[order], np.asarray(sigmas)
    # A few keypoints can show that the similarity is too low even if all others were equal: that excludes most pairs.
    # The smallest sigmas separate people best. Close cases, within the margin, are left to the whole sum.
    count = len(sigmas)
    few = np.argsort(sigmas)[: max(1, int((1 - threshold) * count) + 2)]
    some, least = keypoints[:, few], 1 - (1 - threshold) * count / len(few) - 1e-9
    kept = np.ones(len(order), dtype=bool)
    for better, worse in _pairs(images[order]):
        likely = ~(_oks(some[better], some[worse], areas[better], areas[worse], sigmas[few]) <= least)
        better, worse = better[likely], worse[likely]
        alike = ~(_oks(keypoints[better], keypoints[worse], areas[better], areas[worse], sigmas) <= threshold)
        # In order of the better one's falling score: whether it is kept is already decided at this point.
        for one, other in zip(better[alike].tolist(), worse[alike].tolist(), strict=True):
            if kept[one]:
                kept[other] = False
    return order[kept]


def soft_oks_nms(
    keypoints: Floats, scores: Floats, areas: Floats, sigmas: Floats, threshold: float, max_keep: int = 20
) -> Indices:
    """Pick the best person, lower the scores of similar people, and repeat up to ``max_keep`` times.

    Only ``max_keep`` drops people. As in the reference implementation, the lowered scores only decide the order.
    Smaller values of ``threshold``, above 0, lower the scores of similar people more.

    Returns:
        Indices of the kept people in the order they were picked; equal scores keep their order.
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
    scores: Floats, overlaps: Floats, threshold: float, kind: Literal["gaussian", "linear"] = "gaussian"
) -> Floats64:
    """Lower scores (people,) by the similarity (people,) to a better person.

    ``gaussian`` lowers all scores, with the threshold as its width; the reference implementation uses it. ``linear``
    lowers scores with a similarity of at least ``threshold``, in proportion to it.
    """
    if kind == "gaussian":
        return np.asarray(scores * np.exp(-(overlaps**2) / threshold), dtype=np.float64)
    return np.asarray(np.where(overlaps >= threshold, scores * (1 - overlaps), scores), dtype=np.float64)


def rescore(box_scores: Floats, keypoint_scores: Floats, visibility_threshold: float = 0.2) -> Floats64:
    """Compute person scores (people,): the box score times the mean of the keypoint scores above a threshold.

    ``keypoint_scores`` are (people, keypoints). A person without a keypoint score above the threshold has score 0.
    """
    counted = keypoint_scores > visibility_threshold
    totals = np.where(counted, keypoint_scores, 0).sum(axis=1, dtype=np.float64)
    return np.asarray(box_scores * totals / np.maximum(counted.sum(axis=1), 1), dtype=np.float64)


def _pairs(images: NDArray[np.integer], at_once: int = 2**14) -> Iterator[tuple[Indices, Indices]]:
    """Yield all pairs (i, j), i < j, with equal numbers in sorted ``images``, ordered by i, then by j.

    The pairs are yielded in blocks of about ``at_once``, small enough for the processor's caches.
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
    points: Floats, others: Floats, areas: Floats, other_areas: Floats, sigmas: Floats, counted: Mask | None = None
) -> Floats64:
    # (..., keypoints, 2) and (...) of two groups of people, broadcast against each other -> (...)
    squared = (np.subtract(points, others, dtype=np.float64) ** 2).sum(axis=-1)
    areas = np.add(areas, other_areas, dtype=np.float64) / 2 + np.spacing(1)
    variances = (2 * np.asarray(sigmas, dtype=np.float64)) ** 2
    similarity = np.exp(-squared / variances / areas[..., None] / 2)
    if counted is None:
        return np.asarray(similarity.mean(axis=-1))
    return np.asarray((similarity * counted).sum(axis=-1) / np.maximum(counted.sum(axis=-1), 1))
