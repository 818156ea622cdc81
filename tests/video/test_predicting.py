"""Poses from frame to frame, and their records."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from litehrnet import PoseEstimator, UserError, predict_frames
from litehrnet.detectors.detections import DetectedBoxes
from litehrnet.keypoints.skeletons import COCO
from litehrnet.poses import Poses
from litehrnet.video.predicting import FramePoses
from litehrnet.video.reading import Frame
from litehrnet.video.records import RecordFile, record

from .conftest import numbered


@dataclass(frozen=True)
class Bright:
    """A detector for one box in bright pictures, none in dark ones."""

    def detect(self, image: NDArray[np.uint8]) -> DetectedBoxes:
        count = int(image[40, 50, 0] > 100)
        return DetectedBoxes(
            np.array([[8, 4, 32, 40]] * count, np.float32).reshape(-1, 4), np.full(count, 0.9, np.float32)
        )


def frames(count: int = 12) -> Iterator[Frame]:
    for number in range(count):
        yield Frame(number, number / 25, numbered(number, (64, 48)))


def test_detected_persons_are_tracked_and_smoothed_beside_the_raw_keypoints(
    small_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("litehrnet.video.tracking._SURE", 0)  # random weights are never sure
    estimator = PoseEstimator(small_weights, threads=1, detector=Bright())
    found = list(predict_frames(estimator, frames(), smooth=True, detector_interval=0))
    assert [len(each.poses) for each in found] == [0] * 5 + [1] * 7
    assert [each.identities.tolist() for each in found if each.identities is not None][5:] == [[0], [0]] + [[1]] * 5
    for each in found:
        alone = estimator.predict(each.frame.image)
        np.testing.assert_array_equal(each.poses.keypoints, alone.keypoints)  # raw, whatever the smoother does
        assert each.smoothed is not None
    last = found[-1]
    assert last.smoothed is not None
    assert np.abs(last.smoothed.keypoints - last.poses.keypoints).max() > 0


def test_between_looks_of_the_detector_boxes_move_with_the_keypoints(small_weights: Path) -> None:
    looked: list[int] = []

    class Counted(Bright):
        def detect(self, image: NDArray[np.uint8]) -> DetectedBoxes:
            looked.append(int(image[40, 50, 0]))
            return super().detect(image)

    bright = [Frame(number, number / 25, numbered(9, (64, 48))) for number in range(11)]
    estimator = PoseEstimator(small_weights, threads=1, detector=Counted())
    found = list(predict_frames(estimator, bright, detector_interval=0.2))
    assert len(looked) == 3  # in the frames 0, 5 and 10
    for each in found:  # nothing moves, so nothing else changes
        np.testing.assert_allclose(each.poses.boxes, [[8, 4, 32, 40]], atol=0.01)
        np.testing.assert_allclose(each.poses.keypoints, found[0].poses.keypoints, atol=0.01)
    for interval, looks in ((0, 11), (None, 3)):
        looked.clear()
        list(predict_frames(estimator, bright, detector_interval=interval))
        assert len(looked) == looks


@pytest.mark.parametrize(("shift", "interval", "looks"), [(16, 0.2, 11), (33, 0.2, 3), (33, None, 11)])
def test_the_detector_looks_at_every_frame_while_boxes_overlap(
    small_weights: Path, shift: int, interval: float | None, looks: int
) -> None:
    """Two boxes that overlap by a third, and two that are apart: only by default every frame is looked at."""
    looked: list[int] = []

    class Two:
        def detect(self, image: NDArray[np.uint8]) -> DetectedBoxes:
            looked.append(int(image[40, 50, 0]))
            boxes = np.array([[0, 4, 31, 40], [shift, 4, 31, 40]], np.float32)
            return DetectedBoxes(boxes, np.full(2, 0.9, np.float32))

    bright = [Frame(number, number / 25, numbered(9, (64, 48))) for number in range(11)]
    list(predict_frames(PoseEstimator(small_weights, threads=1, detector=Two()), bright, detector_interval=interval))
    assert len(looked) == looks


def test_without_tracking_there_are_no_identities(small_weights: Path) -> None:
    estimator = PoseEstimator(small_weights, threads=1, detector=Bright())
    (first, *_) = predict_frames(estimator, frames(1))
    assert (first.identities, first.smoothed, len(first.poses)) == (None, None, 0)


@pytest.fixture
def two_persons() -> FramePoses:
    keypoints = np.arange(68, dtype=np.float32).reshape(2, 17, 2) + np.float32(0.12345)
    scores = np.full((2, 17), 0.5, np.float32)
    poses = Poses(keypoints, scores, np.array([[0, 0, 9, 9], [1, 2, 3, 4]], np.float32), np.ones(2, np.float32), COCO)
    frame = Frame(7, 1 / 3, np.zeros((4, 4, 3), np.uint8))
    return FramePoses(frame, poses, np.array([3, 0]), replace(poses, keypoints=keypoints + 1))


def test_a_record_holds_raw_and_smoothed_keypoints(two_persons: FramePoses) -> None:
    content = record(two_persons)
    assert (content["frame"], content["time"]) == (7, 0.333333)
    first, second = content["persons"]
    assert (first["id"], second["id"], second["bbox"], second["score"]) == (3, 0, [1, 2, 3, 4], 0.5)
    assert first["keypoints"][:6] == [0.123, 1.123, 0.5, 2.123, 3.123, 0.5]
    assert first["smoothed"][:4] == [1.123, 2.123, 3.123, 4.123]
    plain = record(FramePoses(two_persons.frame, two_persons.poses))["persons"][0]
    assert list(plain) == ["bbox", "score", "keypoints"]
    nobody = replace(two_persons, poses=two_persons.poses[:0], identities=np.zeros(0, int), smoothed=None)
    assert record(nobody)["persons"] == []


def test_every_record_is_in_the_file_at_once(two_persons: FramePoses, tmp_path: Path) -> None:
    with RecordFile(tmp_path / "out.jsonl") as records:
        assert not (tmp_path / "out.jsonl").exists()
        for lines in (1, 2, 3):
            records.write(two_persons)
            assert (tmp_path / "out.jsonl").read_text().count("\n") == lines


def test_records_that_cannot_be_written(two_persons: FramePoses, tmp_path: Path) -> None:
    with RecordFile(tmp_path) as records, pytest.raises(UserError, match="cannot be written"):
        records.write(two_persons)
