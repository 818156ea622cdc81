"""``PoseEstimator``: loads weights once, then finds people and their keypoints in photos."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike

from litehrnet.arrays import Floats, Floats32, Image, Indices, Mask
from litehrnet.detectors.detections import Detector
from litehrnet.detectors.detector import open_detector
from litehrnet.errors import UserError
from litehrnet.inference.batching import CropJob, Keypoints, find_keypoints
from litehrnet.inference.photo import Channels, ImageLike, Photo, make_photo
from litehrnet.keypoints.boxes import PADDING, PIXEL_STD, centers_and_scales
from litehrnet.keypoints.oks import oks_nms, rescore
from litehrnet.keypoints.skeletons import is_of_people
from litehrnet.poses import Poses
from litehrnet.runtimes import Runtime, RuntimeSettings, open_runtime
from litehrnet.weights import zoo
from litehrnet.weights.weights_file import WeightsInfo

COUNTED_SCORE, MOST_SIMILAR = 0.2, 0.9
"""Score above which keypoints count in a person's score, and OKS above which the worse of two poses is dropped; both as
in the reference implementation."""

LEAST_BOX_SCORE, LEAST_PERSON_SCORE = 0.2, 0.09
"""Boxes of the bundled detector need at least this box score, and people at least this score in COCO's results
(``rescore``)."""

CLOSER_PADDING = 1.15
"""Size of a crop divided by that of its detected box, for the bundled pose weights. Their AP is higher with it than
with the protocol's 1.25 (docs/log/training_2026-11.md)."""

_SEEN_SCORE = 0.2
"""Keypoints with at least this score are evidence of a person."""


