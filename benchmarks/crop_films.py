"""Films of real people on known paths: cut out of photos of ``coco_dev`` along their outlines, in front of a crowd.

A film has four people. Two stay in the picture. Two walk out of it on both sides and come back after seconds, mirrored.
They pass each other many times, the nearer one in front. One side of the picture is darker than the other. The
background is a blurred photo of a crowd. Each seed defines one film. Even and odd seeds use different photos.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from litehrnet import read_image
from litehrnet.keypoints.skeletons import COCO
from litehrnet.video.writing import VideoWriter

SIZE_WH, RATE, SECONDS = (1280, 720), 25, 20.0
PEOPLE = 4
BLUR = (8.0, 12.0)  # standard deviation in pixels: people in the background are recognizable, their limbs are not
_DARKEST = (0.6, 0.8)  # relative brightness of the dark side
_OPAQUE = 127  # opacity (of 255) above which a person hides the background
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Person:
    """Cut-out of a person and its path.

    Attributes:
        image: float32 (h, w, 3).
        opacity: uint8 (h, w).
        keypoints: float64 (17, 3): (x, y) in ``image``, and 2 if visible in the photo, 1 if annotated but hidden,
            else 0.
        feet: Vertical position of the feet, 0..1 of the picture's height; lower people are nearer.
        middle, reach, period, phase: Path to and fro, in picture widths, seconds and radians.
        turns: Whether the person is mirrored when walking to the left.
    """

    image: NDArray[np.float32]
    opacity: NDArray[np.uint8]
    keypoints: NDArray[np.float64]
    feet: float
    middle: float
    reach: float
    period: float
    phase: float
    turns: bool

    def at(self, seconds: float) -> "Person":
        """Return the person at a time, mirrored if necessary."""
        if not self.turns or np.cos(2 * np.pi * seconds / self.period + self.phase) >= 0:
            return self
        keypoints = self.keypoints[COCO.flip_order]
        keypoints[:, 0] = self.image.shape[1] - 1 - keypoints[:, 0]
        return replace(self, image=self.image[:, ::-1], opacity=self.opacity[:, ::-1], keypoints=keypoints)

    def corner(self, seconds: float) -> tuple[int, int]:
        """Return (x, y) of the image's upper left corner at a time; people bob as they walk."""
        height, width = self.opacity.shape
        across = self.middle + self.reach * np.sin(2 * np.pi * seconds / self.period + self.phase)
        down = self.feet + 0.008 * np.sin(2 * np.pi * 1.8 * seconds + self.phase)
        return round(across * SIZE_WH[0] - width / 2), round(down * SIZE_WH[1] - height)


@dataclass(frozen=True)
class TrueFrame:
    """True positions of the people of a frame.

    Attributes:
        visible: (people,): share of each person that is in the picture and not behind others, 0..1.
        boxes: float64 (people, 4): (x, y, width, height) around the visible part; zeros if nothing is visible.
        keypoints: float64 (people, 17, 3): (x, y) in the picture, and 1 for visible ones.
    """

    visible: NDArray[np.float64]
    boxes: NDArray[np.float64]
    keypoints: NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """People of a film (the furthest first), its background (H, W, 3), and the light on people (1, W, 1), 0..1."""

    people: list[Person]
    ground: NDArray[np.uint8]
    light: NDArray[np.float32]


def make_film(
    data: Path,
    seed: int,
    path: Path,
    seconds: float = SECONDS,
    people: int = PEOPLE,
    blur: tuple[float, float] = BLUR,
) -> list[TrueFrame]:
    """Write the film of a seed as ``.mp4``.

    Args:
        data: Folder that contains ``coco_dev``.
        seed: Chooses people, paths and background.
        path: The film's file without its suffix.
        seconds: Length of the film.
        people: Number of people.
        blur: Smallest and largest standard deviation of the background's blur, in pixels.

    Returns:
        The truth, one for each frame.
    """
    scene = cast(data / "coco_dev", seed, people, blur)
    truth = []
    with VideoWriter(path, Fraction(RATE)) as writer:
        for number in range(round(seconds * RATE)):
            picture, true = render(scene, number / RATE)
            writer.write(picture, number / RATE)
            truth.append(true)
    return truth


def cast(folder: Path, seed: int, count: int = PEOPLE, blur: tuple[float, float] = BLUR) -> Scene:
    """Choose a film's people and background."""
    content = json.loads((folder / "annotations.json").read_text())
    names = {image["id"]: image["file_name"] for image in content["images"] if image["id"] % 2 == seed % 2}
    annotations = [annotation for annotation in content["annotations"] if annotation["image_id"] in names]
    rng = np.random.default_rng(seed)
    whole = {a["image_id"]: a for a in annotations if _is_whole(a)}  # one of each photo
    people = []
    feet = np.sort(rng.uniform(0.82, 1.0, count))
    for number, image_id in enumerate(rng.choice(sorted(whole), count, replace=False).tolist()):
        image = read_image(folder / "images" / names[image_id])
        people.append(_person(image, whole[image_id], float(feet[number]), leaves=number % 2 == 0, rng=rng))
    ground = _background(read_image(folder / "images" / names[_crowd(content, names, rng)]), rng.uniform(*blur))
    left, right = rng.permutation([1, rng.uniform(*_DARKEST)]).tolist()
    light = np.linspace(left, right, SIZE_WH[0], dtype=np.float32)[None, :, None]
    return Scene(people, np.rint(ground * light).astype(np.uint8), light)


