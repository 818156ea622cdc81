"""Boxes against the reference vectors, and what is refused at the edge."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litehrnet.errors import UserError
from litehrnet.keypoints.boxes import PADDING, PIXEL_STD, centers_and_scales, check_boxes, clean_box


@pytest.mark.parametrize("size_wh", [(192, 256), (288, 384), (256, 256)])
def test_centers_and_scales_are_the_published_ones_to_the_last_bit(shared: Path, size_wh: tuple[int, int]) -> None:
    geometry = np.load(shared / "reference" / "geometry.npz")
    centers, scales = centers_and_scales(geometry["box_xywh"], size_wh)
    name = f"{size_wh[0]}x{size_wh[1]}"
    assert centers.dtype == scales.dtype == np.float32
    np.testing.assert_array_equal(centers, geometry[f"box_center_{name}"])
    np.testing.assert_array_equal(scales, geometry[f"box_scale_{name}"])


def test_the_short_side_grows_to_the_aspect_of_the_input() -> None:
    wide_and_high = np.array([[0.0, 0.0, 300.0, 100.0], [0.0, 0.0, 30.0, 400.0]])
    _, scales = centers_and_scales(wide_and_high, (192, 256))
    np.testing.assert_allclose(scales * PIXEL_STD / PADDING, [[300, 400], [300, 400]], rtol=1e-6)


def test_padding_multiplies_the_grown_box() -> None:
    _, tight = centers_and_scales(np.array([[0.0, 0.0, 30.0, 40.0]]), (192, 256), padding=1.0)
    np.testing.assert_allclose(tight, [[0.15, 0.2]], rtol=1e-6)


def test_no_boxes_give_no_centers() -> None:
    centers, scales = centers_and_scales(np.zeros((0, 4), np.float32), (192, 256))
    assert centers.shape == scales.shape == (0, 2)


def test_a_clean_box_is_one_pixel_smaller_and_moved_in_from_the_left() -> None:
    assert clean_box((10, 20, 30, 40), (100, 100)) == (10, 20, 29, 39)
    assert clean_box((-10, 20, 30, 40), (100, 100)) == (0, 20, 29, 39)
    assert clean_box((80, 20, 30, 90), (100, 100)) == (80, 20, 19, 79)


@pytest.mark.parametrize("box", [(10, 10, 1, 40), (10, 10, 30, 0), (99, 10, 30, 40), (200, 10, 30, 40)])
def test_a_box_without_area_in_the_image_is_cleaned_away(box: tuple[float, float, float, float]) -> None:
    assert clean_box(box, (100, 100)) is None


def test_clean_boxes_are_those_of_the_reference_records(shared: Path) -> None:
    records: dict[str, Any] = json.loads((shared / "reference" / "evaluation.json").read_text())["coco_records"]
    ground_truth = json.loads(records["gt_json"]) if isinstance(records["gt_json"], str) else records["gt_json"]
    size_wh = (ground_truth["images"][0]["width"], ground_truth["images"][0]["height"])
    boxes = [
        tuple(annotation["bbox"])
        for annotation in ground_truth["annotations"]
        if annotation.get("bbox") and not annotation.get("iscrowd", 0) and annotation.get("area", 1) > 0
        if max(annotation.get("keypoints", [0])) > 0 and annotation.get("num_keypoints", 1) > 0
    ]
    cleaned = [clean for box in boxes if (clean := clean_box(box, size_wh)) is not None]
    expected = [record["bbox"] for record in records["gt_records_test_mode"]]
    assert len(expected) == 8
    np.testing.assert_allclose(cleaned, expected, atol=1e-5)


def test_good_boxes_pass_as_float32() -> None:
    checked = check_boxes([[-5, 10, 20.5, 30], (0, 0, 640, 480)], (640, 480), "photo.jpg")
    assert checked.dtype == np.float32
    np.testing.assert_array_equal(checked, [[-5, 10, 20.5, 30], [0, 0, 640, 480]])


def test_an_empty_list_is_a_photo_without_persons() -> None:
    assert check_boxes([], (640, 480), "photo.jpg").shape == (0, 4)
    assert check_boxes(np.zeros((0, 4)), (640, 480), "photo.jpg").shape == (0, 4)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([1, 2, 3, 4], r"photo\.jpg: boxes have the shape \(4,\) \(expected one \(x, y, width, height\)"),
        ([[1, 2, 3]], r"photo\.jpg: boxes have the shape \(1, 3\) \("),
        ([[]], r"photo\.jpg: boxes have the shape \(1, 0\) \("),
        (7, r"photo\.jpg: boxes have the shape \(\) \("),
        ([["a", 2, 3, 4]], r"photo\.jpg: boxes are not a table of numbers \(expected one"),
        ([[1, 2, 3, 4], [1, 2]], r"photo\.jpg: boxes are not a table of numbers \(expected one"),
        ([[10**400, 2, 3, 4]], r"photo\.jpg: boxes are not a table of numbers \(expected one"),
        (None, r"photo\.jpg: boxes have the shape \(\) \("),
        ([[1, 2, 3, 4], [1, 2, float("nan"), 4]], r"photo\.jpg: box 1 .* = 1, 2, nan, 4 \(expected finite numbers\)"),
        ([[float("inf"), 2, 3, 4]], r"photo\.jpg: box 0 .* = inf, 2, 3, 4 \(expected finite numbers\)"),
        ([[1, 2, 1e300, 4]], r"photo\.jpg: box 0 .* = 1, 2, 1e\+300, 4 \(expected finite numbers\)"),
        ([[1, 2, 3, -4]], r"photo\.jpg: box 0 .* = 1, 2, 3, -4 \(expected a width and height above 0\)"),
        ([[1, 2, 0, 4]], r"photo\.jpg: box 0 .* = 1, 2, 0, 4 \(expected a width and height above 0\)"),
        ([[1, 2, 1e-44, 1]], r"photo\.jpg: box 0 .* \(expected a width and height above 0\)"),
        ([[640, 2, 3, 4]], r"photo\.jpg: box 0 .* \(expected to overlap the image of 640x480 pixels\)"),
        ([[1, -9, 3, 9]], r"photo\.jpg: box 0 .* \(expected to overlap the image of 640x480 pixels\)"),
    ],
)
def test_a_wrong_box_is_refused_by_name_index_and_values(boxes: Any, message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}"):
        check_boxes(boxes, (640, 480), "photo.jpg")
