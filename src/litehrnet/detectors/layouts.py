"""Layouts of exported person detectors: preprocessing of the input, and meaning of the outputs.

Each layout describes the files of a detector's usual exporter:

- YOLOX: ``tools/export_onnx.py``, with and without decoding in the model.
- YOLOX and RTMDet: MMDeploy.
- YOLOv8 and later: Ultralytics, raw and end to end.
- PicoDet: PaddleDetection, without suppression and end to end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Floats, Floats32

KINDS = "YOLOX, RTMDet, YOLOv8 or PicoDet"
"""Names of the detectors below, for error messages."""

PERSON = 0
"""Number of the class in all layouts (COCO's 80 classes, or people only)."""

Candidates = tuple[Floats, Floats]
"""Boxes (n, 4) as x1, y1, x2, y2 in pixels of the network's input, and scores (n,); not only of people."""


@dataclass(frozen=True)
class Layout:
    """Layout of one kind of export.

    Attributes:
        name: Name for messages.
        decode: Function from the outputs and the input's (width, height) to candidates.
        bgr: Whether the channels are blue, green, red.
        mean: Mean of each channel, 0..255, subtracted from the image.
        std: Standard deviation of each channel, 0..255; the difference is divided by it.
        fit: Placement of a photo in the input: ``stretch`` to its shape, or scaled in the ``corner`` (upper left) or
            ``center`` of a gray image.
        suppressed: Whether the network includes non-maximum suppression.
    """

    name: str
    decode: Callable[[Sequence[NDArray[Any]], tuple[int, int]], Candidates]
    bgr: bool = False
    mean: tuple[float, float, float] = (0, 0, 0)
    std: tuple[float, float, float] = (1, 1, 1)
    fit: Literal["stretch", "corner", "center"] = "corner"
    suppressed: bool = False


def recognize(
    shapes: Sequence[tuple[int, ...]], input_size_wh: tuple[int, int], *, has_scale_factor: bool, slices_image: bool
) -> Layout | None:
    """Recognize the layout of a network; None if it is unknown.

    Args:
        shapes: Shapes of the outputs for one image.
        input_size_wh: (width, height) of the image.
        has_scale_factor: Whether the image's scale is a further input, as in Paddle's exports.
        slices_image: Whether the first step selects every other pixel, as in YOLOX.
    """
    if has_scale_factor:
        return PICODET_END_TO_END if _table(shapes) is not None else None
    match [*shapes]:
        case [(1, rows, columns)] if rows == _cells(input_size_wh, YOLO_STRIDES) and columns >= 6:
            return YOLOX
        case [(1, rows, columns)] if columns in _yolov8_cells(input_size_wh) and rows >= 5:
            return YOLOV8
        case [(1, _, 6)]:
            return YOLOV8_END_TO_END
        case [(1, boxes, 5), (1, labels)] if boxes == labels:
            return YOLOX_MMDEPLOY if slices_image else RTMDET
        case [(1, rows, 4), (1, _, columns)] | [(1, _, columns), (1, rows, 4)] if (
            rows == columns == _cells(input_size_wh, PICODET_STRIDES)
        ):
            return PICODET
    return None


YOLO_STRIDES, PICODET_STRIDES = (8, 16, 32), (8, 16, 32, 64)


def _cells(input_size_wh: tuple[int, int], strides: Sequence[int]) -> int:
    return sum(ceil(input_size_wh[0] / stride) * ceil(input_size_wh[1] / stride) for stride in strides)


def _yolov8_cells(input_size_wh: tuple[int, int]) -> tuple[int, int]:
    return _cells(input_size_wh, YOLO_STRIDES), _cells(input_size_wh, (*YOLO_STRIDES, 64))  # the second for P6 models


def _table(shapes: Sequence[tuple[int, ...]]) -> int | None:
    """Return the index of the output with rows (class, score, x1, y1, x2, y2), or None."""
    return next((i for i, shape in enumerate(shapes) if len(shape) == 2 and shape[1] == 6), None)


def _decode_yolox(outputs: Sequence[NDArray[Any]], input_size_wh: tuple[int, int]) -> Candidates:
    """Decode rows of (center x, y, width, height, objectness, classes), in pixels or without decoding in the model.

    Without decoding, the center is in strides from the cell, and the sizes are logarithms of strides. The two cases
    are distinguished by the centers, which are near their cells.
    """
    rows = outputs[0][0].astype(np.float32)
    cells, strides = _grid(input_size_wh)
    center, size = rows[:, :2], rows[:, 2:4]
    if np.abs(center).mean() < np.abs(center / strides - cells).mean():
        center, size = (center + cells) * strides, np.exp(size) * strides
    return _corners(center, size), rows[:, 4] * rows[:, 5 + PERSON]


def _grid(input_size_wh: tuple[int, int]) -> tuple[Floats32, Floats32]:
    """Return column and row (cells, 2) of every cell, row by row and level by level, and its stride (cells, 1)."""
    cells, strides = [], []
    for stride in YOLO_STRIDES:
        rows, columns = np.indices([ceil(side / stride) for side in reversed(input_size_wh)], np.float32)
        cells.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full((rows.size, 1), stride, np.float32))
    return np.concatenate(cells), np.concatenate(strides)