def _crowd(content: dict[str, Any], names: dict[int, str], rng: np.random.Generator) -> int:
    """Choose a photo with five people or more, all at most half as tall as the photo; return its id."""
    heights: dict[int, list[float]] = {image["id"]: [] for image in content["images"] if image["id"] in names}
    limits = {image["id"]: image["height"] / 2 for image in content["images"]}
    for annotation in content["annotations"]:
        if annotation["image_id"] in names:
            heights[annotation["image_id"]].append(annotation["bbox"][3])
    return int(rng.choice([i for i, tall in heights.items() if len(tall) >= 5 and max(tall) <= limits[i]]))


def _is_whole(annotation: dict[str, Any]) -> bool:
    """Return whether a person is large and visible from head to foot, in one piece."""
    _, _, width, height = annotation["bbox"]
    visible = np.array(annotation["keypoints"])[2::3] > 0
    in_one_piece = not annotation["iscrowd"] and len(annotation["segmentation"]) == 1
    return bool(in_one_piece and height >= 150 and height > 1.4 * width and visible.sum() >= 13 and visible[15:].any())


def _person(
    image: NDArray[np.uint8], annotation: dict[str, Any], feet: float, *, leaves: bool, rng: np.random.Generator
) -> Person:
    x, y, width, height = (int(value) for value in annotation["bbox"])
    part = np.s_[y : y + height + 1, x : x + width + 1]
    mask = np.zeros(image.shape[:2], np.uint8)
    outline = np.array(annotation["segmentation"][0], np.float32).reshape(-1, 2)
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], (255,))
    scale = (feet - rng.uniform(0.18, 0.3)) * SIZE_WH[1] / height
    picture = cv2.resize(image[part], None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    opacity = cv2.resize(cv2.GaussianBlur(mask[part], (0, 0), 1), picture.shape[1::-1])
    keypoints = np.array(annotation["keypoints"], np.float64).reshape(-1, 3)
    keypoints[:, :2] = (keypoints[:, :2] - (x, y) + 0.5) * scale - 0.5
    reach, period = (
        (rng.uniform(0.64, 0.74), rng.uniform(12, 16)) if leaves else (rng.uniform(0.3, 0.38), rng.uniform(9, 13))
    )
    return Person(
        picture.astype(np.float32),
        np.asarray(opacity, np.uint8),
        keypoints,
        feet,
        rng.uniform(0.46, 0.54),
        reach,
        period,
        rng.uniform(0, 2 * np.pi),
        turns=leaves,
    )


def _background(photo: NDArray[np.uint8], blur: float) -> NDArray[np.uint8]:
    """Enlarge a photo until it fills the picture, cut it, and blur it."""
    height, width = photo.shape[:2]
    scale = max(SIZE_WH[0] / width, SIZE_WH[1] / height)
    size = round(width * scale), round(height * scale)
    large = cv2.resize(photo, size, interpolation=cv2.INTER_CUBIC)
    x, y = (size[0] - SIZE_WH[0]) // 2, (size[1] - SIZE_WH[1]) // 2
    return np.asarray(cv2.GaussianBlur(large[y : y + SIZE_WH[1], x : x + SIZE_WH[0]], (0, 0), blur), np.uint8)


def render(scene: Scene, seconds: float) -> tuple[NDArray[np.uint8], TrueFrame]:
    """Draw the picture at a time, and return the true positions of its people."""
    picture = scene.ground.copy()
    people = [person.at(seconds) for person in scene.people]
    owner = np.full(picture.shape[:2], -1, np.int8)  # the visible person at a pixel
    keypoints = np.stack([person.keypoints for person in people])
    for number, person in enumerate(people):
        corner = person.corner(seconds)
        _paste(picture, owner, scene.light, person, corner, number)
        keypoints[number, :, :2] += corner
    visible, boxes = np.zeros(len(people)), np.zeros((len(people), 4))
    for number, person in enumerate(people):
        own = (owner == number).astype(np.uint8)
        visible[number] = cv2.countNonZero(own) / (person.opacity > _OPAQUE).sum()
        boxes[number] = cv2.boundingRect(own)
        keypoints[number, :, 2] *= list(_seen(own, keypoints[number]))
    keypoints[..., 2] = keypoints[..., 2] > 0
    return picture, TrueFrame(visible, boxes, keypoints)


def _seen(own: NDArray[np.uint8], keypoints: NDArray[np.float64]) -> Iterator[bool]:
    """Yield for each keypoint whether the person is visible within a few pixels of it."""
    for x, y in np.rint(keypoints[:, :2]).astype(int).tolist():
        inside = 0 <= x < SIZE_WH[0] and 0 <= y < SIZE_WH[1]
        yield inside and bool(own[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5].any())


def _paste(
    picture: NDArray[np.uint8],
    owner: NDArray[np.int8],
    light: NDArray[np.float32],
    person: Person,
    corner: tuple[int, int],
    number: int,
) -> None:
    (height, width), (x, y) = person.opacity.shape, corner
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + width, SIZE_WH[0]), min(y + height, SIZE_WH[1])
    if x1 >= x2 or y1 >= y2:
        return
    own = np.s_[y1 - y : y2 - y, x1 - x : x2 - x]
    below, opacity = picture[y1:y2, x1:x2], person.opacity[own]
    mixed = below + (opacity[..., None] / np.float32(255)) * (person.image[own] * light[:, x1:x2] - below)
    below[:] = np.rint(mixed).clip(0, 255).astype(np.uint8)
    owner[y1:y2, x1:x2][opacity > _OPAQUE] = number
