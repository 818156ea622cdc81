"""JPEG bytes to poses with the native engine: people per second, and the time of each part."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from litehrnet.arrays import Floats32
from litehrnet.bench.subject import Subject
from litehrnet.bench.timing import seconds_of
from litehrnet.errors import UserError
from litehrnet.inference.batching import BATCH_SIZE, CropJob, cut_crops
from litehrnet.inference.estimator import PoseEstimator
from litehrnet.inference.photo import Photo, make_photo
from litehrnet.io.files import read_bytes
from litehrnet.io.images import decode_image
from litehrnet.keypoints.boxes import centers_and_scales
from litehrnet.keypoints.codec import decode, heatmap_to_image

BUNDLED_PHOTO = Path(__file__).parents[1] / "photos" / "astronaut.jpg"


@dataclass(frozen=True)
class PipelineCost:
    """CPU time on one thread, with one person per photo, without flip test and drawing.

    Attributes:
        photos: Description of the photos.
        persons_per_second: Throughput from JPEG bytes to poses.
        part_ms: Median milliseconds per person of each part, measured separately.
        network_share: Time of the network divided by the sum of all parts, 0..1.
    """

    photos: str
    persons_per_second: float
    part_ms: dict[str, float]
    network_share: float


def read_photos(folder: Path | None) -> tuple[list[bytes], str]:
    """Read up to ``BATCH_SIZE`` JPEG files of a folder (None: the bundled portrait, repeated) and describe them.

    Raises:
        UserError: The folder has no JPEG files.
    """
    if folder is None:
        return [read_bytes(BUNDLED_PHOTO)] * BATCH_SIZE, "the bundled portrait, 512x512"
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in (".jpg", ".jpeg"))[:BATCH_SIZE]
    if not files:
        raise UserError(f"{folder}: no JPEG photos (expected a folder of .jpg files)")
    return [read_bytes(file) for file in files], f"{len(files)} JPEG files"


def measure_pipeline(subject: Subject, photos: tuple[list[bytes], str], rounds: int) -> PipelineCost:
    """Time the whole pipeline and its parts in turn, with OpenCV on one thread.

    Args:
        subject: The network.
        photos: Result of ``read_photos``; the person's box is the whole photo.
        rounds: Number of measurements.

    Raises:
        UserError: A photo cannot be read.
    """
    import cv2

    contents, what = photos
    estimator = PoseEstimator(subject.program_file, "native", threads=1, whole_image=True)
    runtime = estimator.runtime
    images = _decoded(contents)
    jobs = [_job(photo, runtime.input_size_wh) for photo in images]
    crops = np.concatenate([cut_crops(job, runtime) for job in jobs])
    heatmaps = runtime.forward(crops)
    parts: dict[str, Callable[[], object]] = {
        "whole": lambda: list(estimator.predict_many(_decoded(contents))),
        "JPEG decoding": lambda: _decoded(contents),
        "crop": lambda: [cut_crops(job, runtime) for job in jobs],
        "network": lambda: runtime.forward(crops),
        "heatmap decoding": lambda: _positions(subject, jobs, heatmaps),
    }
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        times: dict[str, list[float]] = {name: [] for name in parts}
        for counted in [False] + [True] * rounds:
            for name, run in parts.items():
                seconds = seconds_of(run)
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


def _positions(subject: Subject, jobs: list[CropJob[None]], heatmaps: Floats32) -> Floats32:
    centers = np.concatenate([job.centers for job in jobs])
    scales = np.concatenate([job.scales for job in jobs])
    codec, size_wh = subject.info.codec, (heatmaps.shape[3], heatmaps.shape[2])
    return heatmap_to_image(decode(heatmaps, codec)[0], centers, scales, size_wh, codec)
