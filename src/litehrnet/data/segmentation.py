"""Labeled images of one or more data sets, to train a segmentation on."""

from collections.abc import Sequence
from dataclasses import dataclass

from litehrnet.data.formats import find_label_format
from litehrnet.data.label_images import LabeledImage, check_labeled_images, refuse_white_masks
from litehrnet.data.settings import DataConfig, SegmentationConfig
from litehrnet.segmentation.classes import ClassSet


@dataclass(frozen=True)
class SegmentationSet:
    """Everything that samples are made from.

    Attributes:
        records: Photos with their label images.
        class_set: Classes of the run.
        input_size_wh: (width, height) of the crops in pixels.
        settings: Variation of the samples.
        seed: Seed of all random numbers.
    """

    records: tuple[LabeledImage, ...]
    class_set: ClassSet
    input_size_wh: tuple[int, int]
    settings: SegmentationConfig
    seed: int

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.records)


def read_segmentation_set(
    data: Sequence[DataConfig],
    class_set: ClassSet,
    input_size_wh: tuple[int, int],
    settings: SegmentationConfig,
    seed: int,
    *,
    skip_broken: bool = False,
) -> SegmentationSet:
    """Find the images of all data sets, in order, and check them.

    Other arguments are the attributes of the result. ``skip_broken`` does not look at the photos, as broken ones are
    left out later, but at the label images.

    Raises:
        UserError: A folder or file is missing or broken, a label image is of the wrong kind, or none
            has a class to learn.
    """
    records = tuple(r for each in data for r in find_label_format(each.format).read(each.images, each.annotations))
    source = ", ".join(each.annotations for each in data)
    check_labeled_images(records, source, skip_broken=skip_broken)
    refuse_white_masks(records, class_set, source)
    return SegmentationSet(records, class_set, input_size_wh, settings, seed)
