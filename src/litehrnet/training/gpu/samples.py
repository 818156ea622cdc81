"""Training samples of one batch, made on the device of its people: position, picture, appearance and targets.

The same as ``litehrnet.data.samples`` makes on CPUs, one operation for all samples at a time: random numbers are drawn
first (``draw_variations``) and applied afterward. The differences: centers are jittered anew in every sample, and the
share of blurred samples is the same in every batch.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from litehrnet.data.appearance import BLUR_SIGMA, CUTOUT_SIDE
from litehrnet.data.augmentation import HALF_BODY_PADDING, JITTER, SMALLEST_ANYWHERE
from litehrnet.data.settings import AugmentationConfig
from litehrnet.data.trainingset import TrainingSet
from litehrnet.keypoints.boxes import PIXEL_STD
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.skeletons import lower_body
from litehrnet.training.gpu.people import People
from litehrnet.training.loader import TensorBatch
from litehrnet.variants import heatmap_size

_BLUR_RADIUS = math.ceil(3 * BLUR_SIGMA[1])
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Variations:
    """Random positions of samples, as in ``data.augmentation.Variation``.

    Attributes:
        flip: bool (n,).
        half: int64 (n,): 0 for the whole body, 1 for its upper half, 2 for its lower half.
        zoom: float32 (n,).
        rotation_deg: float32 (n,).
        shift: float32 (n, 2), movement of the center as a part of the box.
        anywhere: bool (n,).
        place: float32 (n, 3), size and place of a crop anywhere.
    """

    flip: Tensor
    half: Tensor
    zoom: Tensor
    rotation_deg: Tensor
    shift: Tensor
    anywhere: Tensor
    place: Tensor


def make_device_batch(
    everyone: People, training_set: TrainingSet, indices: NDArray[np.int64], generator: torch.Generator
) -> TensorBatch:
    """Make the samples of the people with some indices; ``everyone`` is from ``load_people``."""
    people = everyone.of(torch.from_numpy(indices).to(generator.device))
    settings, size, count = training_set.augmentation, training_set.input_size_wh, len(indices)
    variations = draw_variations(people.visible, settings, bool(lower_body(training_set.keypoint_set).any()), generator)
    matrices, joints_xy, visible = placed(people, variations, training_set)
    images, outside = warped(people.pictures, people.sizes_wh, matrices, size)
    if settings.background_probability > 0:
        others = torch.randint(len(everyone), (count,), generator=generator, device=generator.device)
        covering = covering_matrices(everyone.sizes_wh[others], size, _uniform(generator, count))
        backgrounds, _ = warped(everyone.pictures[others], everyone.sizes_wh[others], covering, size)
        fills = _happens(generator, count, settings.background_probability)
        images = torch.where((outside & fills[:, None, None])[:, None], backgrounds, images)
    images = altered(images, settings, generator).round().byte().permute(0, 2, 3, 1).contiguous()
    targets, weights = encoded(joints_xy, visible, size, training_set.codec)
    return TensorBatch(images, targets, weights, indices.tolist())


def draw_variations(
    visible: Tensor, settings: AugmentationConfig, halves: bool, generator: torch.Generator
) -> Variations:
    """Draw the positions of samples, by which keypoints are visible (n, keypoints), 0 or 1.

    ``halves`` says whether the keypoints have an upper and a lower body.
    """
    count = len(visible)
    enough = visible.sum(dim=1) > settings.half_body_above
    cut = _happens(generator, count, settings.half_body_probability * halves) & enough
    half = torch.where(_normal(generator, count) < 0.5, 1, 2) * cut
    zoom = 1 + settings.scale * _normal(generator, count).clamp(-1, 1)
    turns = _happens(generator, count, settings.rotation_probability)
    moves = _happens(generator, count, settings.center_jitter_probability)
    sizes = SMALLEST_ANYWHERE + (1 - SMALLEST_ANYWHERE) * _uniform(generator, count, 1)
    return Variations(
        flip=_happens(generator, count, settings.flip_probability),
        half=half,
        zoom=zoom,
        rotation_deg=settings.rotation_deg * _normal(generator, count).clamp(-2, 2) * turns,
        shift=JITTER * (_uniform(generator, count, 2) - 0.5) * moves[:, None],
        anywhere=_happens(generator, count, settings.anywhere_probability),
        place=torch.cat([sizes, _uniform(generator, count, 2)], dim=1),
    )


def placed(people: People, variations: Variations, training_set: TrainingSet) -> tuple[Tensor, Tensor, Tensor]:
    """Apply variations to people.

    Returns:
        Matrices float32 (n, 2, 3), pixels of the picture -> pixels of the crop, which include the mirroring; joints
        float32 (n, keypoints, 2) in pixels of the crop; and their visibilities (n, keypoints).
    """
    size_wh = training_set.input_size_wh
    device = people.centers.device
    size = torch.tensor(size_wh, dtype=torch.float32, device=device)
    order = torch.from_numpy(training_set.keypoint_set.flip_order).to(device)
    flip, last = variations.flip, people.sizes_wh[:, 0] - 1
    centers = people.centers + variations.shift * people.boxes_wh
    centers = torch.stack([torch.where(flip, last - centers[:, 0], centers[:, 0]), centers[:, 1]], dim=1)
    swapped = people.joints_xy[:, order]
    mirrored = torch.stack([last[:, None] - swapped[..., 0], swapped[..., 1]], dim=2)
    joints = torch.where(flip[:, None, None], mirrored, people.joints_xy)
    visible = torch.where(flip[:, None], people.visible[:, order], people.visible)
    lower = torch.from_numpy(lower_body(training_set.keypoint_set)).to(device)
    centers, scales = _half_bodies(centers, people.scales, joints, visible > 0, variations.half, lower, size)
    scales = scales * variations.zoom[:, None]
    fit = (people.sizes_wh / size).amin(dim=1, keepdim=True)
    crops_wh = variations.place[:, :1] * fit * size
    places = crops_wh / 2 + variations.place[:, 1:] * (people.sizes_wh - crops_wh) - 0.5
    anywhere = variations.anywhere[:, None]
    centers, scales = torch.where(anywhere, places, centers), torch.where(anywhere, crops_wh / PIXEL_STD, scales)
    visible = visible * ~anywhere
    matrices = crop_matrices(centers, scales, variations.rotation_deg, size_wh, training_set.codec)
    joints = (matrices[:, None, :, :2] * joints[:, :, None]).sum(dim=3) + matrices[:, None, :, 2]
    # x of the picture becomes last - x of the mirrored picture.
    shift = matrices[..., 2] + (last * flip)[:, None] * matrices[..., 0]
    columns = torch.where(flip[:, None], -matrices[..., 0], matrices[..., 0])
    return torch.stack([columns, matrices[..., 1], shift], dim=2), joints, visible


def crop_matrices(
    centers: Tensor, scales: Tensor, rotations_deg: Tensor, size_wh: tuple[int, int], codec: HeatmapCodec
) -> Tensor:
    """Compute matrices float32 (n, 2, 3) like ``keypoints.crop.crop_matrices`` or ``udp_crop_matrices``."""
    size = torch.tensor(size_wh, dtype=torch.float32, device=centers.device)
    turns = torch.deg2rad(rotations_deg)
    if codec.kind == "udp":
        turns, ratios, middle = -turns, (size - 1) / (scales * PIXEL_STD), (size - 1) / 2
    else:
        ratios, middle = (size[0] / (scales[:, :1] * PIXEL_STD)).expand(-1, 2), size / 2
    cos, sin = torch.cos(turns), torch.sin(turns)
    linear = torch.stack([cos, sin, -sin, cos], dim=1).reshape(-1, 2, 2) * ratios[:, :, None]
    shift = middle - (linear * centers[:, None]).sum(dim=2)
    return torch.cat([linear, shift[..., None]], dim=2)


def _half_bodies(
    centers: Tensor, scales: Tensor, joints: Tensor, visible: Tensor, half: Tensor, lower: Tensor, size: Tensor
) -> tuple[Tensor, Tensor]:
    """Move the crops of samples with ``half`` above 0, as ``data.augmentation.crop_to_half_body`` does."""
    upper_part, lower_part = visible & ~lower, visible & lower
    wants_lower = ((half != 1) | (upper_part.sum(dim=1) <= 2)) & (lower_part.sum(dim=1) > 2)
    chosen = torch.where(wants_lower[:, None], lower_part, upper_part)[..., None]
    low = torch.where(chosen, joints, torch.inf).amin(dim=1)
    box = torch.where(chosen, joints, -torch.inf).amax(dim=1) - low
    count = chosen.sum(dim=1)
    applies = ((half > 0) & (count[:, 0] > 1) & (box > 0).any(dim=1))[:, None]
    aspect = size[0] / size[1]
    width = torch.maximum(box[:, 0], aspect * box[:, 1])
    grown = torch.stack([width, width / aspect], dim=1) * (HALF_BODY_PADDING / PIXEL_STD)
    means = torch.where(chosen, joints, 0.0).sum(dim=1) / count.clamp(min=1)
    return torch.where(applies, means, centers), torch.where(applies, grown, scales)


def warped(pictures: Tensor, sizes_wh: Tensor, matrices: Tensor, size_wh: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Cut one crop from each picture: bilinear, black outside.

    Args:
        pictures: uint8 (n, 3, h, w).
        sizes_wh: float32 (n, 2), sizes of the pictures without the black beside them.
        matrices: float32 (n, 2, 3), pixels of the picture -> pixels of the crop.
        size_wh: (width, height) of the crops.

    Returns:
        float32 (n, 3, height, width), 0..255; and bool (n, height, width), the pixels outside the picture.
    """
    (a, b), (c, d) = (matrices[:, i, :2].unbind(1) for i in (0, 1))
    inverse = torch.stack([d, -b, -c, a], dim=1).reshape(-1, 2, 2) / (a * d - b * c)[:, None, None]
    shift = -(inverse * matrices[:, None, :, 2]).sum(dim=2)
    xs, ys = (torch.arange(side, dtype=torch.float32, device=matrices.device) for side in size_wh)
    # Not a matrix product: a GPU may round its factors to ten bits.
    x, y = (
        inverse[:, i, 0, None, None] * xs + inverse[:, i, 1, None, None] * ys[:, None] + shift[:, i, None, None]
        for i in (0, 1)
    )
    last_x, last_y = ((sizes_wh[:, i] - 1)[:, None, None] for i in (0, 1))
    outside = (x < 0) | (y < 0) | (x > last_x) | (y > last_y)
    height, width = pictures.shape[2:]
    grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=3)
    return F.grid_sample(pictures.float(), grid, align_corners=True), outside


