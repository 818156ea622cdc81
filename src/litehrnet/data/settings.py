"""Settings of training data and augmentation in a recipe (docs/spec/protocol.md, sections 1 and 2), and more."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DataConfig:
    """Annotated people, or labeled images, to train on.

    Attributes:
        format: Name of the annotation format, in ``data.formats``: ``coco`` (also for your own keypoints) or ``mpii``;
            for segmentation ``cityscapes`` or ``folder``.
        annotations: Annotation file; for segmentation the folder of the label images.
        images: Folder of the photos.
        keypoints: Keypoint set of the file, by name or file as in ``RunConfig``; None for the names in the file.
            Keypoints are matched with the run's by name. Those that the file lacks are masked.
        only: File with numbers of photos to train on (COCO format only; see ``read_photo_list``). None for all photos.
        without: File with numbers of photos to leave out.
        category: Name of the category whose people and keypoints count (COCO format only); None for the first category
            that has keypoint names.
        boxes_complete: Whether every object of every photo has a box, for detection. None for what each photo says.
    """

    format: str
    annotations: str
    images: str
    keypoints: str | None = None
    only: str | None = None
    without: str | None = None
    boxes_complete: bool | None = None
    category: str | None = None


@dataclass(frozen=True)
class EvalConfig:
    """Annotations to evaluate a network on, and how it is evaluated.

    Attributes:
        format: Name of the annotation format, in ``data.formats``. It also decides the metric: AP for ``coco``, PCKh
            for ``mpii``, mIoU for ``cityscapes`` and ``folder``.
        annotations: Annotation file, or folder of label images. For MPII it is the JSON list, with its ``.mat`` file in
            the same folder.
        images: Folder of the photos.
        boxes: File of detected boxes in COCO's results format; None for the annotated boxes.
        min_box_score: Detected boxes with a lower score are left out.
        flip: Average with the heatmaps of the mirrored crop, or the scores of the mirrored image.
        nms: Treatment of the worse of two similar poses: drop it (oks), lower its score (soft), or keep it (none).
        oks_threshold: Similarity (OKS) above which two poses count as similar, 0..1.
        visibility_threshold: Keypoints with a higher score count in the score of a pose.
        only: File with numbers of photos to evaluate on, as in ``DataConfig`` (COCO format only).
        without: File with numbers of photos to leave out.
        category: Category whose people count, as in ``DataConfig``.
        window: Segment windows of the run's input size side by side, instead of whole images.
        scales: Sizes at which an image is segmented, as factors of its own size; the probabilities are averaged.
    """

    format: str
    annotations: str
    images: str
    boxes: str | None = None
    min_box_score: float = 0.0
    flip: bool = True
    nms: Literal["oks", "soft", "none"] = "oks"
    oks_threshold: float = 0.9
    visibility_threshold: float = 0.2
    only: str | None = None
    without: str | None = None
    category: str | None = None
    window: bool = False
    scales: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class AugmentationConfig:
    """Variation of training samples. The settings from ``brightness`` on are not in the paper, and off by default.

    Attributes:
        flip_probability: Probability of mirroring.
        half_body_probability: Probability of cropping to the upper or lower body, if enough joints are visible.
        half_body_above: Number of visible joints above which a person may be cropped to half the body.
        rotation_deg: Standard deviation of the rotation in degrees; the rotation is clipped at twice this value.
        rotation_probability: Probability of rotating at all.
        scale: Standard deviation of the crop's relative size, clipped at one standard deviation.
        center_jitter_probability: Probability of moving a person's center, once for the whole run (COCO format only).
        brightness: Largest value added to or subtracted from the gray levels, as a part of their range.
        contrast: Largest relative change of the distance of gray levels from the middle.
        saturation: Largest relative change of the distance of colors from gray.
        blur_probability: Probability of blurring the crop, like people that are enlarged up to five times (see
            ``appearance``).
        cutout_probability: Probability of hiding a rectangle of the crop behind one color. Labels stay, so that the
            network learns to guess hidden keypoints, as in COCO's labels.
        background_probability: Probability of filling the area outside the photo, otherwise black, from another
            person's photo. People there are unlabeled, except by a teacher.
        anywhere_probability: Probability of a crop anywhere in the photo instead of the person's. Its labels do not
            count, so this needs a teacher.
        exact_images: Whether to decode whole photos, as the reference implementation does. Otherwise JPEG photos that a
            crop shrinks by two or more are decoded at a fraction of their size, which is faster and smoother.
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
    """Settings of a segmentation.

    Attributes:
        classes: ``cityscapes`` or a file that lists the classes (small TOML or JSON).
        scale: Smallest and largest factor of an image's size, drawn uniformly.
        max_class_share: Largest share of one class among the labeled pixels of a crop, 0..1. A crop with a larger share
            is drawn again, up to ten times.
        flip_probability: Probability of mirroring.
        brightness, contrast, saturation: As in ``AugmentationConfig``.
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
    """Settings of a detector.

    Attributes:
        objects: Name of the object class: a category of the annotation files.
        scale: Smallest and largest factor of the size at which a photo just fits into the input, or has the area of its
            part of a mosaic.
        aspect: Largest relative change of the ratio of width to height.
        flip_probability: Probability of mirroring.
        mosaic_probability: Probability that a sample shows four photos side by side.
        brightness, contrast, saturation: As in ``AugmentationConfig``.
        fill_from: Detector (file or name) that adds missing boxes to photos; None to learn only from labels there.
        fill_above: Lowest score at which a detected box becomes an object.
        ignore_above: Lowest score at which a detected box becomes an ignored region.
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
