"""Contact sheets of training samples: the input of the network, and its targets."""

import numpy as np

from litehrnet.arrays import Floats32, Image
from litehrnet.data.detection import DetectionSet
from litehrnet.data.detection_samples import make_detection_batch
from litehrnet.data.photos import PhotoCache
from litehrnet.data.samples import Batch
from litehrnet.data.trainingset import TrainingSet
from litehrnet.detection.maps import STRIDE
from litehrnet.drawing.skeletons import draw_poses
from litehrnet.keypoints.codec import decode
from litehrnet.poses import Poses

COLUMNS, SAMPLES = 8, 24
_TILE_WIDTH = 192  # smaller crops are enlarged to about this width
_LABEL_HEIGHT = 16
_GLOW = np.array([255, 40, 160], np.float32)


def contact_sheet(batch: Batch, training_set: TrainingSet) -> Image:
    """Draw samples in rows: crop, targets as a glow, the skeleton through their peaks, index and file of the record.

    ``batch`` has one or more samples of ``training_set``.
    """
    magnified = max(1, round(_TILE_WIDTH / batch.images.shape[2]))
    poses = target_poses(batch, training_set)
    tiles = []
    for image, targets, pose, index in zip(batch.images, batch.targets, poses, batch.indices, strict=True):
        drawn = draw_poses(_glowing(image, targets, magnified), _times(pose, magnified))
        tiles.append(labeled(drawn, f"{index} {training_set.records[index].image_file.stem}"))
    return in_rows(tiles, COLUMNS)


def spread(records: int, count: int) -> list[int]:
    """Choose ``count`` indices of records, or all, at even distances."""
    return [int(index) for index in np.unique(np.linspace(0, records - 1, count).astype(int))]


def detection_sheet(detection_set: DetectionSet) -> Image:
    """Draw training samples of a detector in rows: boxes in green, centers as a glow, unlabeled areas dark."""
    import cv2

    indices = spread(len(detection_set), SAMPLES)
    batch = make_detection_batch(detection_set, 0, indices, PhotoCache())
    tiles = []
    for image, targets, index in zip(batch.images, batch.targets, indices, strict=True):
        known = cv2.resize(targets[6], image.shape[1::-1], interpolation=cv2.INTER_NEAREST)[..., None]
        drawn = _glowing((image * (0.4 + 0.6 * known)).astype(np.uint8), targets[:1], 1)
        for row, column in zip(*np.nonzero(targets[0] == 1), strict=True):
            left, top, right, bottom = targets[1:5, row, column].tolist()
            x, y = STRIDE * (column + 0.5), STRIDE * (row + 0.5)
            first, last = (round(x - left), round(y - top)), (round(x + right) - 1, round(y + bottom) - 1)
            cv2.rectangle(drawn, first, last, (80, 255, 80), 1)
        tiles.append(labeled(drawn, f"{index} {detection_set.records[index].image_file.stem}"))
    return in_rows(tiles, COLUMNS)


def in_rows(tiles: list[Image], columns: int) -> Image:
    """Join tiles of equal size to a picture with ``columns`` tiles per row; the rest of the last row is black."""
    columns = min(columns, len(tiles))
    filled = tiles + [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.concatenate(filled[start : start + columns], axis=1) for start in range(0, len(filled), columns)]
    return np.concatenate(rows)


def target_poses(batch: Batch, training_set: TrainingSet) -> list[Poses]:
    """Return the peaks of the targets as one pose per sample, in crop pixels; joints without a target are NaN."""
    heatmap_xy, scores = decode(batch.targets, training_set.codec)
    between_centers = 1 if training_set.codec.kind == "udp" else 0
    size = np.array(training_set.input_size_wh, np.float32)
    stride = (size - between_centers) / (np.array(batch.targets.shape[:1:-1]) - between_centers)
    crop_xy = (heatmap_xy * stride).astype(np.float32)
    crop_xy[(batch.weights == 0) | (scores <= 0)] = np.nan
    box = np.array([[0, 0, *size]], np.float32)
    certain = np.ones((1, len(training_set.keypoint_set)), np.float32)
    return [Poses(xy[None], certain, box, certain[:, 0], training_set.keypoint_set) for xy in crop_xy]


def _times(pose: Poses, factor: int) -> Poses:
    # Pixel centers are at whole numbers, so scaling moves them by half a pixel more.
    keypoints = (pose.keypoints + 0.5) * factor - 0.5
    return Poses(keypoints, pose.scores, pose.boxes * factor, pose.box_scores, pose.keypoint_set)


def _glowing(image: Image, targets: Floats32, magnified: int) -> Image:
    import cv2

    height, width = (magnified * side for side in image.shape[:2])
    large = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    glow = cv2.resize(targets.max(axis=0), (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    share = 0.6 * glow
    return np.asarray(large * (1 - share) + share * _GLOW).astype(np.uint8)


def labeled(tile: Image, text: str) -> Image:
    """Add a line of text below a tile."""
    import cv2

    strip = np.full((_LABEL_HEIGHT, tile.shape[1], 3), 30, np.uint8)
    cv2.putText(strip, text, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    framed = np.concatenate([tile, strip])
    framed[:, -1] = 30
    return framed
