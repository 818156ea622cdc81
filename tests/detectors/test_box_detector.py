"""The bundled detector on real photos, on every runtime."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from litehrnet import PoseEstimator, open_detector, read_image
from litehrnet.detectors.box_detector import BoxDetector
from litehrnet.errors import UserError
from litehrnet.export.onnx import export_onnx
from litehrnet.inference.estimator import CLOSER_PADDING, LEAST_BOX_SCORE, LEAST_PERSON_SCORE, detected_padding
from litehrnet.keypoints.boxes import PADDING
from litehrnet.keypoints.oks import rescore
from litehrnet.runtimes import open_runtime
from litehrnet.weights.zoo import BUNDLED, DEFAULT_DETECTOR, find_detector

PHOTOS = Path(__file__).parents[2] / "src" / "litehrnet" / "photos"
WEIGHTS = BUNDLED / f"{DEFAULT_DETECTOR}.safetensors"
PEOPLE_XY = [(160, 220), (500, 220), (970, 220)]
"""A point inside each of the three people."""


def _contains(box: np.ndarray, point: tuple[int, int]) -> bool:
    x, y, width, height = box
    return bool(x < point[0] < x + width and y < point[1] < y + height)


def test_the_three_people_of_the_bundled_photo_are_found() -> None:
    found = open_detector(DEFAULT_DETECTOR, threads=1).detect(read_image(PHOTOS / "three_people.jpg"))
    large = found.boxes[found.boxes[:, 2] > 150]
    assert all(any(_contains(box, point) for box in large) for point in PEOPLE_XY)
    assert (np.diff(found.scores) <= 0).all()
    assert found.boxes.dtype == found.scores.dtype == np.float32


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "person.onnx"
    export_onnx(WEIGHTS, path)
    return path


@pytest.mark.parametrize("runtime", ["numpy", "onnxruntime", "openvino", "torch"])
def test_every_runtime_finds_the_same_boxes(runtime: str, exported: Path) -> None:
    image = read_image(PHOTOS / "three_people.jpg")
    native = BoxDetector(open_runtime(WEIGHTS, threads=1), 0.1).detect(image)
    file = exported if runtime in ("onnxruntime", "openvino") else WEIGHTS
    other = BoxDetector(open_runtime(file, runtime, threads=1), 0.1).detect(image)
    np.testing.assert_allclose(other.boxes, native.boxes, atol=0.5)
    np.testing.assert_allclose(other.scores, native.scores, atol=1e-3)
    assert len(native.boxes) >= 3


def test_threads_change_nothing() -> None:
    image = read_image(PHOTOS / "three_people.jpg")
    one, two = (open_detector(WEIGHTS, threads=threads).detect(image) for threads in (1, 2))
    assert (one.boxes == two.boxes).all()
    assert (one.scores == two.scores).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 10_000), (10_000, 3), (480, 640)])
def test_a_picture_without_people_has_no_boxes(shape: tuple[int, int]) -> None:
    found = open_detector(DEFAULT_DETECTOR, threads=1).detect(np.full((*shape, 3), 128, np.uint8))
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == (0,)


def test_boxes_lie_inside_the_photo() -> None:
    image = read_image(PHOTOS / "three_people.jpg")[:200]
    found = open_detector(DEFAULT_DETECTOR, min_score=0.05, threads=1).detect(image)
    assert (found.boxes[:, :2] >= 0).all()
    assert (found.boxes[:, :2] + found.boxes[:, 2:] <= [image.shape[1], image.shape[0]]).all()


def test_weights_of_keypoints_are_no_detector() -> None:
    with pytest.raises(UserError, match=r"finds 17 keypoints \(coco\) \(expected a detector's weights\)"):
        open_detector(BUNDLED / "lite_hrnet_18.safetensors")
    with pytest.raises(UserError, match=r"finds keypoints .expected a detector"):
        find_detector("lite_hrnet_18")


def test_keypoints_confirm_the_people_of_the_bundled_detector_unless_a_limit_is_named() -> None:
    image = read_image(PHOTOS / "three_people.jpg")
    found = PoseEstimator(threads=1).predict(image)
    every = PoseEstimator(threads=1, min_box_score=LEAST_BOX_SCORE).predict(image)
    assert len(found) == 3
    assert len(every) > 3  # the flags too
    assert (rescore(found.box_scores, found.scores) >= LEAST_PERSON_SCORE).all()


def test_crops_of_detected_people_are_closer_with_the_bundled_weights() -> None:
    image = read_image(PHOTOS / "three_people.jpg")
    estimator = PoseEstimator(threads=1)
    found = estimator.predict(image)
    again = estimator.predict_again(image, found.boxes, found.box_scores)
    np.testing.assert_allclose(again.keypoints, found.keypoints, atol=0.01)
    given = estimator.predict(image, found.boxes, found.box_scores)
    assert np.abs(given.keypoints - found.keypoints).max() > 0.5
    info = estimator.runtime.info
    assert detected_padding(info) == CLOSER_PADDING < PADDING
    assert detected_padding(replace(info, provenance="trained elsewhere")) == PADDING
