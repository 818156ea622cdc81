"""Evaluation of a segmentation: one confusion matrix of label images and predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from litehrnet.arrays import Image
from litehrnet.config.schema import RunConfig
from litehrnet.data.formats import find_label_format
from litehrnet.data.label_images import LabeledImage, check_labeled_images, read_classes, refuse_white_masks
from litehrnet.data.settings import EvalConfig
from litehrnet.errors import UserError
from litehrnet.inference.segmenter import Segmenter
from litehrnet.io.files import make_folder, write_bytes
from litehrnet.io.images import read_image
from litehrnet.io.progress import SILENT, Progress
from litehrnet.segmentation.classes import ClassSet, unnamed_classes
from litehrnet.segmentation.confusion import Confusion, confusion_matrix


@dataclass(frozen=True)
class SegmentationEvalSet:
    """Photos to segment, with their label images.

    Attributes:
        test: Settings of the evaluation.
        records: Photos and label images.
        class_set: Classes of the label images.
    """

    test: EvalConfig
    records: tuple[LabeledImage, ...]
    class_set: ClassSet

    @property
    def how(self) -> str:
        """Description of the evaluation, for logs."""
        views = [f"scale {scale:g}" for scale in self.test.scales if self.test.scales != (1.0,)]
        return ", ".join(["windows" if self.test.window else "whole images", *views, *["flip"] * self.test.flip])


def read_segmentation_eval_set(test: EvalConfig, class_set: ClassSet) -> SegmentationEvalSet:
    """Find the images of an evaluation and check them.

    Raises:
        UserError: A folder or file is missing or broken, a label image is of the wrong kind, or all hold only
            the first class and 255.
    """
    records = tuple(find_label_format(test.format).read(test.images, test.annotations))
    check_labeled_images(records, test.annotations)
    refuse_white_masks(records, class_set, test.annotations)
    return SegmentationEvalSet(test, records, class_set)


def confusion_of(
    segmenter: Segmenter, records: Sequence[LabeledImage], progress: Progress = SILENT, out_dir: Path | None = None
) -> Confusion:
    """Segment images and compare them with their label images, which have the segmenter's classes.

    Predictions are written as label images to ``out_dir``, see ``write_prediction``. Progress counts images.

    Returns:
        The confusion matrix of all images; all zero where no pixel has a class.

    Raises:
        UserError: A file is broken, two do not fit together, or a prediction cannot be written.
    """
    class_set = segmenter.class_set
    progress.start(len(records))
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
        progress.advance(1)
    return total


def write_prediction(folder: Path, image_file: Path, classes: Image, class_set: ClassSet) -> Path:
    """Write classes as a label image with the name of the photo: a PNG of 8-bit label ids, as in Cityscapes.

    Raises:
        UserError: It cannot be written.
    """
    import cv2

    path = make_folder(folder) / f"{image_file.stem}.png"
    write_bytes(path, cv2.imencode(".png", class_set.label_ids_of(classes))[1].tobytes())
    return path


def take_classes(segmenter: Segmenter, config: RunConfig, weights: Path) -> None:
    """Check that a segmenter has the network and classes of a configuration, and give it their names and label ids.

    Raises:
        UserError: The weights belong to another network or to other classes.
    """
    info, wanted = segmenter.runtime.info, config.class_set
    if info.variant not in (None, config.variant):
        raise UserError(f"{weights}: weights of {info.variant} (expected {config.variant}, as in {config.name})")
    own = segmenter.class_set
    named = own != unnamed_classes(len(own))  # a checkpoint has no names of classes
    if len(wanted) != len(own) or (named and wanted.class_names != own.class_names):
        raise UserError(
            f"{weights}: has {len(own)} classes, {', '.join(own.class_names[:3])} ... (expected the "
            f"{len(wanted)} of {wanted.name}, {', '.join(wanted.class_names[:3])} ...)"
        )
    segmenter.class_set = wanted
