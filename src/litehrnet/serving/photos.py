"""Photos that clients send, to keypoints: size limits, and a pool of estimators with a bounded line before it."""

import json
import queue
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from tornado.httputil import HTTPFile, HTTPInputError, parse_body_arguments

from litehrnet.errors import UserError
from litehrnet.inference.estimator import PoseEstimator, is_seen
from litehrnet.io.image_headers import read_header
from litehrnet.io.images import decode_image
from litehrnet.serving.http import RequestError

MOST_SCANS = 100
"""Scans of a JPEG. Usual ones have up to ten; a small file with thousands would take minutes."""


@dataclass(frozen=True)
class Limits:
    """Limits of requests and of the line of photos.

    Attributes:
        body_bytes: Largest body of a request.
        pixels: Largest photo.
        waiting: Number of photos that wait or are computed at the same time.
        seconds: Time from the headers of a request to its answer; the upload is included.
    """

    body_bytes: int = 20_000_000
    pixels: int = 50_000_000
    waiting: int = 64
    seconds: float = 30.0


@dataclass(frozen=True)
class PhotoResult:
    """People in one photo.

    Attributes:
        content: JSON in COCO's results format, as ``litehrnet predict`` writes it.
        people: Number of people.
        seconds: Computing time.
    """

    content: bytes
    people: int
    seconds: float


class PhotoPool:
    """Computes as many photos at once as it has estimators; others wait in line.

    Args:
        estimators: Each of them computes one photo at a time.
        limits: See ``Limits``.
    """

    def __init__(self, estimators: Sequence[PoseEstimator], limits: Limits) -> None:
        self._limits = limits
        self._free: queue.SimpleQueue[PoseEstimator] = queue.SimpleQueue()
        for estimator in estimators:
            self._free.put(estimator)
        self._threads = ThreadPoolExecutor(len(estimators), "photos")
        self._jobs: list[Future[PhotoResult]] = []

    def jobs(self) -> int:
        """Return the number of photos that wait or are computed."""
        self._jobs = [job for job in self._jobs if not job.done()]
        return len(self._jobs)

    def submit(self, body: bytes, content_type: str) -> Future[PhotoResult]:
        """Add the photo in a request's body to the line; always called by the same thread.

        Raises:
            RequestError: The line is full. As the future's exception: the photo cannot be used.
        """
        if self.jobs() >= self._limits.waiting:
            sentence = f"{self._limits.waiting} photos are waiting already (expected you to try again later)"
            raise RequestError(503, sentence, {"Retry-After": "1"})
        photo = [body]
        job = self._threads.submit(self._find, photo, content_type)
        # The executor keeps canceled jobs until their turn, so clients that leave could fill the memory with photos.
        job.add_done_callback(lambda _: photo.clear())
        self._jobs.append(job)
        return job

    def close(self) -> None:
        """Wait for the photos that are computed now; drop the others."""
        self._threads.shutdown(cancel_futures=True)

    def _find(self, body: list[bytes], content_type: str) -> PhotoResult:
        began = time.perf_counter()
        name, photo = photo_in(body[0], content_type)
        try:
            results = self._results(photo)
        except UserError as error:
            raise RequestError(400, str(error)) from error
        content = json.dumps([{**entry, "file_name": name} for entry in results], indent=1) + "\n"
        return PhotoResult(content.encode(), len(results), time.perf_counter() - began)

    def _results(self, photo: bytes) -> list[dict[str, object]]:
        header = read_header(photo, "image")
        if header.width * header.height > self._limits.pixels:
            most = f"{self._limits.pixels / 1e6:g} million"
            raise RequestError(
                413, f"image: {header.width} x {header.height} pixels are too many (expected at most {most})"
            )
        if header.format == "JPEG" and photo.count(b"\xff\xda") > MOST_SCANS:
            raise RequestError(413, f"image: a JPEG with too many scans (expected at most {MOST_SCANS})")
        image = decode_image(photo, "image", header=header)
        estimator = self._free.get()
        try:
            poses = estimator.predict(image)
        finally:
            self._free.put(estimator)
        # A box shows a person; a whole picture may show none.
        return (poses if estimator.detector is not None else poses[is_seen(poses)]).to_coco(1)


def photo_in(body: bytes, content_type: str) -> tuple[str, bytes]:
    """Find the photo in the body of a request: the body itself, or the one file of a form.

    Returns:
        Name of the file, or ``image``; and its content.

    Raises:
        RequestError: The form is damaged, or does not hold exactly one file.
    """
    if not content_type.lower().startswith("multipart/"):
        return "image", body
    files: dict[str, list[HTTPFile]] = {}
    try:
        parse_body_arguments(content_type, body, {}, files)
    except (HTTPInputError, UnicodeDecodeError) as error:
        raise RequestError(400, "the form is damaged (expected multipart/form-data)") from error
    found = [file for named in files.values() for file in named]
    if len(found) != 1:
        raise RequestError(400, f"the form holds {len(found)} files (expected one photo)")
    return found[0].filename, found[0].body