def covering_matrices(sizes_wh: Tensor, size_wh: tuple[int, int], place: Tensor) -> Tensor:
    """Compute matrices float32 (n, 2, 3) like ``data.appearance.covering_matrix``, for places (n,)."""
    last = (sizes_wh - 1).clamp(min=1)
    wanted = torch.tensor(size_wh, dtype=torch.float32, device=last.device) + 1
    factor = (wanted / last).amax(dim=1, keepdim=True)
    shift = -1 - place[:, None] * (factor * last - wanted)
    return torch.cat([torch.diag_embed(factor.expand(-1, 2)), shift[..., None]], dim=2)


def altered(images: Tensor, settings: AugmentationConfig, generator: torch.Generator) -> Tensor:
    """Blur, recolor and partly hide crops float32 (n, 3, height, width), 0..255."""
    count = len(images)
    # The order of the samples is random, so the first ones are blurred.
    if blurred := round(settings.blur_probability * count):
        low, high = BLUR_SIGMA
        sigmas = low + (high - low) * _uniform(generator, blurred)
        images = torch.cat([blurred_by(images[:blurred], sigmas), images[blurred:]])
    if settings.brightness or settings.contrast or settings.saturation:
        ranges = (settings.brightness, settings.contrast, settings.saturation)
        images = recolored(images, *((2 * _uniform(generator, count) - 1) * limit for limit in ranges))
    if settings.cutout_probability > 0:
        hides = _happens(generator, count, settings.cutout_probability)
        low, high = CUTOUT_SIDE
        parts, places = low + (high - low) * _uniform(generator, count, 2), _uniform(generator, count, 2)
        inside = rectangles(parts, places, (images.shape[3], images.shape[2])) & hides[:, None, None]
        color = 255 * _uniform(generator, count, 3)
        images = torch.where(inside[:, None], color[..., None, None], images)
    return images


