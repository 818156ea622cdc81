"""Photos and boxes from annotation files, and the samples that are made of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from litehrnet.data.coco import read_annotations
from litehrnet.data.detection import (
    DetectionRecord,
    DetectionSet,
    as_corners,
    completed,
    detection_records,
    read_detection_set,
)
from litehrnet.data.detection_samples import Placement, draw_matrix, make_detection_batch, moved_boxes
from litehrnet.data.photos import PhotoCache
from litehrnet.data.settings import DataConfig, DetectionConfig
from litehrnet.errors import UserError
from litehrnet.io.images import write_image

WriteAnnotations = Callable[..., DataConfig]


@pytest.fixture
def write(tmp_path: Path) -> WriteAnnotations:
    def annotations(
        boxes: list[Any], image: dict[str, Any] | None = None, categories: Any = None, **more: Any
    ) -> DataConfig:
        write_image(tmp_path / "a.png", np.full((60, 100, 3), 90, np.uint8))
        content = {
            "images": [{"id": 0, "file_name": "a.png", "width": 100, "height": 60, **(image or {})}],
            "annotations": [
                {"id": i, "image_id": 0, "category_id": 1, "bbox": box, **more} for i, box in enumerate(boxes)
            ],
            "categories": categories or [{"id": 1, "name": "person"}],
        }
        (tmp_path / "a.json").write_text(json.dumps(content))
        return DataConfig("coco", str(tmp_path / "a.json"), str(tmp_path))

    return annotations


def _records(config: DataConfig, objects: str = "person") -> list[DetectionRecord]:
    return detection_records(read_annotations(Path(config.annotations)), Path(config.images), objects)


def test_boxes_are_cut_to_the_photo_and_crowds_are_ignored(write: WriteAnnotations) -> None:
    (record,) = _records(write([[-10, 5, 30, 20], [90, 40, 40, 40], [200, 0, 5, 5]]))
    assert record.corners.tolist() == [[0, 5, 20, 25], [90, 40, 100, 60]]
    assert record.complete
    (record,) = _records(write([[10, 5, 30, 20]], iscrowd=1))
    assert record.corners.shape == (0, 4)
    assert record.ignored.tolist() == [[10, 5, 40, 25]]


def test_the_category_is_found_by_name_and_an_only_category_has_any_name(write: WriteAnnotations) -> None:
    two = [{"id": 7, "name": "dog"}, {"id": 1, "name": "person"}]
    (record,) = _records(write([[1, 1, 9, 9]], categories=two))
    assert len(record.corners) == 1
    (record,) = _records(write([[1, 1, 9, 9]], categories=two), "dog")
    assert len(record.corners) == 0
    (record,) = _records(write([[1, 1, 9, 9]], categories=[{"id": 1, "name": "hand"}]))
    assert len(record.corners) == 1
    with pytest.raises(UserError, match=r"has no category cat .expected one of dog, person"):
        _records(write([[1, 1, 9, 9]], categories=two), "cat")


@pytest.mark.parametrize("box", [[1, 2, 3], [1, 2, 3, 4, 5], ["x", 2, 3, 4], 5])
def test_a_box_that_is_not_four_numbers_is_refused(write: WriteAnnotations, box: Any) -> None:
    with pytest.raises(UserError, match=r"annotation 0 .*: bbox is .* .expected "):
        _records(write([box]))


def test_a_set_without_a_box_is_refused(write: WriteAnnotations) -> None:
    with pytest.raises(UserError, match="no box of a person to train on"):
        read_detection_set([write([])], DetectionConfig(), (64, 64), 0)


def test_photos_with_missing_boxes_are_known_by_the_photo_or_by_the_set(write: WriteAnnotations) -> None:
    config = write([[10, 10, 20, 20]], image={"boxes_complete": False})
    assert not read_detection_set([config], DetectionConfig(), (64, 64), 0).records[0].complete
    whole = replace(config, boxes_complete=True)
    assert read_detection_set([whole], DetectionConfig(), (64, 64), 0).records[0].complete


def test_a_detector_fills_in_what_it_is_sure_of_and_ignores_the_rest(write: WriteAnnotations, tmp_path: Path) -> None:
    config = write([[10, 10, 20, 20]], image={"boxes_complete": False})
    detection_set = read_detection_set([config], DetectionConfig(), (64, 64), 0)
    looked_at = []

    def find(image_file: Path) -> tuple[np.ndarray, np.ndarray]:
        looked_at.append(image_file)
        corners = as_corners([[11, 10, 30, 31], [50, 5, 70, 40], [80, 5, 95, 30], [0, 0, 5, 5]])
        return corners, np.array([0.9, 0.6, 0.3, 0.1], np.float32)

    for _ in range(2):  # the second time from the cache
        (record,) = completed(detection_set, find, "a detector", tmp_path / "cache").records
        assert record.corners.tolist() == [[10, 10, 30, 30], [50, 5, 70, 40]]
        assert record.ignored.tolist() == [[80, 5, 95, 30]]
        assert record.complete
    assert len(looked_at) == 1
    completed(detection_set, find, "another detector", tmp_path / "cache")
    assert len(looked_at) == 2


def test_a_photo_of_a_set_that_is_listed_twice_is_looked_at_once(write: WriteAnnotations) -> None:
    config = write([[10, 10, 20, 20]], image={"boxes_complete": False})
    detection_set = read_detection_set([config, config], DetectionConfig(), (64, 64), 0)
    looked_at = []

    def find(image_file: Path) -> tuple[np.ndarray, np.ndarray]:
        looked_at.append(image_file)
        return as_corners([[50, 5, 70, 40]]), np.array([0.6], np.float32)

    records = completed(detection_set, find, "a detector", None).records
    assert [record.corners.tolist() for record in records] == 2 * [[[10, 10, 30, 30], [50, 5, 70, 40]]]
    assert len(looked_at) == 1


@given(st.integers(0, 1000), st.integers(20, 200), st.integers(20, 200))
def test_boxes_move_with_the_pixels_of_their_photo(seed: int, width: int, height: int) -> None:
    window = (8, 0, 56, 64)
    matrix = draw_matrix(np.random.default_rng(seed), DetectionConfig(), (width, height), window)
    record = DetectionRecord(Path("a"), 0, as_corners([[3, 5, 13, 17]]), as_corners([]), True)
    learned, ignored = moved_boxes(record, Placement(0, matrix, window))
    # Centers of the box's corner pixels, which the matrix moves; the box's edges are half a moved pixel further out.
    pixels = np.array([[3, 5, 1], [12, 16, 1]]) @ matrix.T
    half = np.abs(matrix[[0, 1], [0, 1]]) / 2
    expected: np.ndarray = np.concatenate([pixels.min(axis=0) - half + 0.5, pixels.max(axis=0) + half + 0.5])
    expected = expected.clip([8, 0, 8, 0], [64, 64, 64, 64])
    found = np.concatenate([learned, ignored])
    if len(found):
        np.testing.assert_allclose(found[0], expected, atol=1e-3)


@given(st.integers(20, 200), st.integers(20, 200))
def test_a_photo_fits_at_scale_one_and_in_a_mosaic_has_the_area_of_its_part(width: int, height: int) -> None:
    settings, window = DetectionConfig(scale=(1.0, 1.0), aspect=0.0), (8, 0, 56, 64)
    moved = [
        np.abs(
            draw_matrix(np.random.default_rng(0), settings, (width, height), window, in_mosaic=mosaic)[[0, 1], [0, 1]]
        )
        * (width, height)
        for mosaic in (False, True)
    ]
    assert (moved[0] <= np.array([56, 64]) + 1e-9).all()
    assert np.isclose(moved[0], [56, 64]).any()
    assert moved[1].prod() == pytest.approx(56 * 64)


def _drawn_set(tmp_path: Path, settings: DetectionConfig, complete: bool = True) -> DetectionSet:
    """Four gray photos with a red box each."""
    records = []
    for number in range(4):
        image = np.full((80, 120, 3), 120, np.uint8)
        x, y = 10 + 15 * number, 8 + 5 * number
        image[y : y + 30, x : x + 40] = (255, 0, 0)
        file = tmp_path / f"{number}.png"
        write_image(file, image)
        records.append(DetectionRecord(file, number, as_corners([[x, y, x + 40, y + 30]]), as_corners([]), complete))
    return DetectionSet(tuple(records), (96, 64), settings, 3)


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_targets_lie_where_the_object_is_seen(tmp_path: Path, mosaic: float) -> None:
    settings = DetectionConfig(mosaic_probability=mosaic, brightness=0, contrast=0, saturation=0)
    batch = make_detection_batch(_drawn_set(tmp_path, settings), 0, range(4), PhotoCache())
    seen = 0
    for image, targets in zip(batch.images, batch.targets, strict=True):
        red = (image[..., 0] > 200) & (image[..., 1] < 60)
        for row, column in zip(*np.nonzero(targets[0] == 1), strict=True):
            left, top, right, bottom = targets[1:5, row, column]
            x, y = 4 * (column + 0.5), 4 * (row + 0.5)
            inner = np.s_[round(y - top) + 2 : round(y + bottom) - 2, round(x - left) + 2 : round(x + right) - 2]
            assert red[inner].all()
            if not mosaic:  # where another photo may be beside it
                outside = red.copy()
                rows = slice(max(0, round(y - top) - 2), round(y + bottom) + 2)
                outside[rows, max(0, round(x - left) - 2) : round(x + right) + 2] = False
                assert not outside.any()
            seen += 1
    assert seen >= 4


def test_samples_are_a_function_of_seed_epoch_and_index(tmp_path: Path) -> None:
    detection_set = _drawn_set(tmp_path, DetectionConfig(mosaic_probability=0.5))
    first = make_detection_batch(detection_set, 1, [2, 0], PhotoCache())
    again = make_detection_batch(detection_set, 1, [0, 2], PhotoCache())
    assert (first.images == again.images[::-1]).all()
    assert (first.targets == again.targets[::-1]).all()
    assert (first.images != make_detection_batch(detection_set, 2, [2, 0], PhotoCache()).images).any()


def test_where_boxes_may_be_missing_only_the_labeled_ones_count(tmp_path: Path) -> None:
    settings = DetectionConfig(scale=(1.0, 1.0), aspect=0.0)
    batch = make_detection_batch(_drawn_set(tmp_path, settings, complete=False), 0, range(4), PhotoCache())
    for targets in batch.targets:
        known = targets[6] == 1
        assert 0 < known.sum() < known.size / 3
        assert known[targets[0] == 1].all()
