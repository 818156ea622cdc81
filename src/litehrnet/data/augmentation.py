"""Random position of a training sample in its photo (docs/spec/protocol.md, sections 1.1 and 2.1 to 2.3).

Random numbers are drawn first (``draw_variation``) and applied afterward (``vary``): no draw depends on the photo.
"""

from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from litehrnet.arrays import Floats, Floats32, Floats64, Indices, Mask
from litehrnet.data.settings import AugmentationConfig
from litehrnet.keypoints.boxes import PIXEL_STD, centers_and_scales

HALF_BODY_PADDING = 1.5
JITTER = 0.4
SMALLEST_ANYWHERE = 0.4
"""Smallest size of a crop anywhere, as a part of the largest crop that fits in the photo; uniform up to 1."""


class RandomNumbers(Protocol):
    """Random generator: ``numpy.random.Generator``, or ``RandomState`` as in the reference implementation."""

    def random(self) -> float:
        """Uniform in [0, 1)."""

    def standard_normal(self) -> float:
        """Normal with mean 0 and standard deviation 1."""


@dataclass(frozen=True)
class Variation:
    """One random variation of a person's crop.

    Attributes:
        flip: Whether to mirror the photo.
        half_body: Half of the body to crop to; the other half is used where too few of its joints are visible.
        zoom: Factor of the crop's size in the photo.
        rotation_deg: Rotation of the crop in degrees, as in ``keypoints.crop``.
        anywhere: Crop anywhere in the photo, or None for the person's. Its size is a part of the largest that fits in
            the photo; the other numbers are the parts of the free space to the left and above.
    """

    flip: bool
    half_body: Literal["upper", "lower"] | None
    zoom: float
    rotation_deg: float
    anywhere: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Person:
    """Crop and joints of a person, in pixels of the photo, or of the mirrored photo after a flip.

    Attributes:
        center: (2,) center of the crop.
        scale: (2,) size of the crop in units of 200 pixels.
        joints_xy: float32 (keypoints, 2).
        visible: float32 (keypoints,), 0 or 1.
    """

    center: Floats
    scale: Floats
    joints_xy: Floats32
    visible: Floats32


def draw_variation(rng: RandomNumbers, visible_joints: int, settings: AugmentationConfig, halves: bool) -> Variation:
    """Draw a variation: first as in the reference implementation, in the same order, then the additional settings.

    The number of draws depends on the number of visible joints, and on whether the keypoints have an upper and a lower
    body (``halves``).
    """
    flipped = rng.random() <= settings.flip_probability
    half: Literal["upper", "lower"] | None = None
    halves = halves and settings.half_body_probability > 0 and visible_joints > settings.half_body_above
    if halves and rng.random() < settings.half_body_probability:
        # As in the reference implementation a normal number below 0.5: the upper body in 69 of 100 cases.
        half = "upper" if rng.standard_normal() < 0.5 else "lower"
    zoom, rotation = draw_zoom_and_rotation(rng, settings)
    anywhere = None
    if settings.anywhere_probability > 0 and rng.random() < settings.anywhere_probability:
        size = SMALLEST_ANYWHERE + (1 - SMALLEST_ANYWHERE) * rng.random()
        anywhere = size, rng.random(), rng.random()
    return Variation(flipped, half, zoom, rotation, anywhere)


def draw_zoom_and_rotation(rng: RandomNumbers, settings: AugmentationConfig) -> tuple[float, float]:
    """Draw the factor of the crop's size, clipped at one deviation, and degrees, clipped at two; three draws."""
    zoom = 1 + settings.scale * rng.standard_normal()
    rotation = settings.rotation_deg * rng.standard_normal()
    if rng.random() > settings.rotation_probability:
        rotation = 0.0
    furthest = 2 * settings.rotation_deg
    return min(max(zoom, 1 - settings.scale), 1 + settings.scale), min(max(rotation, -furthest), furthest)


def vary(
    person: Person,
    variation: Variation,
    image_width: int,
    flip_order: Indices,
    lower_body: Mask,
    input_size_wh: tuple[int, int],
) -> Person:
    """Apply a variation to a person in the photo, except the rotation, which belongs to the crop.

    ``flip_order`` is that of the keypoint set, ``lower_body`` a mask (keypoints,).
    """
    if variation.flip:
        person = flip(person, image_width, flip_order)
    if variation.half_body:
        person = crop_to_half_body(person, variation.half_body, lower_body, input_size_wh)
    return replace(person, scale=(person.scale * variation.zoom).astype(person.scale.dtype))


def flip(person: Person, image_width: int, flip_order: Indices) -> Person:
    """Mirror a person with the photo; invisible joints move to (0, 0), as in the reference implementation."""
    center, joints, visible = person.center.copy(), person.joints_xy[flip_order], person.visible[flip_order]
    center[0] = image_width - 1 - center[0]
    joints[:, 0] = image_width - 1 - joints[:, 0]
    return replace(person, center=center, joints_xy=joints * visible[:, None], visible=visible)


def crop_to_half_body(
    person: Person, half: Literal["upper", "lower"], lower_body: Mask, input_size_wh: tuple[int, int]
) -> Person:
    """Crop to the visible joints of one half of the body; all joints stay visible.

    The wanted half needs three visible joints. Otherwise the other half is used, or the upper one if the lower has too
    few as well. Nothing changes with fewer than two joints, or with all joints in one place.
    The box of the joints grows to the aspect ratio of ``input_size_wh``.
    """
    upper, lower = (np.flatnonzero((person.visible > 0) & part) for part in (~lower_body, lower_body))
    wants_upper = half == "upper" and len(upper) > 2
    chosen = person.joints_xy[lower if not wants_upper and len(lower) > 2 else upper]
    if len(chosen) < 2 or not np.ptp(chosen, axis=0).any():
        return person
    box = np.concatenate([chosen.min(axis=0), np.ptp(chosen, axis=0)])
    _, scales = centers_and_scales(box[None], input_size_wh, HALF_BODY_PADDING)
    return replace(person, center=chosen.mean(axis=0), scale=scales[0])


def put_anywhere(
    person: Person, anywhere: tuple[float, float, float], image_size_wh: tuple[int, int], input_size_wh: tuple[int, int]
) -> Person:
    """Move the crop anywhere in the photo (see ``Variation``) and make all joints invisible.

    Rotated corners may reach outside.
    """
    size, *place = anywhere
    photo_wh, shape = np.array(image_size_wh, np.float64), np.array(input_size_wh, np.float64)
    crop_wh = size * (photo_wh / shape).min() * shape
    # Pixel centers are at whole numbers, so the photo begins half a pixel before the first one.
    center = crop_wh / 2 + place * (photo_wh - crop_wh) - 0.5
    return replace(person, center=center, scale=crop_wh / PIXEL_STD, visible=np.zeros_like(person.visible))


def jitter(center: Floats, box_wh: Floats64, rng: RandomNumbers, probability: float) -> Floats:
    """Move the center with ``probability`` by up to a fifth of the box in each direction; its dtype stays.

    As in the reference implementation, this happens once for each person of a data set, not in every epoch.
    """
    if rng.random() >= probability:
        return center
    steps = np.array([rng.random(), rng.random()]) - 0.5
    return (center + JITTER * steps * box_wh).astype(center.dtype)
