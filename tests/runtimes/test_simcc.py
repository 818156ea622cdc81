"""ONNX models with SimCC heads, alone and in archives of MMDeploy: networks whose answers are known exactly."""

import copy
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.simcc_models import SIZE_WH, SPOT_PIPELINE, write_rows, write_spot_finder

from litehrnet import PoseEstimator
from litehrnet.errors import UserError
from litehrnet.keypoints.boxes import centers_and_scales
from litehrnet.keypoints.crop import IMAGENET_MEAN, IMAGENET_STD
from litehrnet.keypoints.skeletons import is_of_people
from litehrnet.runtimes import open_runtime

RUNTIMES = ("onnxruntime", "openvino")
BINS_WH = (2 * SIZE_WH[0], 2 * SIZE_WH[1])


def _rows(count: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    x, y = (rng.uniform(-0.2, 0.1, (1, count, bins)).astype(np.float32) for bins in BINS_WH)
    for row in (x, y):
        np.put_along_axis(row, rng.integers(0, row.shape[2], (1, count, 1)), rng.uniform(0.2, 1.3, (1, count, 1)), 2)
    return x, y


def _pipeline(**changes: Any) -> dict[str, Any]:
    """``SPOT_PIPELINE`` with other fields of its steps."""
    pipeline = copy.deepcopy(SPOT_PIPELINE)
    steps = [*pipeline["pipeline"]["tasks"][0]["transforms"], pipeline["pipeline"]["tasks"][2]["params"]]
    for name, value in changes.items():
        for step in steps:
            if name in step:
                step[name] = value
    return pipeline


def _spot_finder(folder: Path, pipeline: dict[str, Any] | None = SPOT_PIPELINE, **settings: Any) -> Path:
    if pipeline is not None:
        (folder / "pipeline.json").write_text(json.dumps(pipeline))
    return write_spot_finder(folder / "end2end.onnx", **settings)


def _archive(folder: Path, *more: str) -> Path:
    model = _spot_finder(folder)
    path = folder / "rtmpose-x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("end2end.onnx", *more):
            archive.write(model, f"20230831/rtmpose_onnx/rtmpose-x/{name}")
        archive.write(folder / "pipeline.json", "20230831/rtmpose_onnx/rtmpose-x/pipeline.json")
        archive.writestr("20230831/rtmpose_onnx/rtmpose-x/detail.json", "{}")
    return path


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("count", "name"), [(17, "coco"), (26, "halpe_26"), (133, "coco_wholebody"), (21, "unnamed"), (1, "unnamed")]
)
def test_outputs_written_by_hand_become_keypoints(tmp_path: Path, runtime: str, count: int, name: str) -> None:
    x, y = _rows(count)
    x[0, 0], y[0, -1] = -0.1, 0  # no score above 0
    estimator = PoseEstimator(write_rows(tmp_path / "x.onnx", x, y), runtime, threads=1, whole_image=True)
    assert estimator.runtime.input_size_wh == SIZE_WH
    assert estimator.runtime.info.keypoint_set.name == name
    assert is_of_people(estimator.runtime.info.keypoint_set) == (name != "unnamed")
    boxes = np.array([[10, 20, 60, 120], [100.5, 3, 90, 40]], np.float32)
    poses = estimator.predict(np.zeros((200, 300, 3), np.uint8), boxes=boxes)
    np.testing.assert_allclose(poses.scores, np.repeat(np.minimum(x.max(axis=2), y.max(axis=2)), 2, axis=0))
    # Pixels of the crop are bins divided by the split ratio of 2; the crop is the box at 3:4, enlarged by 1.25.
    centers, scales = centers_and_scales(boxes, SIZE_WH)
    crop_xy = np.stack([x.argmax(axis=2), y.argmax(axis=2)], axis=2) / 2.0
    located = poses.scores > 0
    expected = crop_xy * (scales * 200 / SIZE_WH)[:, None] + (centers - scales * 100)[:, None]
    np.testing.assert_allclose(poses.keypoints[located], expected[located], atol=1e-4)
    corner = centers - scales * 100 - 0.5 * scales * 200 / SIZE_WH
    np.testing.assert_allclose(poses.keypoints[:, 0], corner, atol=1e-4)
    assert located.sum() == 2 * max(0, count - 2)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("flip_test", [False, True])
