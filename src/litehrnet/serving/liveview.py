"""The live view: a page that runs the networks in the browser; pictures never leave it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litehrnet.detection import maps
from litehrnet.detectors.detector import MIN_SCORE as DETECTOR_MIN_SCORE
from litehrnet.drawing.skeletons import DENSE_SET, DENSE_WIDTH, HIDDEN_SCORE, SIDE_COLORS
from litehrnet.engine.programfile import SUFFIX as PROGRAM_SUFFIX
from litehrnet.engine.programfile import FlatProgram, flatten, read_flat
from litehrnet.engine.webfile import SUFFIX, pack
from litehrnet.errors import UserError
from litehrnet.inference.estimator import (
    COUNTED_SCORE,
    LEAST_BOX_SCORE,
    LEAST_PERSON_SCORE,
    MOST_SIMILAR,
    detected_padding,
)
from litehrnet.io.files import new_folder, read_bytes
from litehrnet.keypoints.boxes import PADDING
from litehrnet.keypoints.codec import blur_taps
from litehrnet.keypoints.crop import MEAN_COLOR
from litehrnet.keypoints.skeletons import is_of_people
from litehrnet.poses import KeypointSet
from litehrnet.runtimes.native import compile_weights
from litehrnet.runtimes.sdk import ONNX_SUFFIXES
from litehrnet.serving.content import Document
from litehrnet.weights.weights_file import WeightsInfo
from litehrnet.weights.zoo import DEFAULT_DETECTOR, find_detector, find_weights

PAGE = Path(__file__).parent / "page"
MODULE = Path(__file__).parent / "web"
"""The engine and its module for browsers, an npm package; ``make web`` compiles the .wasm files."""
EXAMPLE = Path(__file__).parents[1] / "photos" / "astronaut.jpg"
GROUP_EXAMPLE = EXAMPLE.with_name("three_people.jpg")
"""Example photo of a page with a detector."""

MIN_SCORE = 0.2
"""Score from which joints are opaque, as in drawn photos."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".jpg": "image/jpeg",
}


@dataclass(frozen=True)
class PageNetwork:
    """A network for the page.

    Attributes:
        name: Name of its weights.
        flat: The program.
        info: Description of the weights.
        input_size_wh: (width, height) of its input in pixels.
    """

    name: str
    flat: FlatProgram
    info: WeightsInfo
    input_size_wh: tuple[int, int]


@dataclass(frozen=True)
class PageDetector:
    """A detector for the page.

    Attributes:
        network: A detection network of ours.
        min_score: Boxes with a lower score are left out, 0..1.
        least_person_score: People with a lower score in COCO's results are left out, 0..1.
    """

    network: PageNetwork
    min_score: float
    least_person_score: float


