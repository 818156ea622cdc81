"""``PoseEstimator``: load weights once, then find people and their keypoints in photos."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from litehrnet.detectors.detections import Detector
from litehrnet.detectors.detector import open_detector
from litehrnet.errors import UserError
from litehrnet.inference.batching import CropJob, Keypoints, find_keypoints
from litehrnet.inference.photo import ImageLike, Photo, make_photo
from litehrnet.keypoints.boxes import PIXEL_STD, centers_and_scales
from litehrnet.keypoints.oks import oks_nms, rescore
from litehrnet.keypoints.skeletons import is_of_people
from litehrnet.poses import Poses
from litehrnet.runtimes import Runtime, open_runtime
from litehrnet.weights import zoo

COUNTED_SCORE, MOST_SIMILAR = 0.2, 0.9
"""As published: keypoints with a higher score count in a person's score, and of two poses that are more similar (OKS),
the worse one is dropped."""

LEAST_BOX_SCORE, LEAST_POSE_SCORE = 0.2, 0.05
"""Of the bundled detector's boxes, those with such a score are looked at, and those with such a pose score are kept."""

_SEEN_SCORE = 0.2
"""Keypoints with this score or more show that somebody is there."""


class PoseEstimator:
    """Finds people and their keypoints in photos.

    Photos without given boxes go through a person detector first: the one named, else the bundled one. The bundled
    one finds people, so it is not used for weights with other keypoints than those of COCO, MPII or LSP. Then, and
    with ``whole_image``, the whole picture is taken as one person's box.

    Args:
        weights: ``.safetensors``, ``.onnx`` or ``.native``; PyTorch checkpoints with the extra ``train``; or a name
            that ``litehrnet models`` lists, by default the bundled weights.
        runtime: ``native``, ``onnxruntime``, ``openvino`` or ``torch``; None for native, or for what the file is for.
        flip_test: Average with the mirrored crop: a little better, half as fast.
        input_size_wh: (width, height) of the crops if the weights' file does not state it.
        threads: CPU threads; None for all.
        precision: ``float32``; for native and torch also ``bf16``, for torch on a GPU ``fp16``.
        device: For torch: ``cpu``, ``cuda``, ``cuda:1``, ...
        compiled: For torch: through ``torch.compile``.
        detector: Your own, or a file or name for ``open_detector``; None for the bundled one.
        whole_image: Use no detector: pictures are crops of one person.
        min_box_score: Boxes with a lower score are left out, 0..1; None for the detector's own limit. With the bundled
            detector, None leaves out boxes under 0.2, and people with a pose score under 0.05.
        max_persons: Keep only so many of the detected people, the surest; None for all.

    Raises:
        UserError: See ``litehrnet.runtimes.open_runtime`` and ``litehrnet.detectors.detector.open_detector``; or
            settings contradict each other.
    """

    def __init__(
        self,
        weights: str | Path = zoo.DEFAULT_WEIGHTS,
        runtime: str | None = None,
        *,
        flip_test: bool = False,
        input_size_wh: tuple[int, int] | None = None,
        threads: int | None = None,
        precision: str = "float32",
        device: str = "cpu",
        compiled: bool = False,
        detector: Detector | str | Path | None = None,
        whole_image: bool = False,
        min_box_score: float | None = None,
        max_persons: int | None = None,
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
        self._max_persons = max_persons
        if whole_image and detector is not None:
            raise UserError("whole_image: uses no detector, and one is given (expected one of the two)")
        own = detector is not None and not isinstance(detector, str | Path)
        if min_box_score is not None and (own or whole_image):
            raise UserError("min_box_score: only works with a detector that is opened here (expected a name or file)")
        named = detector
        if not whole_image and named is None and is_of_people(self._keypoint_set):
            detector = zoo.DEFAULT_DETECTOR
        # The bundled detector finds more with a low limit, and the keypoints tell people from coats and flags.
        self._checks_detector = detector == zoo.DEFAULT_DETECTOR and min_box_score is None
        if self._checks_detector:
            min_box_score = LEAST_BOX_SCORE
        if named is not None:
            self.detector = _opened(named, min_box_score, threads)  # a wrong file is refused now
        self._detector, self._min_box_score, self._threads = detector, min_box_score, threads

    @cached_property
    def detector(self) -> Detector | None:
        """The person detector, or None if the whole picture is taken; the bundled one is loaded at the first use."""
        if self._detector is None:
            return None
        return _opened(self._detector, self._min_box_score, self._threads)

    def predict(self, image: ImageLike, boxes: ArrayLike | None = None, box_scores: ArrayLike | None = None) -> Poses:
        """Find the people in one photo.

        Args:
            image: A file's name or content, a PIL image or an array; see ``litehrnet.inference.photo.as_rgb``.
            boxes: (persons, 4): (x, y, width, height) in pixels, one pose each; None to detect the people.
            box_scores: (persons,), 0..1, of given boxes; None for 1.

        Returns:
            One pose per given box, in their order; or per detected person, the surest first. Nobody gives no poses.

        Raises:
            UserError: See ``litehrnet.inference.photo.make_photo``.
        """
        photo = self._photo(image) if boxes is None else make_photo(image, boxes, box_scores)
        return next(self.predict_many([photo]))[1]

    def predict_many(self, photos: Iterable[Photo | ImageLike]) -> Iterator[tuple[Photo, Poses]]:
        """Find the people in many photos; crops of several photos share a batch.

        Args:
            photos: Files' names, arrays or what else ``predict`` accepts; or made by ``make_photo``, with boxes of
                their own. They are read no further ahead than a batch needs.

        Yields:
            Each photo and its poses, in the order of the photos.

        Raises:
            UserError: A photo cannot be used; those before it have been yielded or are lost with their batch.
        """
        jobs = (self._job(photo if isinstance(photo, Photo) else self._photo(photo)) for photo in photos)
        for job, found in find_keypoints(self.runtime, jobs, flip_test=self.flip_test):
            yield job.source, self._poses(job, found)

    def _photo(self, image: ImageLike) -> Photo:
        return make_photo(image, detector=self.detector, max_persons=self._max_persons)

    def _job(self, photo: Photo) -> CropJob[Photo]:
        centers, scales = centers_and_scales(photo.boxes, self.runtime.input_size_wh)
        return CropJob(photo.image, centers, scales, photo)

    def _poses(self, job: CropJob[Photo], found: Keypoints) -> Poses:
        photo = job.source
        poses = Poses(found.image_xy, found.scores, photo.boxes, photo.box_scores, self._keypoint_set)
        scales = job.scales
        if photo.detected and self._checks_detector:
            seen = poses.pose_scores >= LEAST_POSE_SCORE
            poses, scales = poses[seen], scales[seen]
        return poses[_distinct(poses, scales)] if photo.detected and len(poses) > 1 else poses


def _opened(detector: Detector | str | Path, min_box_score: float | None, threads: int | None) -> Detector:
    if not isinstance(detector, str | Path):
        return detector
    if min_box_score is None:
        return open_detector(detector, threads=threads)
    return open_detector(detector, min_score=min_box_score, threads=threads)


def _distinct(poses: Poses, scales: NDArray[np.floating]) -> NDArray[np.intp]:
    """Indices, in order, of the people that remain when all but one of several nearly equal poses are dropped.

    Done as in the published protocol: rescored, similarity (OKS) over the area of the padded box.
    """
    scores = rescore(poses.box_scores, poses.scores, COUNTED_SCORE)
    areas = np.prod(scales.astype(np.float64) * PIXEL_STD, axis=1)
    sigmas = np.array(poses.keypoint_set.sigmas)
    return np.sort(oks_nms(poses.keypoints, scores, areas, sigmas, MOST_SIMILAR))


def is_seen(poses: Poses) -> NDArray[np.bool_]:
    """Whether somebody is there: a quarter of the keypoints, and at least three, have a score of 0.2 or more.

    A picture without people gives keypoints too, with low scores. A detector answers this question better; this is
    for pictures that are taken as a whole. The page in the browser goes by the same rule.

    Returns:
        bool (persons,).
    """
    count = len(poses.keypoint_set)
    needed = min(max(3, count / 4), count)
    return np.asarray((poses.scores >= _SEEN_SCORE).sum(axis=1) >= needed)
