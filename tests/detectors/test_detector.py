"""Decoding of every supported export; outputs and boxes are written by hand in the formats' own terms.

The networks' input is 64x64 pixels. The photo is 128 wide and 64 high: it is scaled to half its size, or only to half
its width if it is stretched.
"""

import hashlib
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from litehrnet import PoseEstimator, UserError, open_detector
from litehrnet.detectors.detector import NetworkDetector
from litehrnet.detectors.network import ExportedNetwork, NetworkInput
from litehrnet.runtimes.openvino import openvino_core
from litehrnet.weights import zoo

WriteNetwork = Callable[..., Path]

PHOTO = np.zeros((64, 128, 3), np.uint8)
PHOTO[..., 0], PHOTO[..., 1], PHOTO[..., 2] = 200, 100, 50


def _yolox(decoded: bool) -> NDArray[np.float32]:
    """Rows of x, y, width, height, objectness, person, bicycle: 64 cells of stride 8, 16 of 16, 4 of 32."""
    rows = np.zeros((1, 84, 7), np.float32)
    if decoded:
        rows[0, :, :2] = [(8 * x, 8 * y) for y in range(8) for x in range(8)] + [
            (stride * x, stride * y) for stride in (16, 32) for y in range(64 // stride) for x in range(64 // stride)
        ]
    # Third column, second row of the 4 x 4 cells of stride 16: center (36, 24), 16 wide, 32 high.
    rows[0, 70] = (36, 24, 16, 32, 0.9, 0.8, 0) if decoded else (0.25, 0.5, 0, 0.6931472, 0.9, 0.8, 0)
    # The next cell: nearly the same box, less sure.
    rows[0, 71] = (37, 24, 16, 32, 0.9, 0.7, 0) if decoded else (-0.6875, 0.5, 0, 0.6931472, 0.9, 0.7, 0)
    # First cell of stride 32: a bicycle. Last cell of stride 8: center (60, 28), 8 wide and high.
    rows[0, 80] = (16, 16, 32, 32, 0.9, 0, 1) if decoded else (0.5, 0.5, 0, 0, 0.9, 0, 1)
    rows[0, 31] = (60, 28, 8, 8, 1, 0.5, 0) if decoded else (0.5, 0.5, 0, 0, 1, 0.5, 0)
    return rows


def _yolov8() -> NDArray[np.float32]:
    """Columns of x, y, width, height, person, bicycle."""
    columns = np.zeros((1, 6, 84), np.float32)
    columns[0, :, 5] = (36, 32, 16, 24, 0.75, 0)
    columns[0, :, 6] = (37, 32, 16, 24, 0.5, 0)
    columns[0, :, 80] = (20, 32, 16, 16, 0, 0.9)
    columns[0, :, 83] = (8, 40, 16, 16, 0.4, 0.1)
    return columns


END_TO_END = [(28, 20, 44, 44, 0.75), (2, 20, 10, 30, 0.9), (0, 32, 16, 48, 0.4), (30, 20, 40, 40, 0.2), (0,) * 5]
CLASSES = [0, 17, 0, 0, 0]
PICODET_BOXES = np.zeros((1, 85, 4), np.float32)
PICODET_BOXES[0, [3, 4, 84]] = (28, 20, 44, 44), (29, 20, 45, 44), (0, 32, 16, 48)
PICODET_SCORES = np.zeros((1, 2, 85), np.float32)
PICODET_SCORES[0, :, [3, 4, 84]] = (0.75, 0), (0.5, 0), (0.4, 0)
MMDEPLOY: dict[str, NDArray[Any]] = {
    "dets": np.array([END_TO_END], np.float32),
    "labels": np.array([CLASSES], np.int64),
}

# What the photo's pixel (200, 100, 50) and the gray (114) around it become, first channel first.
BYTES_BGR = ((50, 100, 200), (114, 114, 114))
UNIT_RGB = ((0.784314, 0.392157, 0.196078), (0.447059, 0.447059, 0.447059))
NORMALIZED_BGR = ((-0.932985, -0.285014, 1.307047), (0.182484, -0.039916, -0.165682))
NORMALIZED_RGB = ((1.307047, -0.285014, -0.932985), None)


@dataclass(frozen=True)
class Case:
    """A network's outputs; the boxes (x, y, width, height) and scores they mean; the input's upper left and lower right
    corner as (first pixel, last pixel)."""

    name: str
    outputs: Mapping[str, NDArray[Any]]
    boxes: list[tuple[float, ...]]
    scores: list[float]
    pixels: tuple[Any, Any]
    built: Mapping[str, Any] = field(default_factory=dict)


CASES = [
    # Scaled by a half, in the upper left corner: twice the network's coordinates.
    Case("YOLOX", {"output": _yolox(False)}, [(56, 16, 32, 48), (112, 48, 16, 16)], [0.72, 0.5], BYTES_BGR),
    Case("YOLOX", {"output": _yolox(True)}, [(56, 16, 32, 48), (112, 48, 16, 16)], [0.72, 0.5], BYTES_BGR),
    # The photo is the upper half of the picture: the second person's box lies in the gray, the first reaches into it.
    Case("YOLOX, end to end", MMDEPLOY, [(56, 40, 32, 24)], [0.75], BYTES_BGR, {"first": "Slice"}),
    Case("RTMDet, end to end", MMDEPLOY, [(56, 40, 32, 24)], [0.75], NORMALIZED_BGR),
    # The photo is 16 pixels lower in the picture.
    Case("YOLOv8", {"output0": _yolov8()}, [(56, 8, 32, 48), (0, 32, 32, 32)], [0.75, 0.4], (UNIT_RGB[1], UNIT_RGB[1])),
    Case(
        "YOLOv8, end to end",
        {"output0": np.column_stack([END_TO_END, CLASSES])[None].astype(np.float32)},
        [(56, 8, 32, 48), (0, 32, 32, 32)],
        [0.75, 0.4],
        (UNIT_RGB[1], UNIT_RGB[1]),
    ),
    # Stretched: twice the network's x, its y.
    Case(
        "PicoDet",
        {"boxes": PICODET_BOXES, "scores": PICODET_SCORES},
        [(56, 20, 32, 24), (0, 32, 32, 16)],
        [0.75, 0.4],
        (NORMALIZED_RGB[0], NORMALIZED_RGB[0]),
    ),
    Case(
        "PicoDet, end to end",
        {
            "rows": np.array([(0, 0.75, 28, 20, 44, 44), (1, 0.9, 2, 2, 9, 9), (0, 0.4, 0, 32, 16, 48)], np.float32),
            "count": np.array([3], np.int32),
        },
        [(56, 20, 32, 24), (0, 32, 32, 16)],
        [0.75, 0.4],
        (NORMALIZED_RGB[0], NORMALIZED_RGB[0]),
        {"others": ("im_shape", "scale_factor")},
    ),
]
IDS = [f"{case.name}{' decoded' if i == 1 else ''}" for i, case in enumerate(CASES)]


@dataclass
class _Recording:
    """Network that records its inputs."""

    network: ExportedNetwork
    inputs: tuple[NetworkInput, ...]
    description: str = ""
    fed: dict[str, NDArray[Any]] = field(default_factory=dict)

    def run(self, arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.fed.update(arrays)
        return self.network.run(arrays)

    def operators_on(self, name: str) -> set[str]:
        return self.network.operators_on(name)


def _open(path: Path) -> NetworkDetector:
    detector = open_detector(path, threads=1)
    assert isinstance(detector, NetworkDetector)
    return detector


def _assert_found(detector: NetworkDetector, case: Case) -> None:
    assert detector.description.startswith(f"{case.name}, 64x64")
    found = detector.detect(PHOTO)
    np.testing.assert_allclose(found.boxes, case.boxes, atol=1e-4)
    np.testing.assert_allclose(found.scores, case.scores, atol=1e-6)
    assert {found.boxes.dtype, found.scores.dtype} == {np.dtype(np.float32)}


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_outputs_mean_the_boxes_that_are_written_out_here(case: Case, write_network: WriteNetwork) -> None:
    _assert_found(_open(write_network(case.outputs, **case.built)), case)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_openvino_files_mean_the_same(case: Case, write_network: WriteNetwork, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    model = openvino_core().read_model(write_network(case.outputs, **case.built))
    openvino.save_model(model, tmp_path / "detector.xml", compress_to_fp16=False)
    _assert_found(_open(tmp_path / "detector.xml"), case)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_networks_are_fed_as_they_were_trained(case: Case, write_network: WriteNetwork) -> None:
    detector = _open(write_network(case.outputs, **case.built))
    recording = _Recording(detector.network, detector.network.inputs)
    replace(detector, network=recording).detect(PHOTO)
    picture = recording.fed["image"]
    assert picture.shape == (1, 3, 64, 64)
    assert picture.dtype == np.dtype(np.float32)
    for pixel, expected in zip((picture[0, :, 0, 0], picture[0, :, 63, 63]), case.pixels, strict=True):
        np.testing.assert_allclose(pixel, expected, atol=1e-5)
    if case.built.get("others"):
        assert recording.fed["scale_factor"].tolist() == [[1, 1]]
        assert recording.fed["im_shape"].tolist() == [[64, 64]]


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("size_wh", [(1, 1), (3, 500), (501, 7), (333, 127)])
def test_photos_of_odd_sizes_have_their_boxes_within(
    case: Case, size_wh: tuple[int, int], write_network: WriteNetwork
) -> None:
    detector = open_detector(write_network(case.outputs, **case.built), threads=1)
    found = detector.detect(np.zeros((size_wh[1], size_wh[0], 3), np.uint8))
    assert (found.boxes[:, :2] >= 0).all()
    assert (found.boxes[:, :2] + found.boxes[:, 2:] <= size_wh).all()
    assert (found.boxes[:, 2:] >= 1).all()
    assert len(found.boxes) == len(found.scores)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_photos_without_persons_have_no_boxes(case: Case, write_network: WriteNetwork, small_onnx: Path) -> None:
    detector = open_detector(write_network(case.outputs, **case.built), min_score=0.95, threads=1)
    found = detector.detect(PHOTO)
    assert (found.boxes.shape, found.scores.shape) == ((0, 4), (0,))
    poses = PoseEstimator(small_onnx, threads=1, detector=detector).predict(PHOTO)
    assert poses.keypoints.shape == (0, 17, 2)


def test_an_export_that_gives_no_rows_at_all_finds_nobody(write_network: WriteNetwork) -> None:
    empty = {"dets": np.zeros((1, 0, 5), np.float32), "labels": np.zeros((1, 0), np.int64)}
    assert len(open_detector(write_network(empty), threads=1).detect(PHOTO).boxes) == 0


def test_boxes_that_are_not_finite_are_left_out(write_network: WriteNetwork) -> None:
    rows = np.array([[(np.nan, 0, 9, 9, 0.9), (0, 0, np.inf, 9, 0.8), (4, 4, 20, 20, np.nan)]], np.float32)
    path = write_network({"dets": rows, "labels": np.zeros((1, 3), np.int64)})
    assert len(open_detector(path, threads=1).detect(PHOTO).boxes) == 0


def test_open_sizes_are_run_at_640_pixels(write_network: WriteNetwork) -> None:
    rows = np.zeros((1, 8400, 85), np.float32)
    detector = open_detector(write_network({"output": rows}, image=("n", 3, "height", "width")), threads=1)
    assert detector.description.startswith("YOLOX, 640x640")


def test_half_precision_inputs_are_fed_in_half_precision(write_network: WriteNetwork) -> None:
    path = write_network({"output0": _yolov8().astype(np.float16)}, image_type=TensorProto.FLOAT16)
    np.testing.assert_allclose(open_detector(path, threads=1).detect(PHOTO).scores, [0.75, 0.4], atol=1e-3)


def test_a_pickled_detector_opens_its_file_again(write_network: WriteNetwork) -> None:
    detector = open_detector(write_network(CASES[0].outputs), threads=1)
    again = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(again.detect(PHOTO).boxes, detector.detect(PHOTO).boxes)
    assert again.description == detector.description


def test_estimator_runs_on_the_boxes_of_its_detector_unless_boxes_are_given(
    write_network: WriteNetwork, small_onnx: Path
) -> None:
    estimator = PoseEstimator(small_onnx, threads=1, detector=write_network(CASES[0].outputs))
    poses = estimator.predict(PHOTO)
    np.testing.assert_allclose(poses.boxes, CASES[0].boxes, atol=1e-4)
    np.testing.assert_allclose(poses.box_scores, CASES[0].scores, atol=1e-6)
    assert len(estimator.predict(PHOTO, boxes=[])) == 0
    assert estimator.predict(PHOTO, boxes=[[1, 2, 30, 40]]).boxes.tolist() == [[1, 2, 30, 40]]


@pytest.mark.parametrize(
    ("outputs", "built", "message"),
    [
        ({"heatmaps": np.zeros((1, 17, 16, 16), np.float32)}, {}, "its outputs for 64x64 pixels are 1x17x16x16"),
        # YOLOv5 has three rows for each cell.
        ({"output": np.zeros((1, 252, 7), np.float32)}, {}, "are 1x252x7;"),
        ({"boxes": PICODET_BOXES}, {}, "are 1x85x4;"),
        ({"output": _yolox(False)}, {"image": (2, 3, 64, 64)}, "expected a detector of one image"),
        ({"output": _yolox(False)}, {"image": (1, 4, 64, 64)}, "expected a detector of one image"),
        ({"output": _yolox(False)}, {"others": ("ratio",)}, "has further inputs ratio"),
        ({"output": _yolox(False)}, {"first": "Abs", "image_type": TensorProto.INT32}, "as whole numbers"),
    ],
)
def test_networks_that_are_no_detector_are_refused_in_one_sentence(
    outputs: dict[str, NDArray[Any]], built: dict[str, Any], message: str, write_network: WriteNetwork
) -> None:
    with pytest.raises(UserError, match=rf"detector\.onnx: .*{message}") as caught:
        open_detector(write_network(outputs, **built))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("photo.jpg", b"\xff\xd8", "not a network"),
        ("text.onnx", b"hello", "not an ONNX model, or damaged"),
        ("empty.onnx", b"", "not an ONNX model that ONNX Runtime can load"),
        ("text.xml", b"<hello/>", "OpenVINO cannot load it"),
    ],
)
def test_files_that_are_no_network_are_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name}: {message}"):
        open_detector(tmp_path / name)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.onnx: no such file"):
        open_detector(tmp_path / "gone.onnx")


def test_a_detector_has_a_name_as_well(
    small_weights: Path, write_network: WriteNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "cache_folder", lambda: tmp_path)
    with pytest.raises(UserError, match=r"^yolox_nano: not downloaded yet \(litehrnet models fetch yolox_nano "):
        PoseEstimator(small_weights, detector="yolox_nano")
    content = write_network(MMDEPLOY).read_bytes()
    fetched = replace(zoo.DETECTORS[0], sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(zoo, "DETECTORS", (fetched,))
    fetched.path.write_bytes(content)
    poses = PoseEstimator(small_weights, detector="yolox_nano").predict(PHOTO)
    np.testing.assert_array_equal(poses.boxes, open_detector(fetched.path).detect(PHOTO).boxes)
    assert len(poses.boxes) > 0
    fetched.path.write_bytes(content + b"\n")
    with pytest.raises(UserError, match=r"yolox_nano\.onnx: damaged \(litehrnet models fetch yolox_nano downloads it"):
        open_detector("yolox_nano")
