"""The result type: named keypoints of the people in one photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Floats32, Indices
from litehrnet.keypoints.oks import rescore


@dataclass(frozen=True)
class KeypointSet:
    """Keypoints that a network finds, in the order of its outputs.

    Attributes:
        name: Short name, such as ``coco``.
        keypoint_names: One name per keypoint.
        flip_pairs: Pairs (left, right) of keypoint indices that change places in a mirrored image.
        limbs: Pairs of keypoint indices that a drawn skeleton joins.
        sigmas: Spread of each keypoint in COCO's object keypoint similarity, relative to the square root
            of the person's area.
    """

    name: str
    keypoint_names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    limbs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.keypoint_names)

    @property
    def flip_order(self) -> Indices:
        """Indices (keypoints,) that reorder the keypoints of a mirrored image."""
        order = np.arange(len(self))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return order


@dataclass(frozen=True)
class Poses:
    """People found in one photo.

    Attributes:
        keypoints: float32 (people, keypoints, 2): (x, y) in image pixels, pixel centers at integers.
        scores: float32 (people, keypoints): peak value of each heatmap, nominally 0..1.
        boxes: float32 (people, 4): the input boxes, (x, y, width, height) in image pixels.
        box_scores: float32 (people,): 0..1; 1 if the boxes have no scores.
        keypoint_set: Names, limbs and flip pairs of the keypoints.
    """

    keypoints: Floats32
    scores: Floats32
    boxes: Floats32
    box_scores: Floats32
    keypoint_set: KeypointSet

    def __post_init__(self) -> None:
        persons, keypoints = len(self.keypoints), len(self.keypoint_set)
        shapes = {
            "keypoints": (self.keypoints.shape, (persons, keypoints, 2)),
            "scores": (self.scores.shape, (persons, keypoints)),
            "boxes": (self.boxes.shape, (persons, 4)),
            "box_scores": (self.box_scores.shape, (persons,)),
        }
        for name, (shape, expected) in shapes.items():
            if shape != expected:
                raise ValueError(f"{name} has shape {shape} (expected {expected})")

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, index: int | slice | NDArray[Any]) -> Poses:
        """Select people by one index, a slice, indices or a mask; the result is always a ``Poses``."""
        rows = np.arange(len(self))[index].reshape(-1)
        return Poses(
            self.keypoints[rows], self.scores[rows], self.boxes[rows], self.box_scores[rows], self.keypoint_set
        )

    @property
    def pose_scores(self) -> Floats32:
        """float32 (people,): the box score times the mean keypoint score."""
        scores: Floats32 = self.box_scores * self.scores.mean(axis=1)
        return scores

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain lists and strings for JSON: one entry per person, keypoints by name."""
        names = self.keypoint_set.keypoint_names
        return {
            "keypoint_set": self.keypoint_set.name,
            "persons": [
                {
                    "box": box.tolist(),
                    "box_score": float(box_score),
                    "score": float(score),
                    "keypoints": {
                        name: {"x": float(x), "y": float(y), "score": float(s)}
                        for name, (x, y), s in zip(names, points, point_scores, strict=True)
                    },
                }
                for box, box_score, score, points, point_scores in zip(
                    self.boxes, self.box_scores, self.pose_scores, self.keypoints, self.scores, strict=True
                )
            ],
        }

    def to_coco(self, image_id: int | str) -> list[dict[str, Any]]:
        """Convert to COCO keypoint results: one entry per person, ``keypoints`` as x, y, score triples.

        As in the published protocol, the score of a person is the box score times the mean of the keypoint scores
        above 0.2 (docs/spec/protocol.md, section 4.3), so that ``litehrnet score`` ranks people as ``test`` does.
        """
        triples = np.concatenate([self.keypoints, self.scores[..., None]], axis=2)
        return [
            {
                "image_id": image_id,
                "category_id": 1,
                "bbox": box.tolist(),
                "keypoints": triple.reshape(-1).tolist(),
                "score": float(score),
            }
            for box, triple, score in zip(self.boxes, triples, rescore(self.box_scores, self.scores), strict=True)
        ]
