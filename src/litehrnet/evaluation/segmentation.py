"""Testing a segmentation: label images and predictions to one confusion matrix, and to figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from litehrnet.config.schema import TestConfig
from litehrnet.data.segmentation import LabeledImage, check_labeled_images, labeled_images, read_classes
from litehrnet.errors import UserError
from litehrnet.inference.segmenter import Segmenter
from litehrnet.io.files import make_folder, write_bytes
from litehrnet.io.images import read_image
from litehrnet.segmentation.classes import ClassSet
from litehrnet.segmentation.confusion import Confusion, confusion_matrix


@dataclass(frozen=True)
class SegmentationTest:
    """What is to be segmented, and what should come out."""

    test: TestConfig
    records: tuple[LabeledImage, ...]
    class_set: ClassSet

    @property
    def how(self) -> str:
        """In a few words."""
        views = [f"scale {scale:g}" for scale in self.test.scales if self.test.scales != (1.0,)]
        return ", ".join(["windows" if self.test.window else "whole images", *views, *["flip"] * self.test.flip])


def read_segmentation_test(test: TestConfig, class_set: ClassSet) -> SegmentationTest:
    """Find the images of a test and check them without decoding them.

    Raises:
        UserError: See ``data.segmentation.labeled_images`` and ``label_faults``.
    """
    records = tuple(labeled_images(test.dataset, test.images, test.annotations))
    check_labeled_images(records, test.annotations)
    return SegmentationTest(test, records, class_set)


def confusion_of(
    segmenter: Segmenter,
    records: Sequence[LabeledImage],
    done: Callable[[int], None] = lambda _: None,
    out_dir: Path | None = None,
) -> Confusion:
    """Segment images and compare.

    Args:
        segmenter: Of the classes that the label images have.
        records: Each is segmented once.
        done: Called with 1 after every image.
        out_dir: Where predictions are written as label images, see ``write_prediction``; None for nowhere.

    Returns:
        The confusion matrix of all of them; all zero where no pixel has a class.

    Raises:
        UserError: A file is broken, two do not fit together, or a prediction cannot be written.
    """
    class_set = segmenter.class_set
    total = np.zeros((len(class_set), len(class_set)), np.int64)
    for record in records:
        predicted = segmenter.segment(read_image(record.image_file))
        truth = read_classes(record, class_set)
        if truth.shape != predicted.shape:
            raise UserError(
                f"{record.label_file}: is {truth.shape[1]}x{truth.shape[0]} (expected {predicted.shape[1]}x"
                f"{predicted.shape[0]}, the size of {record.image_file.name})"
            )
        total += confusion_matrix(truth, predicted, len(class_set))
        if out_dir is not None:
            write_prediction(out_dir, record.image_file, predicted, class_set)
        done(1)
    return total


def write_prediction(folder: Path, image_file: Path, classes: NDArray[np.uint8], class_set: ClassSet) -> Path:
    """Write classes as a label image, named as the photo: a PNG of 8-bit label ids, as Cityscapes' server takes it.

    Raises:
        UserError: It cannot be written.
    """
    import cv2

    path = make_folder(folder) / f"{image_file.stem}.png"
    write_bytes(path, cv2.imencode(".png", class_set.label_ids_of(classes))[1].tobytes())
    return path
