"""Person detectors: opening bundled ones, and running exported networks of other projects."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Floats32, Floats64, Image
from litehrnet.detection.maps import MAX_OBJECTS, suppress
from litehrnet.detectors.box_detector import BoxDetector
from litehrnet.detectors.detections import DetectedBoxes, boxes_in_photo
from litehrnet.detectors.layouts import KINDS, Layout, recognize
from litehrnet.detectors.network import ExportedNetwork, NetworkInput, open_network
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.runtimes import open_runtime
from litehrnet.runtimes.onnxfile import read_info
from litehrnet.weights.zoo import find_detector

MIN_SCORE = 0.3
"""Default of the lowest score of a box."""

_GRAY = 114  # padding around a photo, as the authors of all these networks use it
_OPEN_SIDE = 640  # pixels, if the network accepts any size
_OWN_SUFFIXES = (".safetensors", ".pth", ".pt", ".tflite", ".native")
_SIZE_INPUTS = {"scale_factor", "im_shape"}  # Paddle's


def open_detector(
    path: str | Path, *, min_score: float = MIN_SCORE, threads: int | None = None
) -> "BoxDetector | NetworkDetector":
    """Open a detector of this project, or an exported one, which is recognized by its inputs and outputs.

    Args:
        path: Detector of this project (``.safetensors``, ``.pth``, ``.onnx``, ``.native``); or an export of YOLOX,
            RTMDet, YOLOv8 (and later) or PicoDet (``.onnx``, or OpenVINO's ``.xml`` with the extra ``openvino``);
            or a name that ``litehrnet models`` lists.
        min_score: Lowest score of a box, 0..1.
        threads: CPU threads; None for all.

    Raises:
        UserError: The file is missing, cannot be loaded or run, or is not a supported detector.

    Example:
        >>> from litehrnet import open_detector, read_image
        >>> from litehrnet.cli.demo import PHOTO
        >>> found = open_detector("person", min_score=0.5).detect(read_image(PHOTO))
        >>> found.boxes.shape
        (3, 4)
    """
    path = find_detector(path)
    if _is_ours(path):
        return BoxDetector(open_runtime(path, threads=threads), min_score, str(path))
    return _open_exported(path, min_score, threads)


def _is_ours(path: Path) -> bool:
    """Return whether a file is from this project, by its suffix, or for ONNX models by their metadata."""
    if path.suffix.lower() != ".onnx":
        return path.suffix.lower() in _OWN_SUFFIXES
    return path.is_file() and read_info(read_bytes(path), path) is not None


def _open_exported(path: Path, min_score: float, threads: int | None) -> "NetworkDetector":
    """Open a detector of another project; see ``open_detector``."""
    network = open_network(path, threads)
    image, size = _image_input(network, path)
    others = {port.name for port in network.inputs} - {image.name}
    if not others <= _SIZE_INPUTS:
        raise UserError(f"{path}: has further inputs {', '.join(sorted(others))} (expected only an image)")
    try:
        outputs = _run(network, image, np.full((size[1], size[0], 3), _GRAY, np.float32))
    except Exception as error:
        # ONNX Runtime and OpenVINO have no common class of exceptions for inconsistent graphs.
        raise UserError(f"{path}: cannot be run on an image of {size[0]}x{size[1]} (width x height)") from error
    layout = recognize(
        [output.shape for output in outputs],
        size,
        has_scale_factor="scale_factor" in others,
        slices_image=any("Slice" in name for name in network.operators_on(image.name)),
    )
    if layout is None:
        shapes = ", ".join("x".join(map(str, output.shape)) for output in outputs)
        raise UserError(
            f"{path}: not a supported person detector (its outputs for {size[0]}x{size[1]} pixels are {shapes}; "
            f"expected an export of {KINDS})"
        )
    description = f"{layout.name}, {size[0]}x{size[1]} (width x height), {network.description}"
    return NetworkDetector(network, image, size, layout, min_score, description)


def _image_input(network: ExportedNetwork, path: Path) -> tuple[NetworkInput, tuple[int, int]]:
    """Find the input for the image, and its (width, height)."""
    images = [port for port in network.inputs if len(port.shape) == 4]
    if len(images) != 1 or images[0].shape[1] not in (3, None) or images[0].shape[0] not in (1, None):
        shapes = ", ".join(str([*port.shape]).replace("None", "?") for port in network.inputs)
        raise UserError(f"{path}: has inputs of shape {shapes} (expected a detector of one image, 1 x 3 x H x W)")
    if images[0].dtype is None:
        raise UserError(f"{path}: its input image has whole numbers (expected float32 or float16)")
    height, width = (side or _OPEN_SIDE for side in images[0].shape[2:])
    return images[0], (width, height)


def _run(network: ExportedNetwork, image_input: NetworkInput, pixels: Floats32) -> list[NDArray[Any]]:
    """Run the network on an image, float32 (height, width, 3), of the network's input size and range."""
    size_hw = np.array([pixels.shape[:2]], np.float32)
    inputs = {"scale_factor": np.ones((1, 2), np.float32), "im_shape": size_hw}
    named = {port.name: inputs[port.name] for port in network.inputs if port.name != image_input.name}
    image = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], image_input.dtype)
    return network.run({image_input.name: image, **named})


