"""The live view: a page that runs the networks in the browser; pictures never leave it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import litehrnet
from litehrnet.detection import maps
from litehrnet.detectors.detector import MIN_SCORE as DETECTOR_MIN_SCORE
from litehrnet.drawing.skeletons import DENSE_SET, DENSE_WIDTH, HIDDEN_SCORE, SIDE_COLORS
from litehrnet.errors import UserError
from litehrnet.inference.estimator import COUNTED_SCORE, LEAST_BOX_SCORE, LEAST_POSE_SCORE, MOST_SIMILAR
from litehrnet.io.archives import read_data_file
from litehrnet.io.files import make_folder, read_bytes
from litehrnet.keypoints.boxes import PADDING
from litehrnet.keypoints.codec import blur_taps
from litehrnet.keypoints.crop import MEAN_COLOR
from litehrnet.keypoints.skeletons import is_of_people
from litehrnet.optional import require
from litehrnet.poses import KeypointSet
from litehrnet.runtimes.onnxruntime import OnnxRuntime
from litehrnet.runtimes.sdk import ONNX_SUFFIXES, model_file
from litehrnet.serving.http import Document
from litehrnet.weights.weights_file import WeightsInfo
from litehrnet.weights.zoo import DEFAULT_DETECTOR, cache_folder, find_detector, find_weights

PAGE = Path(__file__).parent / "page"
ONNXRUNTIME_WEB = Path(__file__).parent / "onnxruntime_web"
"""ONNX Runtime for browsers, installed by ``make web``; not part of the sources."""
EXAMPLE = Path(__file__).parents[1] / "photos" / "astronaut.jpg"
GROUP_EXAMPLE = EXAMPLE.with_name("three_people.jpg")
"""Example photo of a page with a detector."""

MIN_SCORE = 0.2
"""Score from which joints are opaque, as in drawn photos."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".jpg": "image/jpeg",
}


@dataclass(frozen=True)
class PageNetwork:
    """A network for the page.

    Attributes:
        name: Name of its weights.
        content: The ONNX model.
        info: Description of the weights.
        input_size_wh: (width, height) of its input in pixels.
    """

    name: str
    content: bytes
    info: WeightsInfo
    input_size_wh: tuple[int, int]


@dataclass(frozen=True)
class PageDetector:
    """A detector for the page.

    Attributes:
        network: A detection network of ours.
        min_score: Boxes with a lower score are left out, 0..1.
        least_pose_score: People with a lower pose score are left out, 0..1.
    """

    network: PageNetwork
    min_score: float
    least_pose_score: float


def describe(network: PageNetwork, detector: PageDetector | None) -> dict[str, Any]:
    """Describe the networks for the page, as values for JSON.

    Args:
        network: Network that finds keypoints.
        detector: Detector of people; None to use the whole picture as one person's box.

    Raises:
        UserError: ``network`` does not find keypoints.
    """
    keypoint_set, codec = network.info.keypoint_set, network.info.codec
    return _describe_input(network, "/model.onnx") | {
        "padding": PADDING,
        "codec": {
            "kind": "simcc" if network.info.simcc_bins_wh else codec.kind,
            "blur_taps": blur_taps(codec.blur_kernel).tolist(),
        },
        "keypoint_names": keypoint_set.keypoint_names,
        "limbs": keypoint_set.limbs,
        "sigmas": keypoint_set.sigmas,
        "colors": {side: f"rgb{color}" for side, color in SIDE_COLORS.items()},
        "min_score": MIN_SCORE,
        "hidden_score": HIDDEN_SCORE,
        "dense_set": DENSE_SET,
        "dense_width": DENSE_WIDTH,
        "counted_score": COUNTED_SCORE,
        "most_similar": MOST_SIMILAR,
        "detector": None if detector is None else _describe_detector(detector),
    }


def _describe_detector(detector: PageDetector) -> dict[str, Any]:
    return _describe_input(detector.network, "/detector.onnx") | {
        "stride": maps.STRIDE,
        "distance_unit": maps.DISTANCE_UNIT,
        "max_log_distance": maps.MAX_LOG_DISTANCE,
        "max_overlap": maps.MAX_OVERLAP,
        "max_objects": maps.MAX_OBJECTS,
        "background": MEAN_COLOR,
        "min_score": detector.min_score,
        "least_pose_score": detector.least_pose_score,
    }


def _describe_input(network: PageNetwork, file: str) -> dict[str, Any]:
    return {
        "name": network.name,
        "provenance": network.info.provenance,
        "file": file,
        "input_size_wh": network.input_size_wh,
        "mean": network.info.mean,
        "std": network.info.std,
    }