def blurred_by(images: Tensor, sigmas: Tensor) -> Tensor:
    """Blur images float32 (n, 3, height, width) by Gaussians of sigmas (n,) in pixels."""
    steps = torch.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1, device=images.device)
    taps = torch.exp(-(steps**2) / (2 * sigmas[:, None] ** 2))
    taps = (taps / taps.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
    planes = F.pad(images, [_BLUR_RADIUS] * 4, mode="reflect").flatten(0, 1)[None]
    for weight in (taps[:, None, None], taps[:, None, :, None]):
        planes = F.conv2d(planes, weight, groups=len(taps))
    return planes[0].reshape(images.shape)


def recolored(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Change colors like ``data.color_jitter.recolor``; 0 (n,) stands for no change."""
    brightness, contrast, saturation = (each[:, None, None, None] for each in (brightness, contrast, saturation))
    levels = ((images - 128) * (1 + contrast) + 128 + 255 * brightness).clamp(0, 255)
    gray = sum(weight * levels[:, i : i + 1] for i, weight in enumerate(_LUMA))
    return (levels + saturation * (levels - gray)).clamp(0, 255)


def rectangles(parts: Tensor, places: Tensor, size_wh: tuple[int, int]) -> Tensor:
    """Compute masks bool (n, height, width) of rectangles like ``data.appearance.hidden``; values are (n, 2), 0..1."""
    size = torch.tensor(size_wh, device=parts.device)
    sides = (parts * size).round().clamp(min=1)
    first = (places * (size - sides)).round()
    inside_x, inside_y = (
        (steps >= first[:, i, None]) & (steps < (first + sides)[:, i, None])
        for i, steps in enumerate(torch.arange(side, device=parts.device) for side in size_wh)
    )
    return inside_y[:, :, None] & inside_x[:, None]


def encoded(joints_xy: Tensor, visible: Tensor, size_wh: tuple[int, int], codec: HeatmapCodec) -> tuple[Tensor, Tensor]:
    """Create targets like ``keypoints.codec.encode``, which explains the rules; ``size_wh`` is that of the crop."""
    cells_wh = heatmap_size(*size_wh)
    sizes = np.array(cells_wh)
    less = 1 if codec.kind == "udp" else 0
    stride = torch.from_numpy((np.array(size_wh) - less) / (sizes - less)).to(joints_xy.device)
    position = joints_xy.double() / stride
    nearest = torch.trunc(position + 0.5)
    middle, reach = position if codec.kind == "dark" else nearest, 3 * codec.sigma
    limits = torch.from_numpy(sizes).to(joints_xy.device)
    inside = ((middle - reach < limits) & (middle + reach + 1 >= 0)).all(dim=2)
    weights = (inside & (visible > 0)).float()
    peak = nearest if codec.kind == "default" else position
    axes = []
    for i, size in enumerate(cells_wh):
        cells = torch.arange(size, device=joints_xy.device)
        values = torch.exp(-((cells - peak[..., i, None]) ** 2) / (2 * codec.sigma**2))
        if codec.kind != "dark":
            values = values * ((cells - nearest[..., i, None]).abs() <= reach)
        axes.append(values.float())
    columns, rows = axes
    return (rows * weights[..., None])[..., :, None] * columns[..., None, :], weights


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def _happens(generator: torch.Generator, count: int, probability: float) -> Tensor:
    return _uniform(generator, count) < probability