class PoseEstimator:
    """Finds people and their keypoints in photos.

    Photos without given boxes first pass through a person detector: the named one, or the bundled one. The bundled
    detector finds people, so it is only used for weights with the keypoints of a built-in set. For other weights,
    and with ``whole_image``, the whole picture is one person's box.

    Args:
        weights: ``.safetensors``, ``.onnx`` (also in MMDeploy's ``.zip``) or ``.native``; PyTorch checkpoints with the
            extra ``train``; or a name that ``litehrnet models`` lists, by default the bundled weights. Or a runtime
            from ``open_runtime``.
        runtime: ``native``, ``numpy``, ``onnxruntime``, ``openvino``, ``litert`` or ``torch``; None to choose by
            the file.
        flip_test: Average with the mirrored crop: slightly better, half as fast.
        detector: Your own, or a file or name for ``open_detector``; None for the bundled detector.
        whole_image: Use no detector: every picture is a crop of one person.
        min_box_score: Lowest box score that is kept, 0..1; None for the detector's own limit. With the bundled
            detector, None drops boxes under 0.2 and people whose score in COCO's results is under 0.09.
        max_persons: Number of people to keep, those with the highest box scores; None for all.
        **settings: ``input_size_wh``, ``threads``, ``precision``, ``device`` and ``compiled`` as for ``open_runtime``.
            The detector has as many threads. With an opened runtime, only ``threads`` is allowed.

    Attributes:
        runtime: The opened weights.
        detector: The person detector; None if the whole picture is one person's box.

    Raises:
        UserError: See ``litehrnet.runtimes.open_runtime`` and ``litehrnet.detectors.detector.open_detector``. Or the
            weights do not find keypoints, or settings contradict each other.

    Example:
        >>> from litehrnet import PoseEstimator
        >>> from litehrnet.cli.demo import PHOTO
        >>> estimator = PoseEstimator(max_persons=2)
        >>> len(estimator.predict(PHOTO))
        2
    """

    def __init__(
        self,
        weights: str | Path | Runtime = zoo.DEFAULT_WEIGHTS,
        runtime: str | None = None,
        *,
        flip_test: bool = False,
        detector: Detector | str | Path | None = None,
        whole_image: bool = False,
        min_box_score: float | None = None,
        max_persons: int | None = None,
        **settings: Unpack[RuntimeSettings],
    ) -> None:
        if whole_image and detector is not None:
            raise UserError("whole_image: uses no detector, and one is given (expected one of the two)")
        own = detector is not None and not isinstance(detector, str | Path)
        if min_box_score is not None and (own or whole_image):
            raise UserError("min_box_score: only works with a detector that is opened here (expected a name or file)")
        if isinstance(weights, str | Path):
            self.runtime: Runtime = open_runtime(weights, runtime, **settings)
        elif runtime is not None or settings.keys() - {"threads"}:
            raise UserError("weights: an opened runtime has its settings already (expected them in open_runtime)")
        else:
            self.runtime = weights
        self._keypoint_set = self.runtime.info.keypoint_set  # refuses a segmentation network now, not with the photo
        self.flip_test = flip_test
        self._max_persons = max_persons
        if not whole_image and detector is None and is_of_people(self._keypoint_set):
            detector = zoo.DEFAULT_DETECTOR
        # The bundled detector finds more with a low limit, and the keypoints tell people from coats and flags.
        self._checks_detector = detector == zoo.DEFAULT_DETECTOR and min_box_score is None
        self._detected_padding = detected_padding(self.runtime.info)
        if self._checks_detector:
            min_box_score = LEAST_BOX_SCORE
        if isinstance(detector, str | Path):
            limit = {} if min_box_score is None else {"min_score": min_box_score}
            detector = open_detector(detector, threads=settings.get("threads"), **limit)
        self.detector: Detector | None = detector

    @classmethod
    def from_pretrained(cls, name: str, **arguments: Any) -> Self:
        """Open weights by name, after downloading them unless they are there.

        Args:
            name: A name that ``litehrnet models`` lists, or ``hf://ORGANIZATION/REPOSITORY/FILE`` for a
                ``.safetensors`` or ``.onnx`` file on Hugging Face's Hub (extra ``hub``). ``REPOSITORY@REVISION`` asks
                for a revision.
            **arguments: Other arguments of the class, without ``weights``.

        Raises:
            UserError: The name is unknown, the download fails, or see the class.

        Example:
            >>> from litehrnet import PoseEstimator
            >>> PoseEstimator.from_pretrained("lite_hrnet_18").runtime.input_size_wh
            (192, 256)
        """
        from litehrnet.weights.hub import fetch_pretrained

        return cls(fetch_pretrained(name), **arguments)

    def predict(
        self,
        image: ImageLike,
        boxes: ArrayLike | None = None,
        box_scores: ArrayLike | None = None,
        channels: Channels = "rgb",
    ) -> Poses:
        """Find the people in one photo.

        Args:
            image: A file's name or content, a PIL image, an array or a tensor; see
                ``litehrnet.inference.photo.as_rgb``.
            boxes: (persons, 4): (x, y, width, height) in pixels, one pose each; None to detect the people.
            box_scores: (persons,), 0..1, of given boxes; None for 1.
            channels: Order of the channels of arrays and tensors: ``rgb``, or ``bgr`` as OpenCV reads them.

        Returns:
            One pose per given box, in their order; or per detected person, the highest box score first. May be empty.
            Its ``image`` is the file's name, or the pixels of an image that is not from a file.

        Raises:
            UserError: See ``litehrnet.inference.photo.make_photo``.

        Example:
            >>> from litehrnet import PoseEstimator
            >>> from litehrnet.cli.demo import PHOTO
            >>> poses = PoseEstimator().predict(PHOTO)
            >>> poses.keypoints.shape
            (3, 17, 2)
            >>> len(PoseEstimator().predict(PHOTO, boxes=[[408, 56, 231, 344]]))
            1
        """
        photo, poses = next(self.predict_many([(image, boxes, box_scores)], channels))
        return poses if photo.file is not None else replace(poses, image=photo.image)

    def predict_again(self, image: Image, boxes: Floats32, box_scores: Floats32) -> Poses:
        """Find the people of an earlier frame in the next one, with crops as for detected boxes.

        Args:
            image: uint8 (H, W, 3), RGB.
            boxes: (persons, 4): (x, y, width, height) in pixels, from the frame before.
            box_scores: (persons,), 0..1.

        Returns:
            One pose per box, in their order.

        Raises:
            UserError: See ``litehrnet.inference.photo.make_photo``.

        Example:
            >>> from litehrnet import PoseEstimator, read_image
            >>> from litehrnet.cli.demo import PHOTO
            >>> frame, estimator = read_image(PHOTO), PoseEstimator()
            >>> before = estimator.predict(frame)
            >>> len(estimator.predict_again(frame, before.boxes, before.box_scores))
            3
        """
        photo = replace(make_photo(image, boxes, box_scores), from_detector=True)
        return replace(next(self.predict_many([photo]))[1], image=image)

    def predict_many(
        self, photos: "Iterable[Photo | ImageLike | tuple[Any, ...]]", channels: Channels = "rgb"
    ) -> Iterator[tuple[Photo, Poses]]:
        """Find the people in many photos; crops of several photos share a batch.

        Args:
            photos: File names, arrays or anything else that ``predict`` accepts; tuples of an image, its boxes and
                perhaps their scores, as in ``predict``; or photos from ``make_photo``. They are read no further ahead
                than a batch needs.
            channels: Order of the channels of arrays and tensors, see ``predict``.

        Yields:
            Each photo and its poses, in the order of the photos. Their ``image`` is the file's name, None without one.

        Raises:
            UserError: A photo cannot be used. Earlier photos of its batch are lost, too.

        Example:
            >>> from litehrnet import PoseEstimator
            >>> from litehrnet.cli.demo import PHOTO
            >>> portrait = PHOTO.with_name("astronaut.jpg")
            >>> [len(poses) for _, poses in PoseEstimator().predict_many([PHOTO, portrait])]
            [3, 1]
        """
        jobs = (self._job(self._photo(photo, channels)) for photo in photos)
        for job, found in find_keypoints(self.runtime, jobs, flip_test=self.flip_test):
            yield job.source, self._poses(job, found)

    def _photo(self, photo: "Photo | ImageLike | tuple[Any, ...]", channels: Channels) -> Photo:
        if isinstance(photo, Photo):
            return photo
        image, boxes, box_scores = _three(photo) if isinstance(photo, tuple) else (photo, None, None)
        if boxes is not None:
            return make_photo(image, boxes, box_scores, channels=channels)
        return make_photo(image, detector=self.detector, max_persons=self._max_persons, channels=channels)

    def _job(self, photo: Photo) -> CropJob[Photo]:
        padding = self._detected_padding if photo.from_detector else PADDING
        centers, scales = centers_and_scales(photo.boxes, self.runtime.input_size_wh, padding)
        return CropJob(photo.image, centers, scales, photo)

    def _poses(self, job: CropJob[Photo], found: Keypoints) -> Poses:
        photo = job.source
        poses = Poses(found.image_xy, found.scores, photo.boxes, photo.box_scores, self._keypoint_set, photo.file)
        scales = job.scales
        if photo.detected and self._checks_detector:
            seen = rescore(poses.box_scores, poses.scores, COUNTED_SCORE) >= LEAST_PERSON_SCORE
            poses, scales = poses[seen], scales[seen]
        return poses[_distinct(poses, scales)] if photo.detected and len(poses) > 1 else poses


