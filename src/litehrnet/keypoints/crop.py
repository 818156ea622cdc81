"""Image to network input and back: affine matrices, warping, normalization.

Source: docs/spec/protocol.md, sections 2.4, 2.5 and 2.7. A matrix is (2, 3) and maps a
column (x, y, 1) of image pixels to crop pixels; pixel centers are at integers.
"""

import numpy as np

from litehrnet.arrays import Floats, Floats32, Floats64, Image
from litehrnet.keypoints.boxes import PIXEL_STD

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MEAN_COLOR = tuple(round(255 * value) for value in IMAGENET_MEAN)
"""Red, green and blue, 0..255, that the network sees as zero."""

# OpenCV before version 5 refuses to warp images with a side of this many pixels or more.
OPENCV_SIDE_LIMIT = 32767


def crop_matrices(
    centers: Floats, scales: Floats, input_size_wh: tuple[int, int], rotations_deg: Floats | None = None
) -> Floats64:
    """Compute the matrices image_xy -> crop_xy: rotation, scale by the width only, centering.

    Three points define a matrix: the center, the point half a box width above it, and the latter turned by a right
    angle. The crop's rotation is included. The points are rounded to float32 as in the reference implementation,
    which moves the crop by up to 1e-3 pixels from the exact one. A positive rotation is counter-clockwise.

    Args:
        centers: (people, 2) in image pixels.
        scales: (people, 2) in units of 200 image pixels; only the first column is used.
        input_size_wh: (width, height) of the crop.
        rotations_deg: (people,) degrees; None means 0.

    Returns:
        float64 (people, 2, 3).
    """
    width, height = input_size_wh
    turns = np.radians(_rotations(rotations_deg, len(centers)))
    half_widths = (np.asarray(scales, dtype=np.float32)[:, 0] * np.float32(PIXEL_STD)).astype(np.float64) / 2
    up = np.stack([np.sin(turns), -np.cos(turns)], axis=1) * half_widths[:, None]
    source = _three_points(np.asarray(centers, dtype=np.float64), up)
    target = _three_points(np.array([[width / 2, height / 2]]), np.array([[0.0, -width / 2]]))
    edges = source[:, 1:] - source[:, :1]
    # If a box is far smaller than the spacing of float32 at its position, its three rounded points are on a line.
    collapsed = _determinants(edges) == 0
    edges[collapsed] = np.stack([up, up - _right_angle(up)], axis=1)[collapsed]
    linear = _multiply(_inverse_2x2(edges), target[:, 1:] - target[:, :1]).transpose(0, 2, 1)
    shift = target[:, 0] - _multiply(linear, source[:, 0, :, None])[..., 0]
    return np.concatenate([linear, shift[..., None]], axis=2)


def inverse_matrices(matrices: Floats64) -> Floats64:
    """Invert affine matrices, such as image_xy -> crop_xy to crop_xy -> image_xy.

    The reference implementation swaps the three points and solves again. That is the same map; the results
    agree within 1e-10. Arguments and results are (people, 2, 3).
    """
    linear = _inverse_2x2(matrices[:, :, :2])
    return np.concatenate([linear, -_multiply(linear, matrices[:, :, 2:])], axis=2)


def udp_crop_matrices(
    centers: Floats, scales: Floats, input_size_wh: tuple[int, int], rotations_deg: Floats | None = None
) -> Floats64:
    """Compute the matrices image_xy -> crop_xy of unbiased data processing (UDP), measured between pixel centers.

    Arguments and result are those of ``crop_matrices``, but both columns of the scales are used. A positive rotation
    is clockwise, the opposite of ``crop_matrices``, as in the reference implementation.
    """
    turns = np.radians(_rotations(rotations_deg, len(centers)))
    sizes = np.asarray(scales, dtype=np.float64) * PIXEL_STD
    cos, sin = np.cos(turns), np.sin(turns)
    rotation = np.stack([cos, -sin, sin, cos], axis=1).reshape(-1, 2, 2)
    ratios = ((np.array(input_size_wh) - 1) / sizes)[..., None]
    turned_centers = _multiply(rotation, np.asarray(centers, dtype=np.float64)[..., None])
    return np.concatenate([ratios * rotation, ratios * (sizes[..., None] / 2 - turned_centers)], axis=2)


def transform_points(points_xy: Floats, matrices: Floats64) -> Floats64:
    """Transform points (..., points, 2) by matrices (..., 2, 3), one matrix for each group of points."""
    x, y = points_xy[..., 0, None], points_xy[..., 1, None]
    a, b, shift = (matrices[..., None, :, column] for column in range(3))
    return np.asarray(a * x + b * y + shift, dtype=np.float64)


