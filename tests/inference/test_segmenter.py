import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from litehrnet.bench.subject import write_random_weights
from litehrnet.errors import UserError
from litehrnet.inference.segmenter import Segmenter, open_segmenter, window_starts
from litehrnet.io.images import write_image
from litehrnet.segmentation.classes import unnamed_classes
from litehrnet.segmentation.scores import probabilities
from litehrnet.variants import find_variant
from litehrnet.weights.weights_file import WeightsInfo

THREE = unnamed_classes(3)


class ByColor:
    """A runtime whose scores are the image's own red, green and blue, at 1/4 or in full; records every call."""

    description = "colors"

    def __init__(self, size_wh: tuple[int, int], calls: list[tuple[int, ...]], divisor: int = 1) -> None:
        self.info = WeightsInfo("lite_hrnet_18", THREE, size_wh)
        self.input_size_wh, self.calls, self.divisor = size_wh, calls, divisor

    def resized(self, input_size_wh: tuple[int, int]) -> "ByColor":
        return ByColor(input_size_wh, self.calls, self.divisor)

    def forward(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        width, height = self.input_size_wh
        assert crops.shape[1:] == (height, width, 3)
        self.calls.append((width, height))
        small = [cv2.resize(c, (width // self.divisor, height // self.divisor)) for c in crops.astype(np.float32)]
        return np.asarray(np.stack(small).transpose(0, 3, 1, 2) / 50, np.float32)


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    """Patches of red, green and blue, 100 wide and 70 high."""
    strongest = np.random.default_rng(0).integers(0, 3, (7, 10)).repeat(10, axis=0).repeat(10, axis=1)
    return np.asarray(np.eye(3)[strongest] * 200, np.uint8)


@pytest.fixture
def runtime() -> ByColor:
    return ByColor((64, 32), [])


def test_whole_images_are_filled_up_to_what_the_network_takes(photo: NDArray[np.uint8], runtime: ByColor) -> None:
    np.testing.assert_array_equal(Segmenter(runtime).segment(photo), photo.argmax(axis=2))
    assert runtime.calls == [(128, 96)]


def test_images_may_be_files_floats_and_in_the_order_of_opencv(
    photo: NDArray[np.uint8], runtime: ByColor, tmp_path: Path
) -> None:
    write_image(tmp_path / "photo.png", photo)
    for image in (tmp_path / "photo.png", (tmp_path / "photo.png").read_bytes(), photo / 255):
        np.testing.assert_array_equal(Segmenter(runtime).segment(image), photo.argmax(axis=2))
    bgr = np.ascontiguousarray(photo[..., ::-1])
    np.testing.assert_array_equal(Segmenter(runtime).segment(bgr, channels="bgr"), photo.argmax(axis=2))
    with pytest.raises(UserError, match=r"none\.png: no such file"):
        Segmenter(runtime).segment(tmp_path / "none.png")


@pytest.mark.parametrize(
    "settings", [{"window": True}, {"flip": True}, {"scales": (1.0, 2.0), "flip": True}, {"window": True, "flip": True}]
)
def test_every_way_finds_the_same_where_the_answer_is_plain(
    photo: NDArray[np.uint8], runtime: ByColor, settings: dict[str, Any]
) -> None:
    found = Segmenter(runtime, **settings).segment(photo)
    np.testing.assert_array_equal(found, photo.argmax(axis=2))


def test_windows_overlap_and_cover_everything() -> None:
    assert window_starts(64, 64) == [0]
    assert window_starts(65, 64) == [0, 1]
    for length in range(64, 400):
        starts = window_starts(length, 64)
        assert (starts[0], starts[-1]) == (0, length - 64)
        assert max(np.diff(starts), default=0) <= 64 * 2 / 3 + 1


def test_an_image_smaller_than_a_window_is_filled_up(runtime: ByColor) -> None:
    found = Segmenter(runtime, window=True).segment(np.full((20, 30, 3), (0, 90, 0), np.uint8))
    assert found.shape == (20, 30)
    assert (found == 1).all()
    assert runtime.calls == [(64, 32)]


def test_views_are_averaged_as_probabilities(photo: NDArray[np.uint8], runtime: ByColor) -> None:
    alone = Segmenter(runtime).scores(photo)
    mirrored = Segmenter(runtime).scores(np.ascontiguousarray(photo[:, ::-1]))[..., ::-1]
    expected = (probabilities(alone) + probabilities(mirrored)) / 2
    np.testing.assert_allclose(Segmenter(runtime, flip=True).scores(photo), expected, atol=1e-6)


def test_scores_at_a_quarter_are_enlarged(runtime: ByColor) -> None:
    image = np.repeat(np.eye(3, dtype=np.uint8)[[0, 2]] * 200, 32, axis=0)[None].repeat(32, axis=0)
    quarter = Segmenter(ByColor((64, 32), [], 4))
    np.testing.assert_array_equal(quarter.segment(image), image.argmax(axis=2))
    np.testing.assert_array_equal(quarter.scores(image).shape, (3, 32, 64))


@pytest.mark.slow
def test_runtimes_agree_on_a_real_network(tmp_path: Path) -> None:
    from litehrnet.export.onnx import export_onnx

    weights = tmp_path / "three.safetensors"
    write_random_weights(weights, find_variant("naive_lite_hrnet_18"), (64, 32), THREE)
    assert all(comparison.equal for comparison in export_onnx(weights, weights.with_suffix(".onnx")))
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    scores = {
        runtime: open_segmenter(weights.with_suffix(suffix), runtime=runtime).scores(image)
        for runtime, suffix in (("torch", ".safetensors"), ("native", ".safetensors"), ("onnxruntime", ".onnx"))
    }
    for found in scores.values():
        np.testing.assert_allclose(found, scores["torch"], atol=2e-4 * float(np.abs(scores["torch"]).max()))
    larger = np.random.default_rng(1).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    by_torch, by_native = (open_segmenter(weights, runtime=name).segment(larger) for name in ("torch", "native"))
    assert (by_torch == by_native).mean() > 0.999
    segmenter = open_segmenter(weights)
    segmenter.segment(larger)  # so that it has a runtime of another size, too
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(segmenter)).segment(larger), by_native)
    with pytest.raises(UserError, match=r"input size is 64x32 \(width x height\) and cannot be changed to 96x64"):
        open_segmenter(weights.with_suffix(".onnx")).segment(larger)


def test_a_pose_network_and_no_scales_are_refused(small_weights: Path, runtime: ByColor) -> None:
    with pytest.raises(UserError, match=r"find 17 keypoints \(coco\), without a segmentation"):
        open_segmenter(small_weights)
    with pytest.raises(UserError, match="expected numbers above 0"):
        Segmenter(runtime, scales=())