def detected_padding(info: WeightsInfo) -> float:
    """Return the size of a crop divided by that of its detected box, for these pose weights."""
    return CLOSER_PADDING if zoo.is_default(info) else PADDING


def _three(photo: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    if len(photo) not in (2, 3):
        raise UserError(f"image: a tuple of {len(photo)} (expected an image, its boxes, and perhaps their scores)")
    return photo[0], photo[1], photo[2] if len(photo) == 3 else None


def _distinct(poses: Poses, scales: Floats) -> Indices:
    """Return the indices, in order, of the poses that remain after dropping near duplicates of better poses.

    As in the reference implementation: poses are rescored, and OKS uses the area of the padded box.
    """
    scores = rescore(poses.box_scores, poses.scores, COUNTED_SCORE)
    areas = np.prod(scales.astype(np.float64) * PIXEL_STD, axis=1)
    sigmas = np.array(poses.keypoint_set.sigmas)
    return np.sort(oks_nms(poses.keypoints, scores, areas, sigmas, MOST_SIMILAR))


def is_seen(poses: Poses) -> Mask:
    """Return whether each pose shows a person: a quarter of its keypoints, at least three, score 0.2 or more.

    A picture without people also gives keypoints, with low scores. A detector decides this better; this rule is for
    pictures that are one person's box. The page in the browser uses the same rule.

    Returns:
        bool (persons,).
    """
    count = len(poses.keypoint_set)
    needed = min(max(3, count / 4), count)
    return np.asarray((poses.scores >= _SEEN_SCORE).sum(axis=1) >= needed)