def warp(image_rgb: Image, matrix: Floats64, input_size_wh: tuple[int, int]) -> Image:
    """Cut one crop from an image: bilinear, black outside the image.

    OpenCV before version 5 weights neighbors in steps of 1/32 pixel, version 5 exactly. On fine texture the
    results differ by up to 5 gray levels. The image may have any size; the crop has
    ``input_size_wh``. Both are uint8 (height, width, 3).
    """
    import cv2

    if max(image_rgb.shape[:2]) >= OPENCV_SIDE_LIMIT:
        return _warp_any_size(image_rgb, matrix, input_size_wh)
    crop = cv2.warpAffine(image_rgb, matrix, input_size_wh, flags=cv2.INTER_LINEAR)
    return np.asarray(crop, dtype=np.uint8)


def warp_on_mean(image_rgb: Image, matrix: Floats64, size_wh: tuple[int, int]) -> Image:
    """Cut one crop as ``warp`` does, with ImageNet's mean color outside the image: normalization maps it to zero."""
    import cv2

    crop = cv2.warpAffine(image_rgb, matrix, size_wh, flags=cv2.INTER_LINEAR, borderValue=MEAN_COLOR)
    return np.asarray(crop, np.uint8)


def normalize(
    crops: Image, mean: tuple[float, float, float] = IMAGENET_MEAN, std: tuple[float, float, float] = IMAGENET_STD
) -> Floats32:
    """Normalize crops for the network: scale to 0..1, subtract ``mean``, divide by ``std``, channels first.

    Args:
        crops: uint8 (people, height, width, 3), RGB.
        mean: Mean of each RGB channel, 0..1.
        std: Standard deviation of each RGB channel, above 0.

    Returns:
        float32 (people, 3, height, width), contiguous; within 1e-6 of the reference implementation.
    """
    persons, height, width, channels = crops.shape
    factor = (1 / (255 * np.array(std))).astype(np.float32)[:, None, None]
    offset = (-np.array(mean) / np.array(std)).astype(np.float32)[:, None, None]
    normalized = np.empty((persons, channels, height, width), dtype=np.float32)
    np.multiply(crops.transpose(0, 3, 1, 2), factor, out=normalized)
    normalized += offset
    return normalized


def _rotations(rotations_deg: Floats | None, persons: int) -> Floats64:
    return np.zeros(persons) if rotations_deg is None else np.asarray(rotations_deg, dtype=np.float64)


def _right_angle(vectors: Floats64) -> Floats64:
    return np.stack([-vectors[:, 1], vectors[:, 0]], axis=1)


def _three_points(origins: Floats64, up: Floats64) -> Floats64:
    # (n, 2) and (n, 2) -> (n, 3, 2); every point is rounded to float32 before the next one is computed from it.
    first = origins.astype(np.float32).astype(np.float64)
    second = (first + up).astype(np.float32).astype(np.float64)
    edge = (first - second).astype(np.float32).astype(np.float64)
    third = (second + _right_angle(edge)).astype(np.float32).astype(np.float64)
    return np.stack([first, second, third], axis=1)


def _multiply(left: Floats64, right: Floats64) -> Floats64:
    # (n, i, j) and (n, j, k) -> (n, i, k) without BLAS, so that a person's result is the same in any batch.
    return np.asarray((left[..., None] * right[:, None]).sum(axis=2))


def _determinants(matrices: Floats64) -> Floats64:
    return np.asarray(matrices[:, 0, 0] * matrices[:, 1, 1] - matrices[:, 0, 1] * matrices[:, 1, 0])


def _inverse_2x2(matrices: Floats64) -> Floats64:
    a, b, c, d = matrices.reshape(-1, 4).T
    return np.stack([d, -b, -c, a], axis=1).reshape(-1, 2, 2) / _determinants(matrices)[:, None, None]


def _warp_any_size(image_rgb: Image, matrix: Floats64, input_size_wh: tuple[int, int]) -> Image:
    width, height = input_size_wh
    crop_xy = np.indices((height, width))[::-1].reshape(2, -1).T.astype(np.float64)
    image_xy = transform_points(crop_xy, inverse_matrices(matrix[None])[0])
    corner = np.floor(image_xy)
    total = np.zeros((len(crop_xy), 3))
    for step in ((0, 0), (1, 0), (0, 1), (1, 1)):
        neighbor = corner + step
        inside = np.all((neighbor >= 0) & (neighbor < image_rgb.shape[1::-1]), axis=1)
        x, y = np.where(inside[:, None], neighbor, 0).astype(np.intp).T
        weight = np.where(inside, (1 - np.abs(image_xy - neighbor)).prod(axis=1), 0)
        total += weight[:, None] * image_rgb[y, x]
    return np.rint(total).astype(np.uint8).reshape(height, width, 3)
