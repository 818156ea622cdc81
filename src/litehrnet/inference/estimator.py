"""``PoseEstimator``: weights once, then photos and boxes in, poses out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from litehrnet.errors import UserError
from litehrnet.images import read_image
from litehrnet.inference.batching import CropJob, Keypoints, find_keypoints
from litehrnet.inference.detections import Detector
from litehrnet.inference.detector import open_detector
from litehrnet.keypoints.boxes import centers_and_scales, check_boxes
from litehrnet.library import DEFAULT_WEIGHTS
from litehrnet.poses import Poses
from litehrnet.runtimes import Runtime, open_runtime


@dataclass(frozen=True)
class Photo:
    """A photo and its persons.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        boxes: float32 (persons, 4): (x, y, width, height) in pixels.
        box_scores: float32 (persons,), 0..1.
        name: What an error or a result is to name.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    box_scores: NDArray[np.float32]
    name: str


def make_photo(
    image: NDArray[np.uint8] | str | Path,
    boxes: ArrayLike | None = None,
    box_scores: ArrayLike | None = None,
    name: str | None = None,
    detector: Detector | None = None,
) -> Photo:
    """Check a user's photo and boxes; without boxes and a detector, the whole picture is one person's box.

    Args:
        image: uint8 (H, W, 3) in RGB, or a file to read.
        boxes: (persons, 4): (x, y, width, height) in pixels; no persons is fine.
        box_scores: (persons,), 0..1; None for 1.
        name: For errors and results; None for the file's name.
        detector: Finds the boxes where none are given.

    Raises:
        UserError: The file cannot be read; the array is no RGB image; a box is not finite, empty or outside.
    """
    if isinstance(image, np.ndarray):
        name = name or "image"
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise UserError(f"{name}: {image.dtype} array of shape {image.shape} (expected uint8 (H, W, 3), RGB)")
    else:
        name = name or str(image)
        image = read_image(image)
    height, width = image.shape[:2]
    if boxes is None and detector is not None:
        found = detector.detect(image)
        boxes, box_scores = found.boxes, found.scores
    checked = check_boxes([[0, 0, width, height]] if boxes is None else boxes, (width, height), name)
    scores = np.ones(len(checked), np.float32) if box_scores is None else np.asarray(box_scores, np.float32)
    if scores.shape != (len(checked),) or not np.isfinite(scores).all():
        raise UserError(f"{name}: box scores of shape {scores.shape} (expected {len(checked)} finite numbers)")
    return Photo(image, checked, scores, name)


class PoseEstimator:
    """Finds keypoints of persons in photos.

    Args:
        weights: ``.safetensors``, ``.onnx`` or ``.native``; PyTorch checkpoints with the extra ``train``; or a name
            that ``litehrnet models`` lists, by default that of the weights that come with the package.
        runtime: ``native``, ``onnxruntime``, ``openvino`` or ``torch``; None for native, or for what the file is for.
        flip_test: Average with the mirrored crop: a little better, half as fast.
        input_size_wh: (width, height) of the crops where the weights' file does not say it.
        threads: CPU threads; None for all.
        precision: ``float32``; for native and torch also ``bf16``, for torch on a GPU ``fp16``.
        device: For torch: ``cpu``, ``cuda``, ``cuda:1``, ...
        compiled: For torch: through ``torch.compile``.
        detector: Finds the persons of photos that come without boxes: one of yours, or a file for ``open_detector``.

    Raises:
        UserError: See ``litehrnet.runtimes.open_runtime`` and ``litehrnet.inference.detector.open_detector``.
    """

    def __init__(
        self,
        weights: str | Path = DEFAULT_WEIGHTS,
        runtime: str | None = None,
        *,
        flip_test: bool = False,
        input_size_wh: tuple[int, int] | None = None,
        threads: int | None = None,
        precision: str = "float32",
        device: str = "cpu",
        compiled: bool = False,
        detector: Detector | str | Path | None = None,
    ) -> None:
        self.runtime: Runtime = open_runtime(
            weights,
            runtime,
            input_size_wh=input_size_wh,
            threads=threads,
            precision=precision,
            device=device,
            compiled=compiled,
        )
        self._keypoint_set = self.runtime.info.keypoint_set  # refuses a network that segments now, not with the photo
        self.flip_test = flip_test
        self.detector: Detector | None = (
            open_detector(detector, threads=threads) if isinstance(detector, str | Path) else detector
        )

    def predict(
        self,
        image: NDArray[np.uint8] | str | Path,
        boxes: ArrayLike | None = None,
        box_scores: ArrayLike | None = None,
    ) -> Poses:
        """Poses of the persons in one photo; see ``make_photo`` for the arguments and errors."""
        return next(self.predict_many([make_photo(image, boxes, box_scores, detector=self.detector)]))[1]

    def predict_many(self, photos: Iterable[Photo]) -> Iterator[tuple[Photo, Poses]]:
        """Poses of many photos, in their order; crops of several photos share a batch.

        Args:
            photos: Made by ``make_photo``; read no further ahead than a batch needs.

        Yields:
            Each photo and the poses of its persons, in the order of its boxes.
        """
        jobs = (self._job(photo) for photo in photos)
        for job, found in find_keypoints(self.runtime, jobs, flip_test=self.flip_test):
            yield job.source, self._poses(job.source, found)

    def _job(self, photo: Photo) -> CropJob[Photo]:
        centers, scales = centers_and_scales(photo.boxes, self.runtime.input_size_wh)
        return CropJob(photo.image, centers, scales, photo)

    def _poses(self, photo: Photo, found: Keypoints) -> Poses:
        return Poses(found.image_xy, found.scores, photo.boxes, photo.box_scores, self._keypoint_set)
