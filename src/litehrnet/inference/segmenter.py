"""``Segmenter``: loads weights once, then finds the class of every pixel in photos of any size."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np

from litehrnet.arrays import Image
from litehrnet.errors import UserError
from litehrnet.inference.photo import Channels, ImageLike, as_rgb, name_of
from litehrnet.runtimes import Runtime, RuntimeSettings, open_runtime
from litehrnet.segmentation.classes import ClassSet
from litehrnet.segmentation.scores import Scores, best_classes, enlarged, probabilities

_SIDE_STEP = 32  # sides of images must be divisible by it
_KEPT_RUNTIMES = 4
_WINDOW_STEP = 2 / 3  # of a window's side: neighbors overlap by a third


class Segmenter:
    """Finds the class of every pixel.

    Whole images are padded to sides divisible by 32, with the color that normalization maps to zero. Windows overlap
    by a third or more, and the scores of overlapping windows are averaged. With several views (mirrored, other
    scales) the probabilities are averaged.

    Args:
        runtime: The opened network.
        window: Segment windows of the network's own size instead of whole images.
        flip: Segment the mirrored image, too.
        scales: Sizes at which the image is segmented, as factors of its own size.

    Raises:
        UserError: The network finds keypoints; a scale is not above 0.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from litehrnet import Segmenter, create_network, read_image
        >>> from litehrnet.cli.demo import PHOTO
        >>> from litehrnet.models.weights import save_network
        >>> from litehrnet.runtimes import open_runtime
        >>> from litehrnet.segmentation.classes import find_class_set
        >>> from litehrnet.weights.weights_file import WeightsInfo
        >>> classes = find_class_set("cityscapes")
        >>> network = create_network("lite_hrnet_18", num_classes=len(classes))  # untrained
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     weights = Path(folder) / "weights.safetensors"
        ...     save_network(weights, network, WeightsInfo("lite_hrnet_18", classes, input_size_wh=(256, 256)))
        ...     segmenter = Segmenter(open_runtime(weights))
        >>> image = read_image(PHOTO)[::4, ::4]
        >>> segmenter.segment(image).shape
        (100, 286)
        >>> segmenter.scores(image).shape
        (19, 100, 286)
    """

    def __init__(
        self, runtime: Runtime, *, window: bool = False, flip: bool = False, scales: Sequence[float] = (1.0,)
    ) -> None:
        if not scales or min(scales) <= 0:
            raise UserError(f"scales {', '.join(map(str, scales)) or 'none'}: expected numbers above 0, such as 0.75 1")
        self._window, self._flip, self._scales = window, flip, tuple(scales)
        self.runtime = runtime
        self.class_set: ClassSet = runtime.info.class_set
        self._runtimes = OrderedDict({runtime.input_size_wh: runtime})

    def segment(self, image: ImageLike, channels: Channels = "rgb") -> Image:
        """Find the classes of the pixels of one image.

        Args:
            image: Image of any size: a file's name or content, an array, ...; see ``litehrnet.inference.photo.as_rgb``.
            channels: Order of the channels of arrays and tensors: ``rgb``, or ``bgr`` as OpenCV reads them.

        Returns:
            uint8 (height, width).

        Raises:
            UserError: The image cannot be used. Or the weights' file runs at one input size only, and the image has
                another size.
        """
        image = as_rgb(image, name_of(image), channels)
        height, width = image.shape[:2]
        if self._window or self._flip or self._scales != (1.0,):
            return best_classes(self.scores(image), (width, height))
        scores, size_wh = self._whole(image)
        return np.ascontiguousarray(best_classes(scores, size_wh)[:height, :width])

    def scores(self, image: Image) -> Scores:
        """Return scores of one view, or mean probabilities of several: float32 (classes, height, width)."""
        mirrorings = (False, True) if self._flip else (False,)
        views = [(scale, mirrored) for scale in self._scales for mirrored in mirrorings]
        if len(views) == 1:
            return self._view(image, *views[0])
        total = probabilities(self._view(image, *views[0]))
        for view in views[1:]:
            total += probabilities(self._view(image, *view))
        return total / np.float32(len(views))

    def _view(self, image: Image, scale: float, mirrored: bool) -> Scores:
        import cv2

        height, width = image.shape[:2]
        if scale != 1:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        if mirrored:
            image = np.ascontiguousarray(image[:, ::-1])
        if self._window:
            scores = self._windows(image)
        else:
            raw, size_wh = self._whole(image)
            scores = enlarged(raw, size_wh)[:, : image.shape[0], : image.shape[1]]
        return enlarged(scores[..., ::-1] if mirrored else scores, (width, height))

    def _whole(self, image: Image) -> tuple[Scores, tuple[int, int]]:
        """Return the raw scores of the padded image, and its (width, height)."""
        height, width = image.shape[:2]
        size_wh = -(-width // _SIDE_STEP) * _SIDE_STEP, -(-height // _SIDE_STEP) * _SIDE_STEP
        scores = self._runtime_for(size_wh).forward(self._padded(image, size_wh)[None])[0]
        return scores, size_wh

    def _windows(self, image: Image) -> Scores:
        window_wh = self.runtime.input_size_wh
        height, width = image.shape[:2]
        image = self._padded(image, (max(width, window_wh[0]), max(height, window_wh[1])))
        total = np.zeros((len(self.class_set), *image.shape[:2]), np.float32)
        count = np.zeros(image.shape[:2], np.float32)
        for y in window_starts(image.shape[0], window_wh[1]):
            for x in window_starts(image.shape[1], window_wh[0]):
                place = np.s_[y : y + window_wh[1], x : x + window_wh[0]]
                scores = self.runtime.forward(np.ascontiguousarray(image[place])[None])[0]
                total[(slice(None), *place)] += enlarged(scores, window_wh)
                count[place] += 1
        total /= count
        return total[:, :height, :width]

    def _padded(self, image: Image, size_wh: tuple[int, int]) -> Image:
        height, width = image.shape[:2]
        if (width, height) == size_wh:
            return image
        padded = np.empty((size_wh[1], size_wh[0], 3), np.uint8)
        padded[:] = np.rint(255 * np.array(self.runtime.info.mean)).astype(np.uint8)
        padded[:height, :width] = image
        return padded

    def _runtime_for(self, size_wh: tuple[int, int]) -> Runtime:
        """Return the network for images of one size; the last few sizes are cached."""
        if size_wh not in self._runtimes:
            self._runtimes[size_wh] = self.runtime.resized(size_wh)
            if len(self._runtimes) > _KEPT_RUNTIMES:
                self._runtimes.popitem(last=False)
        self._runtimes.move_to_end(size_wh)
        return self._runtimes[size_wh]


def open_segmenter(
    weights: str | Path,
    *,
    window: bool = False,
    flip: bool = False,
    scales: Sequence[float] = (1.0,),
    runtime: str | None = None,
    **settings: Unpack[RuntimeSettings],
) -> Segmenter:
    """Open a segmenter from a file of weights; arguments and errors as for ``open_runtime`` and ``Segmenter``.

    ONNX models and ``.native`` programs run at one input size: images of other sizes need ``window``.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from litehrnet import create_network, open_segmenter
        >>> from litehrnet.cli.demo import PHOTO
        >>> from litehrnet.models.weights import save_network
        >>> from litehrnet.segmentation.classes import find_class_set
        >>> from litehrnet.weights.weights_file import WeightsInfo
        >>> classes = find_class_set("cityscapes")
        >>> network = create_network("lite_hrnet_18", num_classes=len(classes))  # untrained
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     weights = Path(folder) / "weights.safetensors"
        ...     save_network(weights, network, WeightsInfo("lite_hrnet_18", classes, input_size_wh=(256, 256)))
        ...     segmenter = open_segmenter(weights, window=True)
        >>> segmenter.segment(PHOTO).shape  # in windows of 256x256
        (400, 1141)
    """
    return Segmenter(open_runtime(weights, runtime, **settings), window=window, flip=flip, scales=scales)


def window_starts(length: int, window: int) -> list[int]:
    """Place windows along a side: from 0 to its end, at distances of at most 2/3 of a window.

    Args:
        length: Length of the image's side in pixels, at least that of the window.
        window: Length of the window's side in pixels.

    Returns:
        First pixel of each window.
    """
    steps = int(np.ceil((length - window) / (window * _WINDOW_STEP)))
    return [round(index * (length - window) / max(steps, 1)) for index in range(steps + 1)]