def _decode_yolov8(outputs: Sequence[NDArray[Any]], input_size_wh: tuple[int, int]) -> Candidates:
    """Decode columns of (center x, y, width, height, classes) in pixels."""
    columns = outputs[0][0].astype(np.float32)
    return _corners(columns[:2].T, columns[2:4].T), columns[4 + PERSON]


def _decode_yolov8_end_to_end(outputs: Sequence[NDArray[Any]], input_size_wh: tuple[int, int]) -> Candidates:
    """Decode rows of (x1, y1, x2, y2, score, class)."""
    rows = outputs[0][0]
    people = rows[rows[:, 5] == PERSON]
    return people[:, :4], people[:, 4]


def _decode_mmdeploy(outputs: Sequence[NDArray[Any]], input_size_wh: tuple[int, int]) -> Candidates:
    """Decode rows of (x1, y1, x2, y2, score) and their classes."""
    people = outputs[0][0][outputs[1][0] == PERSON]
    return people[:, :4], people[:, 4]


def _decode_picodet(outputs: Sequence[NDArray[Any]], input_size_wh: tuple[int, int]) -> Candidates:
    """Decode boxes (x1, y1, x2, y2) and scores by class; the output with four columns contains the boxes."""
    boxes, scores = sorted((output[0] for output in outputs), key=lambda output: output.shape[1] != 4)
    return boxes, scores[PERSON]


def _decode_picodet_end_to_end(outputs: Sequence[NDArray[Any]], input_size_wh: tuple[int, int]) -> Candidates:
    """Decode rows of (class, score, x1, y1, x2, y2) for an image scale of 1."""
    rows = outputs[_table([output.shape for output in outputs]) or 0]
    people = rows[rows[:, 0] == PERSON]
    return people[:, 2:], people[:, 1]


def _corners(center: Floats32, size: Floats32) -> Floats32:
    return np.concatenate([center - size / 2, center + size / 2], axis=1)


_IMAGENET_MEAN, _IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_UNIT = (255, 255, 255)

YOLOX = Layout("YOLOX", _decode_yolox, bgr=True)
YOLOX_MMDEPLOY = Layout("YOLOX, end to end", _decode_mmdeploy, bgr=True, suppressed=True)
RTMDET = Layout(
    "RTMDet, end to end", _decode_mmdeploy, True, _IMAGENET_MEAN[::-1], _IMAGENET_STD[::-1], suppressed=True
)
YOLOV8 = Layout("YOLOv8", _decode_yolov8, std=_UNIT, fit="center")
YOLOV8_END_TO_END = Layout("YOLOv8, end to end", _decode_yolov8_end_to_end, std=_UNIT, fit="center", suppressed=True)
PICODET = Layout("PicoDet", _decode_picodet, False, _IMAGENET_MEAN, _IMAGENET_STD, "stretch")
PICODET_END_TO_END = Layout(
    "PicoDet, end to end", _decode_picodet_end_to_end, False, _IMAGENET_MEAN, _IMAGENET_STD, "stretch", True
)
