"""The result type: named keypoints of the people in one photo."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Floats32, Floats64, Image, Indices
from litehrnet.errors import UserError
from litehrnet.keypoints.likelihood import CURVE
from litehrnet.keypoints.oks import rescore
from litehrnet.optional import is_installed


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

    Example:
        >>> from litehrnet import KeypointSet
        >>> bird = KeypointSet("bird", ("beak", "left_wing", "right_wing"), ((1, 2),), ((0, 1), (0, 2)), (0.05,) * 3)
        >>> bird.flip_order.tolist()
        [0, 2, 1]
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


@dataclass(frozen=True, repr=False)
class Poses:
    """People found in one photo; a notebook shows them drawn, a terminal with one line per person.

    Attributes:
        keypoints: float32 (people, keypoints, 2): (x, y) in image pixels, pixel centers at integers.
        scores: float32 (people, keypoints): peak value of each heatmap, nominally 0..1, at times above.
        boxes: float32 (people, 4): the input boxes, (x, y, width, height) in image pixels.
        box_scores: float32 (people,): 0..1; 1 if the boxes have no scores.
        keypoint_set: Names, limbs and flip pairs of the keypoints.
        image: The photo if it is known: a file's name, or uint8 (height, width, 3), RGB. ``PoseEstimator.predict`` and
            ``predict_many`` set it.

    Example:
        >>> from litehrnet import PoseEstimator
        >>> from litehrnet.cli.demo import PHOTO
        >>> poses = PoseEstimator().predict(PHOTO)
        >>> best = poses[0]
        >>> nose = poses.keypoint_set.keypoint_names.index("nose")
        >>> [round(float(value), -1) for value in best.keypoints[0, nose]]
        [180.0, 90.0]
        >>> bool(0.8 < best.likelihoods[0, nose] <= 1)
        True
    """

    keypoints: Floats32
    scores: Floats32
    boxes: Floats32
    box_scores: Floats32
    keypoint_set: KeypointSet
    image: str | Image | None = field(default=None, compare=False)

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
            self.keypoints[rows],
            self.scores[rows],
            self.boxes[rows],
            self.box_scores[rows],
            self.keypoint_set,
            self.image,
        )

    def __repr__(self) -> str:
        people = "1 person" if len(self) == 1 else f"{len(self)} people"
        lines = [f"{people}, {len(self.keypoint_set)} keypoints ({self.keypoint_set.name})"]
        for number, (box, score) in enumerate(zip(self.boxes, self.pose_scores, strict=True)):
            likely = int((self.likelihoods[number] >= 0.5).sum())
            x, y, width, height = box.round().astype(int).tolist()
            lines.append(f"{number}: box {x} {y} {width} {height}, score {score:.2f}, {likely} likely keypoints")
        return "\n".join(lines)

    def _repr_png_(self) -> bytes | None:
        """Return the drawn photo as PNG, for notebooks; None if the photo is not known."""
        from litehrnet.io.images import encode_image

        try:
            return None if self.image is None else encode_image(self.draw(), ".png", quality=0)
        except UserError:  # the file is gone
            return None

    @property
    def pose_scores(self) -> Floats32:
        """float32 (people,): the box score times the mean keypoint score."""
        scores: Floats32 = self.box_scores * self.scores.mean(axis=1)
        return scores

    @property
    def likelihoods(self) -> Floats64:
        """float64 (people, keypoints): share of keypoints with such a score that are right, 0..1 (docs/results.md)."""
        return CURVE(self.scores)

    def draw(self, image: Image | None = None) -> Image:
        """Draw the people, as ``litehrnet.draw_poses`` does, which also takes a style.

        Args:
            image: uint8 (height, width, 3), RGB; None for the photo in which the people were found.

        Returns:
            uint8 (height, width, 3), RGB, a copy.

        Raises:
            UserError: The photo is not known, or its file cannot be read.

        Example:
            >>> from litehrnet import PoseEstimator
            >>> from litehrnet.cli.demo import PHOTO
            >>> PoseEstimator().predict(PHOTO).draw().shape
            (400, 1141, 3)
        """
        from litehrnet.drawing.skeletons import draw_poses
        from litehrnet.io.images import read_image

        known = self.image if image is None else image
        if known is None:
            raise UserError("image: these poses do not know their photo (expected the photo as an array)")
        return draw_poses(read_image(known) if isinstance(known, str) else known, self)

    def save(self, path: str | Path) -> None:
        """Write the drawn photo, or a table with one row per person.

        Args:
            path: A new file. The suffix decides: ``.jpg``, ``.jpeg``, ``.png`` or ``.webp`` for the photo, ``.csv`` or
                ``.parquet`` (needs pyarrow) for the table.

        Raises:
            UserError: The file exists or cannot be written, the suffix is another one, or the photo is not known.

        Example:
            >>> import tempfile
            >>> from pathlib import Path
            >>> from litehrnet import PoseEstimator
            >>> from litehrnet.cli.demo import PHOTO
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     PoseEstimator().predict(PHOTO).save(Path(folder) / "poses.csv")
            ...     print((Path(folder) / "poses.csv").read_text().count("three_people.jpg"))
            3
        """
        from litehrnet.io.images import WRITTEN_SUFFIXES, write_image
        from litehrnet.results.files import TABLE_SUFFIXES, is_table, write_table

        path = Path(path)
        if path.suffix.lower() not in (*WRITTEN_SUFFIXES, *TABLE_SUFFIXES):
            raise UserError(f"{path}: unknown suffix (expected {', '.join((*WRITTEN_SUFFIXES, *TABLE_SUFFIXES))})")
        if os.path.lexists(path):
            raise UserError(f"{path}: exists already (expected the name of a new file)")
        if is_table(path):
            write_table(path, self._columns({}))
        else:
            write_image(path, self.draw())

    def to_rows(self, **where: int | float | str) -> list[dict[str, Any]]:
        """Convert to one dictionary per person, as in the tables that ``litehrnet predict`` writes.

        Args:
            **where: Values of further columns that come first, such as ``frame=3``. The file's name is ``image``.

        Returns:
            The rows; without people one row, with None in its cells. ``litehrnet.results.rows`` lists the columns.

        Example:
            >>> from litehrnet import PoseEstimator
            >>> from litehrnet.cli.demo import PHOTO
            >>> rows = PoseEstimator().predict(PHOTO).to_rows(camera=2)
            >>> [(row["camera"], row["person"]) for row in rows]
            [(2, 0), (2, 1), (2, 2)]
        """
        from litehrnet.results.rows import to_rows

        return to_rows(self._columns(where))

    def to_dataframe(self, **where: int | float | str) -> Any:
        """Convert to a data frame of pandas, or of polars if only that is installed; otherwise as ``to_rows``.

        Raises:
            UserError: Neither is installed.

        Example:
            >>> from litehrnet import PoseEstimator
            >>> from litehrnet.cli.demo import PHOTO
            >>> table = PoseEstimator().predict(PHOTO).to_dataframe()
            >>> len(table), "left_wrist_likelihood" in table.columns
            (3, True)
        """
        from litehrnet.results.rows import to_dataframe

        return to_dataframe(self._columns(where))

    def _columns(self, where: dict[str, int | float | str]) -> dict[str, Any]:
        from litehrnet.results.rows import Found, to_columns

        known = {"image": self.image} if isinstance(self.image, str) else {}
        return to_columns([Found(self, {**known, **where})])

    def to_supervision(self) -> Any:
        """Convert to ``supervision.KeyPoints``, with likelihoods as ``keypoint_confidence``; needs supervision 0.29.

        Raises:
            UserError: supervision is not installed.

        Example:
            >>> from litehrnet import PoseEstimator
            >>> from litehrnet.cli.demo import PHOTO
            >>> PoseEstimator().predict(PHOTO).to_supervision().xy.shape
            (3, 17, 2)
        """
        if not is_installed("supervision"):
            raise UserError("to_supervision needs supervision, which is not installed (pip install supervision)")
        import supervision

        return supervision.KeyPoints(
            xy=self.keypoints,
            class_id=np.zeros(len(self), int),
            keypoint_confidence=self.likelihoods.astype(np.float32),
            detection_confidence=self.box_scores,
            data={"boxes_xywh": self.boxes},
        )

    def to_openpose(self) -> dict[str, Any]:
        """Convert to the content of one JSON file of OpenPose: ``pose_keypoints_2d`` has x, y, likelihood triples.

        Keypoints keep the order of ``keypoint_set``; tools that ask for it have a setting such as COCO_17.

        Example:
            >>> from litehrnet import PoseEstimator
            >>> from litehrnet.cli.demo import PHOTO
            >>> people = PoseEstimator().predict(PHOTO).to_openpose()["people"]
            >>> len(people), len(people[0]["pose_keypoints_2d"])
            (3, 51)
        """
        triples = np.concatenate([self.keypoints, self.likelihoods[..., None]], axis=2)
        flat = ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d")
        parts = (*flat, "pose_keypoints_3d", *(name.replace("2d", "3d") for name in flat))
        return {
            "version": 1.3,
            "people": [
                {"person_id": [-1], "pose_keypoints_2d": triple.ravel().tolist(), **{part: [] for part in parts}}
                for triple in triples
            ],
        }

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain lists and strings for JSON: one entry per person, keypoints by name.

        Example:
            >>> from litehrnet import PoseEstimator
            >>> from litehrnet.cli.demo import PHOTO
            >>> persons = PoseEstimator().predict(PHOTO).to_dict()["persons"]
            >>> sorted(persons[0]["keypoints"]["nose"])
            ['score', 'x', 'y']
        """
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

        Example:
            >>> from litehrnet import PoseEstimator
            >>> from litehrnet.cli.demo import PHOTO
            >>> [entry["image_id"] for entry in PoseEstimator().predict(PHOTO).to_coco(785)]
            [785, 785, 785]
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
