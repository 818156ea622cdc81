"""Straightforward training samples, one by one: a reference for the speed of the training pipeline.

OpenCV decodes the whole photo, which is mirrored as an image, warped, converted to float and normalized. A loop over
joints draws the targets (docs/spec/protocol.md, section 2). Random numbers are those of
``litehrnet.data.augmentation``, so that the samples are the same. Only benchmarks and tests use this module.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from litehrnet.data.augmentation import Person, draw_variation, vary
from litehrnet.data.trainingset import TrainingSet
from litehrnet.keypoints.crop import IMAGENET_MEAN, IMAGENET_STD
from litehrnet.keypoints.skeletons import lower_body

Array = NDArray[np.float32]


def straightforward_batch(training_set: TrainingSet, epoch: int, indices: Sequence[int]) -> tuple[Array, Array, Array]:
    """Create a batch: images float32 (n, 3, H, W), targets (n, K, h, w) and weights (n, K)."""
    samples = [straightforward_sample(training_set, epoch, index) for index in indices]
    images, targets, weights = zip(*samples, strict=True)
    return np.stack(images), np.stack(targets), np.stack(weights)


def straightforward_sample(training_set: TrainingSet, epoch: int, index: int) -> tuple[Array, Array, Array]:
    """Create one sample for the ``default`` codec."""
    record = training_set.records[index]
    lower = lower_body(training_set.keypoint_set)
    rng = np.random.default_rng([training_set.seed, epoch, index])
    bgr = cv2.imread(str(record.image_file), cv2.IMREAD_COLOR)
    assert bgr is not None
    image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    variation = draw_variation(rng, int(record.visible.sum()), training_set.augmentation, bool(lower.any()))
    if variation.flip:
        image = cv2.flip(image, 1)
    person = Person(record.center, record.scale, record.joints_xy, record.visible)
    order = training_set.keypoint_set.flip_order
    person = vary(person, variation, image.shape[1], order, lower, training_set.input_size_wh)
    matrix = affine(person, variation.rotation_deg, training_set.input_size_wh)
    crop = cv2.warpAffine(image, matrix, training_set.input_size_wh, flags=cv2.INTER_LINEAR)
    joints = person.joints_xy.copy()
    for joint in range(len(joints)):
        if person.visible[joint] > 0:
            joints[joint] = matrix @ np.array([*joints[joint], 1.0])
    target, weight = target_of(joints, person.visible, training_set.input_size_wh, training_set.codec.sigma)
    return normalized(np.asarray(crop, np.uint8)), target, weight


def affine(person: Person, rotation_deg: float, size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """Compute the matrix (2, 3) photo -> crop from three points."""
    turn, half = np.radians(rotation_deg), float(person.scale[0]) * 200 / 2
    source, target = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32)
    source[0] = person.center
    source[1] = person.center + np.array([np.sin(turn), -np.cos(turn)]) * half
    target[0] = (size_wh[0] / 2, size_wh[1] / 2)
    target[1] = target[0] + (0, -size_wh[0] / 2)
    for points in (source, target):
        edge = points[0] - points[1]
        points[2] = points[1] + (-edge[1], edge[0])
    return np.asarray(cv2.getAffineTransform(source, target), np.float64)


def normalized(crop: NDArray[np.uint8]) -> Array:
    """Normalize a crop, uint8 (H, W, 3), to the network's float32 (3, H, W)."""
    tensor = np.ascontiguousarray(crop.transpose(2, 0, 1)).astype(np.float32) / 255
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return np.asarray((tensor - mean) / std, np.float32)


def target_of(joints: Array, visible: Array, size_wh: tuple[int, int], sigma: float) -> tuple[Array, Array]:
    """Draw heatmaps (K, h, w) and weights (K,), one joint after another."""
    width, height = size_wh[0] // 4, size_wh[1] // 4
    target, weight = np.zeros((len(joints), height, width), np.float32), visible.copy()
    reach = 3 * sigma
    for joint, (x, y) in enumerate(joints):
        column, row = int(x / 4 + 0.5), int(y / 4 + 0.5)
        left, top = int(column - reach), int(row - reach)
        right, bottom = int(column + reach + 1), int(row + reach + 1)
        if left >= width or top >= height or right < 0 or bottom < 0:
            weight[joint] = 0
        if weight[joint] > 0.5:
            side = np.arange(2 * reach + 1, dtype=np.float32)
            patch = np.exp(-((side - reach) ** 2 + (side[:, None] - reach) ** 2) / (2 * sigma**2))
            columns, rows = slice(max(left, 0), min(right, width)), slice(max(top, 0), min(bottom, height))
            target[joint, rows, columns] = patch[
                rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
            ]
    return target, weight
