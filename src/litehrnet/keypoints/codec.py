"""Keypoints to heatmaps and back (default, DARK and UDP), and the average of the flip test.

Heatmaps are float32 (people, keypoints, H, W) throughout; sizes are (width, height).

Sources: docs/spec/protocol.md, sections 2.6, 2.7, 4.1 and 4.2. DARK is Zhang et al.,
"Distribution-Aware Coordinate Representation for Human Pose Estimation" (CVPR 2020); UDP is Huang et al.,
"The Devil is in the Details: Delving into Unbiased Data Processing for Human Pose Estimation" (CVPR 2020).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Floats, Floats32, Floats64, Indices
from litehrnet.errors import UserError
from litehrnet.keypoints.boxes import PIXEL_STD

# Limits of the heatmap values before the logarithm: DARK's minimum, and UDP's minimum and maximum.
DARK_FLOOR = 1e-10
UDP_RANGE = (0.001, 50.0)
# UDP adds this to the diagonal of its matrix of second derivatives, so that flat maps can be solved.
UDP_DAMPING = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class HeatmapCodec:
    """Encoding of keypoints in heatmaps, and the matching decoding.

    Attributes:
        kind: ``default`` encodes in whole cells and decodes a quarter cell toward the higher neighbor. ``dark``
            encodes Gaussians between cells and decodes by a Newton step on the blurred logarithm. ``udp`` measures
            sizes between pixel centers and decodes by a Newton step.
        sigma: Standard deviation of the Gaussian target, in heatmap cells.
        blur_kernel: Side of the square blur kernel of ``dark`` and ``udp``, in heatmap cells; odd.
        flip_shift: Whether the flip test moves the heatmap of the mirrored image one cell to the right before
            averaging. ``default`` and ``dark`` need it, as they do not mirror about cell centers; ``udp`` does not.
    """

    kind: Literal["default", "dark", "udp"] = "default"
    sigma: float = 2.0
    blur_kernel: int = 11
    flip_shift: bool = True

    def __post_init__(self) -> None:
        if self.kind not in ("default", "dark", "udp"):
            raise UserError(f"heatmap codec {self.kind!r}: unknown kind (expected default, dark or udp)")
        if not 0 < self.sigma < float("inf"):
            raise UserError(f"sigma {self.sigma:g}: not a size in heatmap cells (expected a number above 0)")
        if self.blur_kernel < 1 or self.blur_kernel % 2 == 0:
            raise UserError(f"blur kernel {self.blur_kernel}: not a valid side (expected an odd number of cells)")


def encode(
    keypoints: Floats,
    visible: NDArray[np.generic],
    input_size_wh: tuple[int, int],
    heatmap_size_wh: tuple[int, int],
    codec: HeatmapCodec,
) -> tuple[Floats32, Floats32]:
    """Create training targets: a Gaussian of height 1 per keypoint.

    ``default`` and ``udp`` are limited to a square of three sigmas around the nearest cell; ``dark`` covers the
    map. A keypoint has weight 0 if its square is outside the map or it is not finite. As in the reference
    implementation, a square that just misses the left or upper border has weight 1 and an empty map.

    Args:
        keypoints: crop_xy (people, keypoints, 2) in pixels of the input.
        visible: (people, keypoints); 0 is unlabeled, anything above is labeled.
        input_size_wh: Size of the network's input.
        heatmap_size_wh: Size of the heatmaps.
        codec: Codec; its kind and sigma are used.

    Returns:
        Heatmaps, 0 if the weight is 0, and weights float32 (people, keypoints), 0 or 1.
    """
    between_centers = 1 if codec.kind == "udp" else 0
    sizes = np.array(heatmap_size_wh)
    stride = (np.array(input_size_wh) - between_centers) / (sizes - between_centers)
    position = np.asarray(keypoints, dtype=np.float64) / stride
    # Rounded toward zero, as in the reference implementation: positions between -1.5 and 0.5 belong to cell 0.
    nearest = np.trunc(position + 0.5)
    middle = position if codec.kind == "dark" else nearest
    reach = 3 * codec.sigma
    inside = ((middle - reach < sizes) & (middle + reach + 1 >= 0)).all(axis=2)
    weights = (inside & (np.asarray(visible) > 0)).astype(np.float32)
    peak = np.where(inside[..., None], nearest if codec.kind == "default" else position, 0)
    columns, rows = (_gaussians(peak[..., i], nearest[..., i], int(sizes[i]), codec) for i in (0, 1))
    return (rows * weights[..., None])[..., :, None] * columns[..., None, :], weights


def decode(heatmaps: Floats32, codec: HeatmapCodec) -> tuple[Floats32, Floats32]:
    """Decode the position and score of each heatmap's peak.

    The Newton step of ``dark`` and ``udp`` may have any length, as in the reference implementation. Here it ends
    at most one cell outside the map, and is 0 if it cannot be computed.

    Values that are not finite count as 0. The codec's sigma is not used.

    Returns:
        heatmap_xy float32 (people, keypoints, 2): x in -1..W and y in -1..H (``default``: 0..W-1 and
        0..H-1), or (-1, -1) if no value is above 0; and scores float32 (people, keypoints): the value of
        the highest cell, finite, nominally 0..1.
    """
    heatmaps = _finite(heatmaps)
    heatmap_xy, scores = _peaks(heatmaps)
    height, width = heatmaps.shape[2:]
    maps = heatmaps.reshape(-1, height, width)
    cells = heatmap_xy.reshape(-1, 2).astype(np.intp)
    # Heatmap values of any magnitude are allowed; if a step overflows, it becomes 0.
    with np.errstate(all="ignore"):
        if codec.kind == "default":
            steps = _quarter_steps(maps, cells)
        elif codec.kind == "dark":
            steps = _dark_steps(maps, cells, codec.blur_kernel)
        else:
            steps = _udp_steps(maps, cells, codec.blur_kernel)
    refined = np.clip(cells + steps, -1, (width, height))
    return refined.astype(np.float32).reshape(heatmap_xy.shape), scores


def merge_flipped(heatmaps: Floats32, flipped_heatmaps: Floats32, flip_order: Indices, shift: bool) -> Floats32:
    """Average the heatmaps of an image with those of its mirror image (docs/spec/protocol.md, section 4.1).

    Args:
        heatmaps: The network's output for the image.
        flipped_heatmaps: The network's output for the mirrored image.
        flip_order: (keypoints,) indices that reorder mirrored keypoints (``KeypointSet.flip_order``).
        shift: Whether to move the mirrored heatmaps one cell to the right. Column 0 keeps its values, so
            that column 1 repeats them.
    """
    mirrored = flipped_heatmaps[:, flip_order, :, ::-1]
    # Infinities of a broken network may cancel to NaN. Decoding handles both, so no warning is needed here.
    with np.errstate(invalid="ignore", over="ignore"):
        merged = heatmaps + mirrored
        if shift:
            np.add(heatmaps[..., 1:], mirrored[..., :-1], out=merged[..., 1:])
        merged *= np.float32(0.5)
    return merged


def heatmap_to_image(
    heatmap_xy: Floats, centers: Floats, scales: Floats, heatmap_size_wh: tuple[int, int], codec: HeatmapCodec
) -> Floats32:
    """Convert positions in heatmaps of unrotated crops to positions in the image (docs/spec/protocol.md, section 4.2).

    Args:
        heatmap_xy: (people, keypoints, 2) in heatmap cells.
        centers: (people, 2), centers of the crops in image pixels.
        scales: (people, 2), scales of the crops in units of 200 image pixels; both columns are used.
        heatmap_size_wh: Size of the heatmaps.
        codec: Codec; ``udp`` measures between the centers of the outermost cells.

    Returns:
        image_xy float32 (people, keypoints, 2).
    """
    steps = np.array(heatmap_size_wh) - (1 if codec.kind == "udp" else 0)
    sizes = np.asarray(scales, dtype=np.float64)[:, None] * PIXEL_STD
    corners = np.asarray(centers, dtype=np.float64)[:, None] - sizes / 2
    return np.asarray(heatmap_xy * (sizes / steps) + corners, dtype=np.float32)


def blur_taps(kernel: int) -> Floats64:
    """Return the blur weights of ``dark`` and ``udp`` along one axis, (kernel,) with sum 1.

    The sigma follows from the side, an odd number of cells, by OpenCV's rule, as in the reference implementation.
    """
    import cv2

    return np.asarray(cv2.getGaussianKernel(kernel, 0)[:, 0])


def _gaussians(peak: Floats64, nearest: Floats64, size: int, codec: HeatmapCodec) -> Floats32:
    # (people, keypoints) along one axis -> (people, keypoints, size)
    cells = np.arange(size)
    values = np.exp(-((cells - peak[..., None]) ** 2) / (2 * codec.sigma**2))
    if codec.kind != "dark":
        values *= np.abs(cells - nearest[..., None]) <= 3 * codec.sigma
    return values.astype(np.float32)


def _finite(heatmaps: Floats32) -> Floats32:
    finite = np.isfinite(heatmaps)
    return heatmaps if finite.all() else np.where(finite, heatmaps, np.float32(0))


def argmax(heatmaps: Floats32) -> tuple[Floats32, Floats32]:
    """Find the highest cell (people, keypoints, 2) of each heatmap, the first in reading order, and its value.

    The cell is (-1, -1) if no value is above 0. Values that are not finite count as 0.
    """
    return _peaks(_finite(heatmaps))


def _peaks(heatmaps: Floats32) -> tuple[Floats32, Floats32]:
    persons, keypoints, height, width = heatmaps.shape
    flat = heatmaps.reshape(persons, keypoints, height * width)
    index = flat.argmax(axis=2)
    scores = np.take_along_axis(flat, index[..., None], axis=2)
    cells = np.stack([index % width, index // width], axis=2)
    return np.where(scores > 0, cells, -1).astype(np.float32), scores[..., 0]


def _quarter_steps(maps: Floats32, cells: Indices) -> Floats64:
    # (m, H, W) and (m, 2) -> (m, 2): a quarter cell toward the higher neighbor, 0 near the border.
    height, width = maps.shape[1:]
    inside = np.all((cells > 1) & (cells < (width - 1, height - 1)), axis=1)
    which = np.flatnonzero(inside)
    x, y = cells[which].T
    steps = np.zeros(cells.shape)
    for axis, (dx, dy) in enumerate(((1, 0), (0, 1))):
        after, before = maps[which, y + dy, x + dx], maps[which, y - dy, x - dx]
        # Compared, as the difference may overflow.
        steps[which, axis] = 0.25 * (after > before) - 0.25 * (after < before)
    return steps


def _dark_steps(maps: Floats32, cells: Indices, kernel: int) -> Floats64:
    height, width = maps.shape[1:]
    inside = np.all((cells > 1) & (cells < (width - 2, height - 2)), axis=1)
    patches = _blurred_patches(maps, cells, 2, kernel, "constant")
    # The reference implementation rescales each blurred map to its old maximum. The factor changes the derivatives of
    # the logarithm only if a value is below the minimum. Only those few maps are blurred as a whole.
    cut = np.flatnonzero(inside & (patches.min(axis=(1, 2)) <= DARK_FLOOR))
    lost = maps[cut].max(axis=(1, 2)) / _blur(maps[cut], kernel).max(axis=(1, 2))
    patches[cut] *= lost[:, None, None]
    f = np.log(np.maximum(patches, DARK_FLOOR))
    gx, gy = (f[:, 2, 3] - f[:, 2, 1]) / 2, (f[:, 3, 2] - f[:, 1, 2]) / 2
    xx = (f[:, 2, 4] - 2 * f[:, 2, 2] + f[:, 2, 0]) / 4
    yy = (f[:, 4, 2] - 2 * f[:, 2, 2] + f[:, 0, 2]) / 4
    xy = (f[:, 3, 3] - f[:, 1, 3] - f[:, 3, 1] + f[:, 1, 1]) / 4
    return np.where(inside[:, None], _newton_steps(gx, gy, xx, xy, yy), 0)


def _udp_steps(maps: Floats32, cells: Indices, kernel: int) -> Floats64:
    f = np.log(np.clip(_blurred_patches(maps, cells, 1, kernel, "reflect"), *UDP_RANGE))
    gx, gy = (f[:, 1, 2] - f[:, 1, 0]) / 2, (f[:, 2, 1] - f[:, 0, 1]) / 2
    xx = f[:, 1, 2] - 2 * f[:, 1, 1] + f[:, 1, 0] + UDP_DAMPING
    yy = f[:, 2, 1] - 2 * f[:, 1, 1] + f[:, 0, 1] + UDP_DAMPING
    right_and_down = f[:, 2, 2] - f[:, 1, 2] - f[:, 2, 1]
    left_and_up = f[:, 0, 0] - f[:, 1, 0] - f[:, 0, 1]
    xy = (right_and_down + left_and_up) / 2 + f[:, 1, 1]
    # A map without a peak is constant below UDP's minimum: its step is 0.
    return _newton_steps(gx, gy, xx, xy, yy)


def _newton_steps(gx: Floats64, gy: Floats64, xx: Floats64, xy: Floats64, yy: Floats64) -> Floats64:
    # Minus the inverse of the second derivatives times the gradient; (0, 0) if that is not a number.
    steps = np.stack([xy * gy - yy * gx, xy * gx - xx * gy], axis=1) / (xx * yy - xy**2)[:, None]
    return np.where(np.all(np.isfinite(steps), axis=1, keepdims=True), steps, 0)


def _blurred_patches(maps: Floats32, cells: Indices, radius: int, kernel: int, border: str) -> Floats64:
    # (m, H, W) and (m, 2) -> (m, side, side): the blurred maps around the cells; cells outside the map repeat
    # its border. Only the necessary rows and columns of the blur are computed.
    height, width = maps.shape[1:]
    offsets = np.arange(-radius, radius + 1)
    columns, rows = (np.clip(cells[:, axis, None] + offsets, 0, size - 1) for axis, size in enumerate((width, height)))
    down = _blur_matrix(height, kernel, border)[rows]
    across = _blur_matrix(width, kernel, border)[columns]
    return np.asarray((down @ maps) @ across.transpose(0, 2, 1), dtype=np.float64)


def _blur(maps: Floats32, kernel: int) -> Floats32:
    height, width = maps.shape[1:]
    down, across = _blur_matrix(height, kernel, "constant"), _blur_matrix(width, kernel, "constant")
    return np.asarray((down @ maps) @ across.T)


@lru_cache(maxsize=16)
def _blur_matrix(size: int, kernel: int, border: str) -> Floats32:
    # (size, size) that blurs a column of ``size`` cells, padded with zeros ("constant") or with its mirror image
    # about the outermost cell ("reflect").
    beyond = ((kernel // 2, kernel // 2), (0, 0))
    identity = np.pad(np.eye(size), beyond, mode="constant" if border == "constant" else "reflect")
    matrix = sum(tap * identity[start : start + size] for start, tap in enumerate(blur_taps(kernel)))
    return np.asarray(matrix, dtype=np.float32)
