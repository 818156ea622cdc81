"""Find keypoints: crops of many photos in one batch, heatmaps, positions.

Predicting and evaluating share this code (docs/spec/protocol.md, sections 4.1 and 4.2).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from litehrnet.arrays import Floats, Floats32, Image
from litehrnet.keypoints.codec import decode, heatmap_to_image, merge_flipped
from litehrnet.keypoints.crop import crop_matrices, udp_crop_matrices, warp
from litehrnet.keypoints.simcc import decode_simcc, merge_flipped_simcc
from litehrnet.runtimes import Runtime

BATCH_SIZE = 32
"""Number of crops that are collected before the network runs."""

_Source = TypeVar("_Source")


@dataclass(frozen=True)
class CropJob(Generic[_Source]):
    """People to find in one photo.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        centers: (persons, 2) centers of the crops in image pixels.
        scales: (persons, 2) sizes of the crops in units of 200 image pixels.
        source: Any object, returned with the result.
    """

    image: Image
    centers: Floats
    scales: Floats
    source: _Source


@dataclass(frozen=True)
class Keypoints:
    """Keypoints of the people in one photo.

    Attributes:
        image_xy: float32 (persons, keypoints, 2) positions in image pixels.
        scores: float32 (persons, keypoints), usually 0..1.
    """

    image_xy: Floats32
    scores: Floats32


def find_keypoints(
    runtime: Runtime, jobs: Iterable[CropJob[_Source]], *, flip_test: bool, batch_size: int = BATCH_SIZE
) -> Iterator[tuple[CropJob[_Source], Keypoints]]:
    """Find the keypoints of the people in every job, in the order of the jobs.

    Args:
        runtime: The network.
        jobs: People to find; read no further ahead than a batch needs.
        flip_test: Average with the network's output for the mirrored crops.
        batch_size: Number of crops to collect, from several photos, before the network runs.

    Yields:
        Each job and its keypoints; a job without people has none.
    """
    waiting: list[tuple[CropJob[_Source], Image]] = []
    for job in jobs:
        waiting.append((job, cut_crops(job, runtime)))
        if sum(len(crops) for _, crops in waiting) >= batch_size:
            yield from _run(runtime, waiting, flip_test, batch_size)
            waiting = []
    yield from _run(runtime, waiting, flip_test, batch_size)


def cut_crops(job: CropJob[_Source], runtime: Runtime) -> Image:
    """Cut the crops of a job's people: uint8 (persons, height, width, 3), the network's input."""
    matrices = udp_crop_matrices if runtime.info.codec.kind == "udp" else crop_matrices
    size = runtime.input_size_wh
    crops = np.empty((len(job.centers), size[1], size[0], 3), np.uint8)
    for crop, matrix in zip(crops, matrices(job.centers, job.scales, size), strict=True):
        crop[:] = warp(job.image, matrix, size)
    return crops


def heatmaps_of(runtime: Runtime, crops: Image, flip_test: bool) -> Floats32:
    """Compute heatmaps or SimCC's rows (see ``Runtime``), with ``flip_test`` averaged with those of mirrored crops."""
    heatmaps = runtime.forward(crops)
    if not flip_test:
        return heatmaps
    mirrored = runtime.forward(np.ascontiguousarray(crops[:, :, ::-1]))
    info = runtime.info
    if info.simcc_bins_wh is not None:
        return merge_flipped_simcc(heatmaps, mirrored, info.keypoint_set.flip_order, info.simcc_bins_wh[0])
    return merge_flipped(heatmaps, mirrored, info.keypoint_set.flip_order, info.codec.flip_shift)


def _run(
    runtime: Runtime, waiting: list[tuple[CropJob[_Source], Image]], flip_test: bool, batch_size: int
) -> Iterator[tuple[CropJob[_Source], Keypoints]]:
    if not waiting:
        return
    crops = np.concatenate([crops for _, crops in waiting])
    centers = np.concatenate([job.centers for job, _ in waiting])
    scales = np.concatenate([job.scales for job, _ in waiting])
    count = len(runtime.info.keypoint_set)
    image_xy = np.empty((len(crops), count, 2), np.float32)
    scores = np.empty((len(crops), count), np.float32)
    codec = runtime.info.codec
    for start in range(0, len(crops), batch_size):
        part = slice(start, start + batch_size)
        heatmaps = heatmaps_of(runtime, crops[part], flip_test)
        if (bins_wh := runtime.info.simcc_bins_wh) is not None:
            heatmap_size_wh = bins_wh
            heatmap_xy, scores[part] = decode_simcc(heatmaps, bins_wh[0])
        else:
            heatmap_size_wh = (heatmaps.shape[3], heatmaps.shape[2])
            heatmap_xy, scores[part] = decode(heatmaps, codec)
        image_xy[part] = heatmap_to_image(heatmap_xy, centers[part], scales[part], heatmap_size_wh, codec)
    start = 0
    for job, job_crops in waiting:
        own = slice(start, start + len(job_crops))
        yield job, Keypoints(image_xy[own], scores[own])
        start = own.stop
