"""Matrices, warping and normalization against the reference vectors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from litehrnet.keypoints import crop

Arrays = Mapping[str, NDArray[Any]]
CASES = range(32)
# Versions before 5 weigh neighbors in steps of 1/32 pixel.
WARP_IS_EXACT = int(cv2.__version__.split(".")[0]) >= 5


@pytest.fixture(scope="module")
def geometry(shared: Path) -> Arrays:
    with np.load(shared / "reference" / "geometry.npz") as arrays:
        return dict(arrays)


def case(geometry: Arrays, index: int) -> tuple[NDArray[Any], NDArray[Any], tuple[int, int], NDArray[Any]]:
    rows = slice(index, index + 1)
    width, height = geometry["aff_out_size_wh"][index]
    centers, scales = geometry["aff_center"][rows], geometry["aff_scale"][rows]
    return centers, scales, (int(width), int(height)), geometry["aff_rot_deg"][rows]


def test_crop_matrices_are_the_published_ones(geometry: Arrays) -> None:
    # The reference allows 2e-3; with its rounding of the three points the matrices agree to 1e-9.
    matrices = np.concatenate([crop.crop_matrices(*case(geometry, index)) for index in CASES])
    np.testing.assert_allclose(matrices, geometry["aff_forward"], rtol=0, atol=1e-9)


def test_inverse_matrices_are_the_published_ones(geometry: Arrays) -> None:
    inverses = crop.inverse_matrices(geometry["aff_forward"])
    np.testing.assert_allclose(inverses, geometry["aff_inverse"], rtol=0, atol=1e-9)


def test_points_go_where_the_published_matrices_take_them(geometry: Arrays) -> None:
    matrices = np.concatenate([crop.crop_matrices(*case(geometry, index)) for index in CASES])
    points = crop.transform_points(geometry["aff_points_src"], matrices)
    np.testing.assert_allclose(points, geometry["aff_points_dst"], rtol=0, atol=1e-9)


def test_udp_crop_matrices_are_the_published_ones(geometry: Arrays) -> None:
    matrices = np.concatenate([crop.udp_crop_matrices(*case(geometry, index)) for index in CASES])
    np.testing.assert_allclose(matrices, geometry["udp_forward"], rtol=0, atol=1e-3)


def test_the_height_of_the_scale_does_not_count() -> None:
    centers = np.array([[50.0, 60.0]])
    tall = crop.crop_matrices(centers, np.array([[1.0, 9.0]]), (192, 256))
    np.testing.assert_array_equal(tall, crop.crop_matrices(centers, np.array([[1.0, 1.0]]), (192, 256)))


def test_no_rotation_is_a_rotation_of_zero(geometry: Arrays) -> None:
    centers, scales, size_wh, _ = case(geometry, 3)
    for matrices in (crop.crop_matrices, crop.udp_crop_matrices):
        np.testing.assert_array_equal(
            matrices(centers, scales, size_wh), matrices(centers, scales, size_wh, np.zeros(1))
        )


def test_positive_rotation_turns_the_content_counter_clockwise_and_udps_clockwise() -> None:
    centers, scales, turn = np.array([[50.0, 50.0]]), np.array([[0.5, 0.5]]), np.array([90.0])
    right_of_center = np.array([[[60.0, 50.0]]])
    turned = crop.transform_points(right_of_center, crop.crop_matrices(centers, scales, (100, 100), turn))
    np.testing.assert_allclose(turned, [[[50, 40]]], atol=1e-4)
    udp = crop.transform_points(right_of_center, crop.udp_crop_matrices(centers, scales, (101, 101), turn))
    np.testing.assert_allclose(udp, [[[50, 60]]], atol=1e-9)


def test_a_box_too_small_for_float32_still_has_a_matrix() -> None:
    matrix = crop.crop_matrices(np.array([[5000.0, 5000.0]]), np.array([[1e-9, 1e-9]]), (192, 256))
    np.testing.assert_allclose(matrix[0, :, :2], np.eye(2) * 192 / 200e-9, rtol=1e-6)
    center = crop.transform_points(np.array([[[5000.0, 5000.0]]]), matrix)
    np.testing.assert_allclose(center, [[[96, 128]]], atol=1e-3)


def test_no_persons_have_no_matrices() -> None:
    nobody = np.zeros((0, 2))
    matrices = crop.crop_matrices(nobody, nobody, (192, 256))
    assert matrices.shape == crop.udp_crop_matrices(nobody, nobody, (192, 256)).shape == (0, 2, 3)
    assert crop.inverse_matrices(matrices).shape == (0, 2, 3)


@pytest.mark.parametrize("index", range(4))
def test_warp_makes_the_published_crops(geometry: Arrays, index: int) -> None:
    width, height = (int(side) for side in geometry["warp_out_size_wh"])
    rows = slice(index, index + 1)
    turn = geometry["warp_rot_deg"][rows]
    matrix = crop.crop_matrices(geometry["warp_center"][rows], geometry["warp_scale"][rows], (width, height), turn)
    np.testing.assert_allclose(matrix[0], geometry["warp_matrix"][index], rtol=0, atol=1e-9)
    warped = crop.warp(geometry["warp_src_rgb"], matrix[0], (width, height)).astype(int)
    assert np.abs(warped - geometry["warp_out_opencv455"][index]).max() <= 5
    assert np.abs(warped - geometry["warp_out_opencv500"][index]).max() <= (0.5 if WARP_IS_EXACT else 5)


@pytest.mark.parametrize("index", range(4))
def test_warp_of_huge_images_makes_the_published_crops(
    geometry: Arrays, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crop, "OPENCV_SIDE_LIMIT", 1)
    width, height = (int(side) for side in geometry["warp_out_size_wh"])
    warped = crop.warp(geometry["warp_src_rgb"], geometry["warp_matrix"][index], (width, height))
    assert warped.dtype == np.uint8
    # A difference of one gray level is allowed if the exact value is in the middle between two.
    assert np.abs(warped.astype(int) - geometry["warp_out_opencv500"][index]).max() <= 1


@pytest.mark.parametrize("shape_hw", [(40, 40000), (40000, 40)])
def test_warp_takes_images_that_opencv_refuses(shape_hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape_hw, 3), dtype=np.uint8)
    start = 39_000
    y0, x0 = (start, 0) if shape_hw[0] > shape_hw[1] else (0, start)
    part = np.ascontiguousarray(image[y0 : y0 + 400, x0 : x0 + 400])
    # The crop shows the short side's border and the middle of the part along the long side.
    matrix = np.array([[2.0, 0.5, -60.25], [-0.5, 2.0, -200.5]])
    if x0:
        matrix[:, 2] = -200.25, 30.5
    moved = matrix.copy()
    moved[:, 2] -= matrix[:, :2] @ (x0, y0)
    warped = crop.warp(image, moved, (48, 64)).astype(int)
    assert warped.any()
    assert np.abs(warped - crop.warp(part, matrix, (48, 64))).max() <= (1 if WARP_IS_EXACT else 10)


def test_outside_the_image_is_black() -> None:
    white = np.full((10, 10, 3), 255, np.uint8)
    warped = crop.warp(white, np.array([[1.0, 0.0, 20.0], [0.0, 1.0, 20.0]]), (48, 64))
    assert warped.shape == (64, 48, 3)
    assert warped[20:30, 20:30].min() == 255
    assert warped.sum(dtype=int) == 255 * 300


def test_normalize_is_the_published_tensor(geometry: Arrays) -> None:
    normalized = crop.normalize(geometry["warp_out_opencv455"])
    assert normalized.dtype == np.float32
    assert normalized.flags.c_contiguous
    np.testing.assert_allclose(normalized[1], geometry["warp_tensor_case1"], rtol=0, atol=1e-6)


def test_normalize_is_the_published_order_of_operations_for_every_gray_level() -> None:
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.25, 0.3)
    crops = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    published = (crops.astype(np.float32) / np.float32(255) - np.array(mean, np.float32)) / np.array(std, np.float32)
    np.testing.assert_allclose(crop.normalize(crops, mean, std), published.transpose(0, 3, 1, 2), rtol=0, atol=1e-6)