def open_model(weights: str | Path, input_size_wh: tuple[int, int] | None = None) -> PageNetwork:
    """Open an ONNX model, or export weights to one, which is kept for the next time.

    Args:
        weights: ``.onnx``, also in a zip archive of MMDeploy; or ``.safetensors`` and PyTorch checkpoints, with the
            extra ``export``; or a name that ``litehrnet models`` lists.
        input_size_wh: (width, height) of the crops if the file does not state it.

    Raises:
        UserError: The file is missing, damaged or of another kind, or a package is missing.
    """
    path, known_size_wh = find_weights(weights, "onnxruntime")
    return _opened(path, input_size_wh or known_size_wh)


def open_page_detector(
    detector: str | Path | None, keypoint_set: KeypointSet, min_box_score: float | None = None
) -> PageDetector | None:
    """Open the detector that ``PoseEstimator`` uses with the same arguments.

    Args:
        detector: Weights of a detector of ours, or a name; None for the bundled one.
        keypoint_set: Keypoints of the pose network: the bundled detector is used for people only.
        min_box_score: Boxes with a lower score are left out, 0..1; None for the detector's own limit.

    Returns:
        None where no detector is named and the keypoints are not of people.

    Raises:
        UserError: See ``open_model``; or the network finds no boxes.
    """
    if detector is None and not is_of_people(keypoint_set):
        return None
    chosen = DEFAULT_DETECTOR if detector is None else detector
    network = _opened(find_detector(chosen, onnx=True), None)
    if not network.info.detects:
        found = network.info.outputs_text
        raise UserError(f"{chosen}: finds {found} (expected weights of a detector that litehrnet trained)")
    if min_box_score is None and chosen == DEFAULT_DETECTOR:
        return PageDetector(network, LEAST_BOX_SCORE, LEAST_POSE_SCORE)
    return PageDetector(network, DETECTOR_MIN_SCORE if min_box_score is None else min_box_score, 0.0)


def _opened(path: Path, input_size_wh: tuple[int, int] | None) -> PageNetwork:
    if path.suffix.lower() == ".native":
        raise UserError(f"{path}: browsers do not run programs of the native engine (expected .onnx or weights)")
    model = path if path.suffix.lower() in ONNX_SUFFIXES else _exported(path, input_size_wh)
    runtime = OnnxRuntime(model, input_size_wh, threads=1)
    content = read_data_file(model_file(model))
    return PageNetwork(path.stem, content, runtime.info, runtime.input_size_wh)


def page_answers(model: PageNetwork, detector: PageDetector | None = None) -> dict[str, Document]:
    """Collect the documents of the page, by path; arguments as for ``describe``.

    Raises:
        UserError: ONNX Runtime Web is missing.
    """
    check_installed()
    answers = {
        **{f"/{path.name}": _document(path) for path in PAGE.iterdir()},
        **{f"/ort/{path.name}": _document(path) for path in ONNXRUNTIME_WEB.iterdir() if path.suffix in _TYPES},
        "/example.jpg": _document(EXAMPLE if detector is None else GROUP_EXAMPLE),
        "/model.onnx": Document(model.content, "application/octet-stream"),
        "/model.json": Document(json.dumps(describe(model, detector)).encode(), "application/json"),
    }
    if detector is not None:
        answers["/detector.onnx"] = Document(detector.network.content, "application/octet-stream")
    answers["/"] = answers.pop("/index.html")
    return answers


def check_installed() -> None:
    """Check that ONNX Runtime Web is installed.

    Raises:
        UserError: It is missing.
    """
    if not (ONNXRUNTIME_WEB / "package.json").is_file():
        raise UserError(
            "the page needs ONNX Runtime Web, which is not installed (expected make web in a checkout before the "
            "install, or --no-page)"
        )


def _exported(weights: Path, input_size_wh: tuple[int, int] | None) -> Path:
    # Exporting takes minutes, so it is done once per content of a file.
    text = f"{litehrnet.__version__} {input_size_wh} {hashlib.sha256(read_bytes(weights)).hexdigest()}"
    folder = cache_folder() / "exported"
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.onnx"
    if not path.is_file():
        for package in ("torch", "onnx", "onnxscript"):
            require(package, "export", f"{weights}: showing anything but ONNX models in a browser")
        from litehrnet.export.onnx import export_onnx

        export_onnx(weights, make_folder(folder) / path.name, input_size_wh)
    return path


def _document(path: Path) -> Document:
    return Document(read_bytes(path), _TYPES[path.suffix])