def test_spots_are_found_where_they_are(tmp_path: Path, runtime: str, flip_test: bool) -> None:
    """Red is the first keypoint: the crop enters as RGB. Mean and standard deviation are those of pipeline.json."""
    red, green = (150, 100), (128, 140)
    y, x = np.mgrid[:240, :320]
    image = np.zeros((240, 320, 3), np.uint8)
    for channel, (cx, cy) in enumerate((red, green)):
        image[..., channel] = np.clip(250 - 4 * np.hypot(x - cx, y - cy), 0, 255)
    box = [100, 60, 90, 120]
    estimator = PoseEstimator(_spot_finder(tmp_path), runtime, threads=1, whole_image=True, flip_test=flip_test)
    poses = estimator.predict(image, boxes=[box])
    pixel = 1.25 * box[3] / SIZE_WH[1]
    # Mirrored bins are turned about the middle of the bins, as in MMPose: the odd bins, 0 here, meet the even ones.
    assert np.linalg.norm(poses.keypoints[0] - (red, green), axis=1).max() <= 1.2 * pixel
    brightness = 250 / 255
    assert poses.scores[0] == pytest.approx([brightness / 2 if flip_test else brightness] * 2, abs=0.05)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_archive_of_mmdeploy_runs_as_its_files_do(tmp_path: Path, runtime: str) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, *SIZE_WH[::-1], 3), dtype=np.uint8)
    opened = open_runtime(_archive(tmp_path), runtime, threads=1)
    expected = open_runtime(tmp_path / "end2end.onnx", runtime, threads=1).forward(crops)
    assert expected.shape == (3, 2, sum(BINS_WH))
    np.testing.assert_array_equal(opened.forward(crops), expected)
    np.testing.assert_allclose(expected[:, 0, : BINS_WH[0] : 2], crops[..., 0].max(axis=1) / 255, atol=1e-6)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(opened)).forward(crops), expected)
    with pytest.raises(UserError, match=r"rtmpose-x\.zip: input size is 48x64 .* cannot be changed to 96x128"):
        opened.resized((96, 128))


def test_without_a_pipeline_images_are_normalized_as_for_rtmpose(tmp_path: Path) -> None:
    info = open_runtime(_spot_finder(tmp_path, None), threads=1).info
    assert (info.mean, info.std, info.simcc_bins_wh) == (IMAGENET_MEAN, IMAGENET_STD, BINS_WH)
    stated = _pipeline(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
    read = open_runtime(_spot_finder(tmp_path, stated), threads=1).info
    np.testing.assert_allclose((read.mean, read.std), (IMAGENET_MEAN, IMAGENET_STD))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_graph_decides_about_the_size_and_the_pipeline_where_it_does_not(tmp_path: Path, runtime: str) -> None:
    """Archives of RTMW state 192x256, whatever their graphs have."""
    stale = _pipeline(image_size=[192, 256], input_size=[192, 256])
    assert open_runtime(_spot_finder(tmp_path, stale), runtime).input_size_wh == SIZE_WH
    free = ("batch", 3, "height", "width")
    assert open_runtime(_spot_finder(tmp_path, image=free), runtime).input_size_wh == SIZE_WH
    (tmp_path / "pipeline.json").unlink()
    assert open_runtime(tmp_path / "end2end.onnx", runtime, input_size_wh=SIZE_WH).input_size_wh == SIZE_WH
    with pytest.raises(UserError, match=r"end2end\.onnx: does not run on 192x256 images"):
        open_runtime(tmp_path / "end2end.onnx", runtime)


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (_pipeline(simcc_split_ratio=3.0), r"end2end\.onnx: has 2 bins per pixel, but its pipeline\.json states 3"),
        (_pipeline(to_rgb=False), r"pipeline\.json: to_rgb is False \(expected true, a network for RGB\)"),
        (_pipeline(padding=1.5), r"pipeline\.json: boxes are padded by 1\.5 \(expected 1\.25\)"),
        (_pipeline(std=[0, 1, 1]), r"pipeline\.json: not a pipeline of MMDeploy \(ValueError: std is \[0, 1, 1\]; "),
        (_pipeline(mean=[1, 2]), r"pipeline\.json: not a pipeline of MMDeploy \(ValueError: "),
        ({"steps": []}, r"pipeline\.json: not a pipeline of MMDeploy \(KeyError: 'pipeline'; expected one, or no file"),
        ({"pipeline": {"tasks": ["a"]}}, r"pipeline\.json: not a pipeline of MMDeploy \(AttributeError: "),
    ],
)
def test_pipelines_that_cannot_be_followed_are_refused(tmp_path: Path, pipeline: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_runtime(_spot_finder(tmp_path, pipeline))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_other_outputs_are_refused_with_their_shapes(tmp_path: Path, runtime: str) -> None:
    x, y = _rows(3)
    with pytest.raises(UserError, match=r"three\.onnx: maps .* and .* and .*SimCC's bins along x \(n, keypoints, bins"):
        open_runtime(write_rows(tmp_path / "three.onnx", x, y, x), runtime)
    expected = r"\(expected equal numbers of keypoints, and of bins per pixel\)"
    with pytest.raises(UserError, match=rf"turned\.onnx: has outputs \(1, 3, 128\) .* for 48x64 input {expected}"):
        open_runtime(write_rows(tmp_path / "turned.onnx", y, x), runtime)
    with pytest.raises(UserError, match=expected):
        open_runtime(write_rows(tmp_path / "fewer.onnx", x, y[:, :2]), runtime)


@pytest.mark.parametrize(("more", "count"), [(("second.onnx",), 2), ((), 0)])
def test_archives_with_none_or_several_models_are_refused(tmp_path: Path, more: tuple[str, ...], count: int) -> None:
    path = _archive(tmp_path, *more)
    if not count:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("weights.bin", "")
    with pytest.raises(UserError, match=rf"rtmpose-x\.zip: has {count} files \.onnx \(expected one, as in MMDeploy's"):
        open_runtime(path)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = _archive(tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"rtmpose-x\.zip: is not a zip archive, or is cut short"):
        open_runtime(path)


def test_archives_are_for_onnx_runtimes_only(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rtmpose-x\.zip: native does not run ONNX models"):
        open_runtime(_archive(tmp_path), "native")