def describe(network: PageNetwork, detector: PageDetector | None) -> dict[str, Any]:
    """Describe the networks for the page, as values for JSON.

    Args:
        network: Network that finds keypoints.
        detector: Detector of people; None to use the whole picture as one person's box.

    Raises:
        UserError: ``network`` does not find keypoints.
    """
    keypoint_set, codec = network.info.keypoint_set, network.info.codec
    return _describe_input(network) | {
        "padding": PADDING,
        "codec": {
            "kind": codec.kind,
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
        "detector": None if detector is None else _describe_detector(detector, network.info),
    }


def _describe_detector(detector: PageDetector, info: WeightsInfo) -> dict[str, Any]:
    return _describe_input(detector.network) | {
        "stride": maps.STRIDE,
        "distance_unit": maps.DISTANCE_UNIT,
        "max_log_distance": maps.MAX_LOG_DISTANCE,
        "max_overlap": maps.MAX_OVERLAP,
        "max_objects": maps.MAX_OBJECTS,
        "background": MEAN_COLOR,
        "min_score": detector.min_score,
        "padding": detected_padding(info),
        "least_person_score": detector.least_person_score,
    }


def _describe_input(network: PageNetwork) -> dict[str, Any]:
    return {
        "name": network.name,
        "provenance": network.info.provenance,
        "input_size_wh": network.input_size_wh,
        "mean": network.info.mean,
        "std": network.info.std,
    }


def open_model(weights: str | Path, input_size_wh: tuple[int, int] | None = None) -> PageNetwork:
    """Compile weights for the page.

    Args:
        weights: ``.safetensors``, a ``.native`` program, or a PyTorch checkpoint, which needs torch; or a name that
            ``litehrnet models`` lists.
        input_size_wh: (width, height) of the crops if the file does not state it.

    Raises:
        UserError: The file is missing, damaged or of another kind, or a package is missing.
    """
    path, known_size_wh = find_weights(weights)
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
    network = _opened(find_detector(chosen), None)
    if not network.info.detects:
        found = network.info.outputs_text
        raise UserError(f"{chosen}: finds {found} (expected weights of a detector that litehrnet trained)")
    if min_box_score is None and chosen == DEFAULT_DETECTOR:
        return PageDetector(network, LEAST_BOX_SCORE, LEAST_PERSON_SCORE)
    return PageDetector(network, DETECTOR_MIN_SCORE if min_box_score is None else min_box_score, 0.0)


def _opened(path: Path, input_size_wh: tuple[int, int] | None) -> PageNetwork:
    if path.suffix.lower() in ONNX_SUFFIXES:
        raise UserError(f"{path}: browsers do not run ONNX models (expected weights, or --no-page)")
    if path.suffix.lower() == PROGRAM_SUFFIX:
        flat, info = read_flat(path)
    else:
        program, info = compile_weights(path, input_size_wh)
        flat = flatten(program)
    if flat.bgr:
        raise UserError(f"{path}: takes BGR images (expected a program for RGB images)")
    return PageNetwork(path.stem, flat, info, flat.input_size_wh)


def network_file(model: PageNetwork, detector: PageDetector | None = None) -> bytes:
    """Pack the networks and their description into one file for browsers; arguments as for ``describe``."""
    programs = [model.flat] if detector is None else [model.flat, detector.network.flat]
    return pack(describe(model, detector), programs)


def page_answers(model: PageNetwork, detector: PageDetector | None = None) -> dict[str, Document]:
    """Collect the documents of the page, by path; arguments as for ``describe``.

    Raises:
        UserError: The engine for browsers was not built.
    """
    check_installed()
    answers = {
        **{f"/{path.name}": _document(path) for path in PAGE.iterdir()},
        **{f"/litehrnet/{path.name}": _document(path) for path in MODULE.iterdir() if path.suffix in (".js", ".wasm")},
        "/example.jpg": _document(EXAMPLE if detector is None else GROUP_EXAMPLE),
        f"/network{SUFFIX}": Document(network_file(model, detector), "application/octet-stream"),
    }
    answers["/"] = answers.pop("/index.html")
    return answers


def write_page(folder: Path, model: PageNetwork, detector: PageDetector | None = None) -> None:
    """Write the page as files, for any web server; other arguments as for ``describe``.

    Raises:
        UserError: The engine for browsers was not built, ``folder`` exists, or it cannot be written.
    """
    answers = page_answers(model, detector)
    with new_folder(folder) as temporary:
        for path, document in answers.items():
            file = temporary / (path.removeprefix("/") or "index.html")
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(document.content)


def check_installed() -> None:
    """Check that the engine for browsers was built.

    Raises:
        UserError: It is missing.
    """
    if not all((MODULE / name).is_file() for name in ("engine.wasm", "engine_relaxed.wasm")):
        raise UserError(
            "the page needs the engine for browsers, which was not built (expected make web in a checkout before the "
            "install, or --no-page)"
        )


def _document(path: Path) -> Document:
    return Document(read_bytes(path), _TYPES[path.suffix])
