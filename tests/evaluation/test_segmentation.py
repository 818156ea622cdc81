from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from litehrnet.data.settings import EvalConfig
from litehrnet.errors import UserError
from litehrnet.evaluation.segmentation import (
    SegmentationEvalSet,
    confusion_of,
    read_segmentation_eval_set,
    write_prediction,
)
from litehrnet.inference.segmenter import Segmenter
from litehrnet.io.images import write_image
from litehrnet.segmentation.classes import CITYSCAPES, unnamed_classes
from litehrnet.training.distributed import Processes, own_share
from litehrnet.weights.weights_file import WeightsInfo

THREE = unnamed_classes(3)


class ByColor:
    """A runtime that takes the strongest of red, green and blue for the class, and counts the images by their sum."""

    description, input_size_wh, info = "colors", (32, 32), WeightsInfo(None, THREE, (32, 32))

    def __init__(self) -> None:
        self.seen: Counter[int] = Counter()

    def resized(self, input_size_wh: tuple[int, int]) -> "ByColor":
        assert input_size_wh == self.input_size_wh
        return self

    def forward(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.seen[int(crops.astype(int).sum())] += 1
        return np.asarray(crops.transpose(0, 3, 1, 2), np.float32)


@pytest.fixture
def images(tmp_path: Path) -> SegmentationEvalSet:
    """Five images of 32x32, no two alike, of which about a third of the pixels is called something else."""
    rng = np.random.default_rng(0)
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for number in range(5):
        classes = rng.integers(0, 3, (32, 32))
        write_image(tmp_path / f"images/{number}.png", np.asarray(np.eye(3)[classes] * 200, np.uint8))
        labels = np.where(rng.random((32, 32)) < 0.5, classes, rng.integers(0, 3, (32, 32))).astype(np.uint8)
        labels[:number] = 255
        cv2.imwrite(str(tmp_path / f"labels/{number}.png"), labels)
    test = EvalConfig("folder", str(tmp_path / "labels"), str(tmp_path / "images"), flip=False)
    return read_segmentation_eval_set(test, THREE)


@pytest.mark.parametrize("world_size", [2, 3, 7])
def test_processes_together_count_each_image_once(images: SegmentationEvalSet, world_size: int) -> None:
    runtime = ByColor()
    whole = confusion_of(Segmenter(runtime), images.records)
    assert whole.sum() == 5 * 32 * 32 - 32 * (0 + 1 + 2 + 3 + 4)
    together = np.zeros_like(whole)
    for rank in range(world_size):
        share = own_share(images.records, Processes(rank=rank, world_size=world_size))
        together += confusion_of(Segmenter(runtime), share)
    np.testing.assert_array_equal(together, whole)
    assert sum(runtime.seen.values()) == 2 * 5


def test_a_label_image_of_another_size_is_named(images: SegmentationEvalSet) -> None:
    # The header was looked at before; the file may have changed since.
    cv2.imwrite(str(images.records[1].label_file), np.zeros((16, 16), np.uint8))
    with pytest.raises(UserError, match=r"1\.png: is 16x16 \(expected 32x32, the size of 1\.png\)"):
        confusion_of(Segmenter(ByColor()), images.records)


def test_predictions_for_the_server_are_gray_pngs_of_label_ids(tmp_path: Path) -> None:
    classes = np.arange(19, dtype=np.uint8).reshape(1, 19)
    image_file = Path("berlin_000000_000019_leftImg8bit.png")
    path = write_prediction(tmp_path / "out", image_file, classes, CITYSCAPES)
    assert path.name == "berlin_000000_000019_leftImg8bit.png"
    written = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert written is not None
    assert written.dtype == np.uint8
    assert written.tolist() == [list(CITYSCAPES.label_ids)]
