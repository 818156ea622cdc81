"""Boxes to training targets, and output maps of a network to boxes.

An object is one peak in a map of center scores, as in CenterNet (Zhou et al., "Objects as Points", 2019). Around it is
an elliptical Gaussian, over whose whole area the sides of the box are learned. This follows TTFNet (Liu et al.,
"Training-Time-Friendly Network for Real-Time Object Detection", AAAI 2020).

Coordinates: a box has corners (x1, y1, x2, y2) in pixels, where pixel i covers the range from i to i + 1. A cell of a
map covers ``STRIDE`` pixels; its center is the point that the distances are measured from.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

STRIDE = 4
"""Pixels of the input per cell of a map, along each side."""

DISTANCE_UNIT = 16.0
"""Unit of distance in pixels: a network outputs the logarithm of a distance in this unit."""

MAX_LOG_DISTANCE = 6.0
"""Larger network outputs are cut off here, so that ``exp`` stays finite: 16 * exp(6) is 6,455 pixels."""

MAX_OVERLAP = 0.6
"""Largest intersection over union of two boxes that are both kept; otherwise the one with the higher score is kept."""

MAX_OBJECTS = 300
"""Maximum number of peaks decoded per image, the highest first."""

_HIGHEST_LOGIT = 20.0  # below its negative, a score has no weight; exp stays finite
_GAUSSIAN_EXTENT = 0.54  # part of a box's side that its Gaussian covers, as in TTFNet
_SIGMAS = 6.0  # standard deviations in that part
_SMALLEST_SIGMA = 0.4  # cells: a small object still gets its nearest cell
_LEAST_DISTANCE = 0.01  # pixels: the center of a small box's only cell may be on the edge of the box
_LEAST_WEIGHT = 0.01  # of the Gaussian: cells below it do not learn the box


@dataclass(frozen=True)
class BoxTargets:
    """Training targets of one image.

    Attributes:
        scores: float32 (height, width), 0..1: 1 in the cell of an object's center, a Gaussian around it.
        distances: float32 (4, height, width): pixels to the left, top, right and bottom of the box; 1 outside boxes.
        box_weights: float32 (height, width): weight of the box in a cell; the weights of one object add up to 1.
        score_weights: float32 (height, width), 0 or 1: 0 in unlabeled cells, where no score is learned.
    """

    scores: Floats
    distances: Floats
    box_weights: Floats
    score_weights: Floats

    def stacked(self) -> Floats:
        """Stack all targets into one array, float32 (7, height, width), in the order of the attributes."""
        return np.concatenate([self.scores[None], self.distances, self.box_weights[None], self.score_weights[None]])


def encode(corners: Floats, ignored: Floats, map_size_wh: tuple[int, int], known: Floats | None = None) -> BoxTargets:
    """Create the training targets of one image.

    Args:
        corners: float32 (objects, 4): (x1, y1, x2, y2) in pixels of the input, inside it.
        ignored: float32 (regions, 4): corners of regions where nothing is learned from an empty cell.
        map_size_wh: Width and height of the maps in cells.
        known: float32 (regions, 4): the only regions where empty cells are learned; None for the whole image.

    Returns:
        The targets. A cell that two objects cover belongs to the smaller one.
    """
    width, height = map_size_wh
    scores = np.zeros((height, width), np.float32)
    distances = np.ones((4, height, width), np.float32)
    box_weights = np.zeros((height, width), np.float32)
    score_weights = np.full((height, width), 0 if known is not None else 1, np.float32)
    for region in () if known is None else known:
        score_weights[_cells(region, width, height)] = 1
    for region in ignored:
        score_weights[_cells(region, width, height)] = 0
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    x, y = STRIDE * (np.arange(width) + 0.5), STRIDE * (np.arange(height)[:, None] + 0.5)
    for x1, y1, x2, y2 in corners[np.argsort(-areas, kind="stable")].tolist():
        along_x, column = _gaussian(x1, x2, width)
        along_y, row = _gaussian(y1, y2, height)
        gaussian = np.outer(along_y, along_x)
        np.maximum(scores, gaussian, out=scores)
        sides = np.stack(np.broadcast_arrays(x - x1, y - y1, x2 - x, y2 - y)).astype(np.float32)
        own = (gaussian >= _LEAST_WEIGHT) & (sides > -_LEAST_DISTANCE).all(axis=0)
        box_weights[own] = gaussian[own] / max(float(gaussian[own].sum()), _LEAST_WEIGHT)
        distances[:, own] = sides[:, own].clip(min=_LEAST_DISTANCE)
        score_weights[row, column] = 1
    return BoxTargets(scores, distances, box_weights, score_weights)


def _cells(region: Floats, width: int, height: int) -> tuple[slice, slice]:
    """Return the rows and columns of the cells that a region touches."""
    x1, y1, x2, y2 = region.tolist()
    columns = slice(max(0, int(x1 // STRIDE)), min(width, int(-(-x2 // STRIDE))))
    return slice(max(0, int(y1 // STRIDE)), min(height, int(-(-y2 // STRIDE)))), columns


def _gaussian(first: float, last: float, cells: int) -> tuple[Floats, int]:
    """Compute a Gaussian over a row of cells, 1 in the cell of the center, and the index of that cell."""
    center = min(max(int((first + last) / 2 / STRIDE), 0), cells - 1)
    sigma = max(_GAUSSIAN_EXTENT * (last - first) / _SIGMAS / STRIDE, _SMALLEST_SIGMA)
    steps = np.arange(cells, dtype=np.float32) - center
    return np.exp(-(steps**2) / np.float32(2 * sigma**2)).astype(np.float32), center


def decode(maps: Floats, min_score: float) -> tuple[Floats, Floats]:
    """Decode a network's maps to boxes, one at each peak.

    Each box is the mean of the boxes that nine cells predict: the peak is often one cell off the center.

    Args:
        maps: float32 (5, height, width): center logits, then logarithms of the distances in ``DISTANCE_UNIT``.
        min_score: Lowest score of a decoded peak, 0..1.

    Returns:
        Corners float32 (objects, 4) in pixels of the input, possibly outside it, and scores float32 (objects,), the
        highest first. One object may have several boxes: see ``suppress``.
    """
    import cv2

    logits = np.ascontiguousarray(maps[0])
    neighbors = cv2.dilate(logits, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    threshold = np.log(max(min_score, 1e-7) / max(1 - min_score, 1e-7))
    rows, columns = np.nonzero((logits >= neighbors) & (logits >= threshold))
    best = np.argsort(-logits[rows, columns], kind="stable")[:MAX_OBJECTS]
    rows, columns = rows[best], columns[best]
    scores = 1 / (1 + np.exp(-logits[rows, columns]))
    return _corners_around(maps, rows, columns).astype(np.float32), scores.astype(np.float32)


def _corners_around(maps: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.floating]:
    """Mean corners (peaks, 4) of the boxes of the 3x3 cells around each peak, weighted by scores to the power of 4."""
    _, height, width = maps.shape
    around = np.arange(-1, 2)
    # At the border, the nearest cell stands in for the one outside.
    y = (rows[:, None] + around.repeat(3)).clip(0, height - 1)
    x = (columns[:, None] + np.tile(around, 3)).clip(0, width - 1)
    weights = (1 + np.exp(np.minimum(-maps[0, y, x], _HIGHEST_LOGIT))) ** -4.0
    left, top, right, bottom = DISTANCE_UNIT * np.exp(np.minimum(maps[1:, y, x], MAX_LOG_DISTANCE))
    center_x, center_y = STRIDE * (x + 0.5), STRIDE * (y + 0.5)
    corners = np.stack([center_x - left, center_y - top, center_x + right, center_y + bottom], axis=2)
    return np.asarray((corners * weights[..., None]).sum(axis=1) / weights.sum(axis=1, keepdims=True))


def suppress(corners: Floats, scores: Floats, max_overlap: float = MAX_OVERLAP) -> NDArray[np.intp]:
    """Apply OpenCV's non-maximum suppression.

    Args:
        corners: float32 (objects, 4).
        scores: float32 (objects,).
        max_overlap: Largest intersection over union of two kept boxes; otherwise the lower score is dropped.

    Returns:
        Indices of the kept boxes, the highest score first.
    """
    import cv2

    if not len(corners):
        return np.empty(0, np.intp)
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    return np.asarray(cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.0, max_overlap), np.intp).reshape(-1)
