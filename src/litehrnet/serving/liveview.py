"""The live view: a page that runs the network in the browser; the pictures it looks at stay there."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import litehrnet
from litehrnet.drawing.skeletons import HIDDEN_SCORE, SIDE_COLORS
from litehrnet.errors import UserError
from litehrnet.io.files import make_folder, read_bytes
from litehrnet.keypoints.boxes import PADDING
from litehrnet.keypoints.codec import blur_taps
from litehrnet.optional import require
from litehrnet.runtimes.onnxruntime import OnnxRuntime
from litehrnet.serving.http import DEFAULT_PORT, LOOPBACK, Document, JpegStream, Site
from litehrnet.weights.weights_file import WeightsInfo
from litehrnet.weights.zoo import cache_folder, find_weights

PAGE = Path(__file__).parent / "page"
ONNXRUNTIME_WEB = Path(__file__).parent / "onnxruntime_web"
"""What ``make web`` installs: ONNX Runtime for browsers, not part of the sources."""
EXAMPLE = Path(__file__).parents[1] / "photos" / "astronaut.jpg"

MIN_SCORE = 0.2
"""From which a joint is drawn in full, as in drawn photos."""

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
class PageModel:
    """A network for the page.

    Attributes:
        name: Of its weights.
        content: The ONNX model.
        info: What its weights' file says of them.
        input_size_wh: (width, height) of the crops it takes.
    """

    name: str
    content: bytes
    info: WeightsInfo
    input_size_wh: tuple[int, int]

    def describe(self) -> dict[str, Any]:
        """What the page has to know of the network, ready for JSON."""
        keypoint_set, codec = self.info.keypoint_set, self.info.codec
        return {
            "name": self.name,
            "provenance": self.info.provenance,
            "input_size_wh": self.input_size_wh,
            "mean": self.info.mean,
            "std": self.info.std,
            "padding": PADDING,
            "codec": {"kind": codec.kind, "blur_taps": blur_taps(codec.blur_kernel).tolist()},
            "keypoint_names": keypoint_set.keypoint_names,
            "limbs": keypoint_set.limbs,
            "colors": {side: f"rgb{color}" for side, color in SIDE_COLORS.items()},
            "min_score": MIN_SCORE,
            "hidden_score": HIDDEN_SCORE,
        }


def open_model(weights: str | Path, input_size_wh: tuple[int, int] | None = None) -> PageModel:
    """Take an ONNX model, or export weights to one, which is kept for the next time.

    Args:
        weights: ``.onnx``; or ``.safetensors`` and PyTorch checkpoints, with the extra ``serve``; or a name that
            ``litehrnet models`` lists.
        input_size_wh: (width, height) of the crops where the file does not say it.

    Raises:
        UserError: The file is missing, damaged or of another kind, or a package is missing.
    """
    path, known_size_wh = find_weights(weights, "onnxruntime")
    input_size_wh = input_size_wh or known_size_wh
    if path.suffix.lower() == ".native":
        raise UserError(f"{path}: browsers do not run programs of the native engine (expected .onnx or weights)")
    model = path if path.suffix.lower() == ".onnx" else _exported(path, input_size_wh)
    runtime = OnnxRuntime(model, input_size_wh, threads=1)
    return PageModel(path.stem, read_bytes(model), runtime.info, runtime.input_size_wh)


def open_live_view(model: PageModel, host: str = LOOPBACK, port: int = DEFAULT_PORT) -> Site:
    """Serve the page, until the site is closed.

    Raises:
        UserError: The port is taken, there is no such address here, or ``check_installed`` has something to say.
    """
    check_installed()
    answers: dict[str, Document | JpegStream] = {
        **{f"/{path.name}": _document(path) for path in PAGE.iterdir()},
        **{f"/ort/{path.name}": _document(path) for path in ONNXRUNTIME_WEB.iterdir() if path.suffix in _TYPES},
        "/example.jpg": _document(EXAMPLE),
        "/model.onnx": Document(model.content, "application/octet-stream"),
        "/model.json": Document(json.dumps(model.describe()).encode(), "application/json"),
    }
    answers["/"] = answers.pop("/index.html")
    return Site(answers, host, port)


def check_installed() -> None:
    """Refuse to go on without ONNX Runtime Web.

    Raises:
        UserError: This install was made without it.
    """
    if not (ONNXRUNTIME_WEB / "package.json").is_file():
        raise UserError(
            "the live view needs ONNX Runtime Web, which this install was made without (make web in a checkout gets it)"
        )


def _exported(weights: Path, input_size_wh: tuple[int, int] | None) -> Path:
    # Exporting takes minutes, so it is done once for each content of a file.
    text = f"{litehrnet.__version__} {input_size_wh} {hashlib.sha256(read_bytes(weights)).hexdigest()}"
    folder = cache_folder() / "exported"
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.onnx"
    if not path.is_file():
        for package in ("torch", "onnx", "onnxscript"):
            require(package, "serve", f"{weights}: showing anything but ONNX models in a browser")
        from litehrnet.export.onnx import export_onnx

        export_onnx(weights, make_folder(folder) / path.name, input_size_wh)
    return path


def _document(path: Path) -> Document:
    return Document(read_bytes(path), _TYPES[path.suffix])
