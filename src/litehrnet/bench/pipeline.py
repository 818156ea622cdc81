"""From JPEG bytes to Poses with our engine: persons per second, and which part takes how long."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from litehrnet.bench.subject import Subject
from litehrnet.errors import UserError
from litehrnet.inference.batching import BATCH_SIZE, CropJob, cut_crops
from litehrnet.inference.estimator import PoseEstimator
from litehrnet.inference.figure import draw_figure
from litehrnet.inference.photo import Photo, make_photo
from litehrnet.io.files import read_bytes
from litehrnet.io.images import decode_image
from litehrnet.keypoints.boxes import centers_and_scales
from litehrnet.keypoints.codec import decode, heatmap_to_image

DRAWN_SIZE_WH = (640, 480)


@dataclass(frozen=True)
class PipelineCost:
    """One thread, one person per photo, no flip test, nothing drawn; CPU time.

    Attributes:
        photos: What they were.
        persons_per_second: From JPEG bytes to Poses.
        part_ms: Median milliseconds per person of each part on its own.
        network_share: Of the parts' sum, 0..1.
    """

    photos: str
    persons_per_second: float
    part_ms: dict[str, float]
    network_share: float


def read_photos(folder: Path | None) -> tuple[list[bytes], str]:
    """JPEG files of a folder, up to a batch of them, and what they are; drawn ones with a camera's noise for None.

    Raises:
        UserError: The folder has none.
    """
    if folder is None:
        width, height = DRAWN_SIZE_WH
        return [_drawn(seed) for seed in range(2)] * (BATCH_SIZE // 2), f"drawn, {width}x{height}, quality 92"
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in (".jpg", ".jpeg"))[:BATCH_SIZE]
    if not files:
        raise UserError(f"{folder}: no JPEG photos (expected a folder of .jpg files)")
    return [read_bytes(file) for file in files], f"{len(files)} JPEG files"


def _drawn(seed: int) -> bytes:
    import cv2

    picture = draw_figure(DRAWN_SIZE_WH, seed=seed)[0]
    noise = np.random.default_rng(seed).normal(0, 6, picture.shape)
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    content: bytes = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
    return content


def measure_pipeline(subject: Subject, photos: tuple[list[bytes], str], rounds: int) -> PipelineCost:
    """Time the whole way and its parts in turn, OpenCV on one thread.

    Args:
        subject: The network.
        photos: See ``read_photos``; the whole picture is the person's box.
        rounds: How often.

    Raises:
        UserError: A photo cannot be read.
    """
    import cv2

    contents, what = photos
    estimator = PoseEstimator(subject.program_file, "native", threads=1)
    runtime = estimator.runtime
    images = _decoded(contents)
    jobs = [_job(photo, runtime.input_size_wh) for photo in images]
    crops = np.concatenate([cut_crops(job, runtime) for job in jobs])
    heatmaps = runtime.heatmaps(crops)
    parts: dict[str, Callable[[], object]] = {
        "whole": lambda: list(estimator.predict_many(_decoded(contents))),
        "JPEG decoding": lambda: _decoded(contents),
        "crop": lambda: [cut_crops(job, runtime) for job in jobs],
        "network": lambda: runtime.heatmaps(crops),
        "heatmap decoding": lambda: _positions(subject, jobs, heatmaps),
    }
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        times: dict[str, list[float]] = {name: [] for name in parts}
        for counted in [False] + [True] * rounds:
            for name, run in parts.items():
                seconds = _cpu_seconds(run)
                if counted:
                    times[name].append(seconds)
    finally:
        cv2.setNumThreads(threads)
    ms = {name: 1000 * float(np.median(values)) / len(contents) for name, values in times.items()}
    whole = ms.pop("whole")
    return PipelineCost(what, 1000 / whole, ms, ms["network"] / sum(ms.values()))


def _decoded(contents: list[bytes]) -> list[Photo]:
    return [make_photo(decode_image(content, f"photo {i + 1}")) for i, content in enumerate(contents)]


def _job(photo: Photo, input_size_wh: tuple[int, int]) -> CropJob[None]:
    return CropJob(photo.image, *centers_and_scales(photo.boxes, input_size_wh), None)


def _positions(subject: Subject, jobs: list[CropJob[None]], heatmaps: NDArray[np.float32]) -> NDArray[np.float32]:
    centers = np.concatenate([job.centers for job in jobs])
    scales = np.concatenate([job.scales for job in jobs])
    codec, size_wh = subject.info.codec, (heatmaps.shape[3], heatmaps.shape[2])
    return heatmap_to_image(decode(heatmaps, codec)[0], centers, scales, size_wh, codec)


def _cpu_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start
