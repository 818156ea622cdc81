"""Settings of training data and augmentation in a recipe (docs/spec/protocol.md, sections 1 and 2), and more."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DataConfig:
    """Annotated persons, or labeled images, to train on.

    Attributes:
        format: Form of the annotations: COCO's (also of your own keypoints) or MPII's list; for segmentation
            Cityscapes' folders of cities, or a folder of label images that are called as the photos are.
        annotations: Annotation file; for segmentation the folder of the label images.
        images: Folder of the photos.
        keypoints: The keypoints of the file, by name or file as in ``RunConfig``; None for those that it names
            itself. They are matched with the run's by name; those that it lacks are masked.
        only: File of numbers of photos: persons in others are left out (COCO format only; see ``read_photo_list``).
        without: File of numbers of photos: persons in these are left out.
        boxes_complete: Whether every object of every photo has a box, for detection; None for what each photo says.
    """

    format: Literal["coco", "mpii", "cityscapes", "folder"]
    annotations: str
    images: str
    keypoints: str | None = None
    only: str | None = None
    without: str | None = None
    boxes_complete: bool | None = None


@dataclass(frozen=True)
class AugmentationConfig:
    """How training samples vary. From ``brightness`` to ``anywhere_probability`` nothing is published, and all is off.

    Attributes:
        flip_probability: Of mirroring.
        half_body_probability: Of cropping to the upper or lower body, where enough joints are visible.
        half_body_above: Only persons with more visible joints than this.
        rotation_deg: Standard deviation of the rotation, which is clipped at twice this.
        rotation_probability: Of turning at all.
        scale: Standard deviation of the crop's relative size, which is clipped at this.
        center_jitter_probability: Of moving a person's center, once for the whole run (COCO format only).
        brightness: Most that is added to or taken from the gray levels, as a part of their range.
        contrast: Most by which their distance from the middle grows or shrinks, as a part of it.
        saturation: Most by which the distance of colors from gray does.
        blur_probability: Of blurring the crop, as persons are that it enlarges up to five times (see ``appearance``).
        cutout_probability: Of hiding a rectangle of the crop behind one color. Labels stay: what is hidden is to be
            guessed, as in COCO's labels.
        background_probability: Of filling what lies outside the photo, otherwise black, from another person's photo.
            People seen there are unlabeled, but for what a teacher says of the whole crop.
        anywhere_probability: Of a crop anywhere in the photo instead of the person's, with no one or parts of people in
            it. Its labels do not count: only a teacher says what is there, so there must be one.
        exact_images: Decode photos whole, as published; otherwise JPEG photos that a crop shrinks by two or more
            are decoded at 1/2, 1/4 or 1/8 of their size, which is faster and smoother.
    """

    flip_probability: float = 0.5
    half_body_probability: float = 0.3
    half_body_above: int = 8
    rotation_deg: float = 30.0
    rotation_probability: float = 0.6
    scale: float = 0.25
    center_jitter_probability: float = 0.3
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    blur_probability: float = 0.0
    cutout_probability: float = 0.0
    background_probability: float = 0.0
    anywhere_probability: float = 0.0
    exact_images: bool = False


@dataclass(frozen=True)
class SegmentationConfig:
    """What is segmented, and how its training samples vary.

    Attributes:
        classes: ``cityscapes`` or a file that lists the classes (small TOML or JSON).
        scale: Least and largest factor of an image's size, drawn uniformly.
        max_class_share: Of one class among the labeled pixels of a crop, 0..1: another crop is drawn, ten times at
            most, where it is larger.
        flip_probability: Of mirroring.
        brightness: Most that is added to or taken from the gray levels, as a part of their range.
        contrast: Most by which their distance from the middle grows or shrinks, as a part of it.
        saturation: Most by which the distance of colors from gray does.
    """

    classes: str
    scale: tuple[float, float] = (0.5, 2.0)
    max_class_share: float = 0.75
    flip_probability: float = 0.5
    brightness: float = 0.125
    contrast: float = 0.5
    saturation: float = 0.5


@dataclass(frozen=True)
class DetectionConfig:
    """What is detected, and how its training samples vary.

    Attributes:
        objects: Name of the object class: the category of the annotation files.
        scale: Smallest and largest factor of the size that a photo has when it just fits into the input.
        aspect: Largest change of the ratio of width to height, as a part of it.
        flip_probability: Probability of mirroring.
        mosaic_probability: Probability that a sample shows four photos side by side.
        brightness: Most that is added to or taken from the gray levels, as a part of their range.
        contrast: Most by which their distance from the middle grows or shrinks, as a part of it.
        saturation: Most by which the distance of colors from gray grows or shrinks, as a part of it.
        fill_from: A detector (file or name) that completes photos with missing boxes; None to learn only from what is
            labeled there.
        fill_above: Its boxes with this score and more become objects.
        ignore_above: Its boxes with this score and more, up to ``fill_above``, become ignored regions.
    """

    objects: str = "person"
    scale: tuple[float, float] = (0.7, 1.7)
    aspect: float = 0.12
    flip_probability: float = 0.5
    mosaic_probability: float = 0.0
    brightness: float = 0.2
    contrast: float = 0.4
    saturation: float = 0.5
    fill_from: str | None = None
    fill_above: float = 0.45
    ignore_above: float = 0.25