@dataclass(frozen=True)
class NetworkDetector:
    """``Detector`` that runs an exported network; created by ``open_detector``.

    Attributes:
        network: The network.
        image_input: Input for the image.
        input_size_wh: (width, height) of the input image.
        layout: Preprocessing of the input and meaning of the outputs.
        min_score: Lowest score of a box, 0..1.
        description: Layout, input size and runtime, for messages.
    """

    network: ExportedNetwork
    image_input: NetworkInput
    input_size_wh: tuple[int, int]
    layout: Layout
    min_score: float
    description: str

    def detect(self, image: Image) -> DetectedBoxes:
        """Find the objects in a photo, see ``Detector``."""
        pixels, scale_xy, shift_xy = _fitted(image, self.input_size_wh, self.layout)
        corners, scores = self.layout.decode(_run(self.network, self.image_input, pixels), self.input_size_wh)
        likely = np.flatnonzero((scores >= self.min_score) & np.isfinite(corners).all(axis=1))
        likely = likely[np.argsort(-scores[likely], kind="stable")][:MAX_OBJECTS]
        corners, scores = corners[likely].astype(np.float32), scores[likely].astype(np.float32)
        if not self.layout.suppressed:
            kept = suppress(corners, scores)
            corners, scores = corners[kept], scores[kept]
        corners = (corners.reshape(-1, 2, 2) - shift_xy) / scale_xy
        return boxes_in_photo(corners, scores, image)


def _fitted(image: Image, input_size_wh: tuple[int, int], layout: Layout) -> tuple[Floats32, Floats64, Floats64]:
    """Fit a photo into the network's input (height, width, 3); return it with its scale (x, y) and shift (x, y)."""
    import cv2

    size, target = np.array(image.shape[1::-1]), np.array(input_size_wh)
    stretched = layout.fit == "stretch"
    scaled = target if stretched else np.maximum(np.rint(size * (target / size).min()), 1).astype(int)
    shift = (target - scaled) // 2 if layout.fit == "center" else np.zeros(2, int)
    resized = cv2.resize(image, scaled.tolist(), interpolation=cv2.INTER_CUBIC if stretched else cv2.INTER_LINEAR)
    canvas = np.full((target[1], target[0], 3), _GRAY, np.uint8)
    canvas[shift[1] : shift[1] + scaled[1], shift[0] : shift[0] + scaled[0]] = resized
    ordered = canvas[..., ::-1] if layout.bgr else canvas
    pixels = (ordered - np.array(layout.mean, np.float32)) / np.array(layout.std, np.float32)
    return pixels.astype(np.float32), np.asarray(scaled / size), np.asarray(shift, np.float64)
