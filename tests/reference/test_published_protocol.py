"""The whole test path on real photos: the AP that the published pipeline gives for the reference weights."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from litehrnet.cli.main import main

# OpenCV before version 5 places pixels of a crop in steps of 1/32 (docs/spec/protocol.md, trap 26). The figures of the
# reference implementation were measured with version 5.
WITHIN = 0.001 if int(cv2.__version__.split(".")[0]) >= 5 else 0.002
Measured = Callable[[str, float, float], None]
GROUND_TRUTH_FLIP = {"AP": 0.6734, "AP50": 0.8864, "AP75": 0.7548, "AR": 0.7054}


def _test(capsys: pytest.CaptureFixture[str], weights: Path, shared: Path, *more: str) -> dict[str, float]:
    folder = shared / "data" / "coco_dev"
    files = ["--annotations", str(folder / "annotations.json"), "--images", str(folder / "images")]
    assert main(["test", str(weights), *files, "--json", *more]) == 0
    metrics: dict[str, float] = json.loads(capsys.readouterr().out)
    return metrics


def _assert_near(measured: Measured, case: str, metrics: dict[str, float], expected: dict[str, float]) -> None:
    for name, value in expected.items():
        measured(
            f"coco_dev, {case}: {name} {metrics[name]:.4f}, published code {value:.4f}",
            abs(metrics[name] - value),
            WITHIN,
        )


def test_ap_with_ground_truth_boxes_and_flip_test(
    reference_onnx: Path, shared: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, measured: Measured
) -> None:
    out = tmp_path / "results.json"
    metrics = _test(capsys, reference_onnx, shared, "--out", str(out))
    _assert_near(measured, "true boxes, flip", metrics, GROUND_TRUTH_FLIP)
    results = json.loads(out.read_text())
    assert set(results[0]) == {"category_id", "center", "image_id", "keypoints", "scale", "score"}
    assert len(results[0]["keypoints"]) == 51


@pytest.mark.slow
def test_ap_with_ground_truth_boxes_without_flip_test(
    reference_onnx: Path, shared: Path, capsys: pytest.CaptureFixture[str], measured: Measured
) -> None:
    metrics = _test(capsys, reference_onnx, shared, "--no-flip")
    _assert_near(measured, "true boxes, no flip", metrics, {"AP": 0.6574})


@pytest.mark.slow
def test_ap_with_detected_boxes_and_flip_test(
    reference_onnx: Path, shared: Path, capsys: pytest.CaptureFixture[str], measured: Measured
) -> None:
    boxes = str(shared / "data" / "detections_dev.json")
    metrics = _test(capsys, reference_onnx, shared, "--boxes", boxes)
    expected = {"AP": 0.6484, "AP50": 0.8448, "AP75": 0.7279, "AR": 0.7025}
    _assert_near(measured, "detected boxes, flip", metrics, expected)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["native", "torch"])
def test_ap_of_the_published_checkpoint_format(
    reference_weights: Path, shared: Path, capsys: pytest.CaptureFixture[str], measured: Measured, runtime: str
) -> None:
    metrics = _test(capsys, reference_weights, shared, "--runtime", runtime)
    _assert_near(measured, f"true boxes, flip, {runtime}", metrics, GROUND_TRUTH_FLIP)


@pytest.mark.slow
def test_ap_is_the_same_in_the_native_engine_and_in_onnx_runtime(
    reference_weights: Path, reference_onnx: Path, shared: Path, capsys: pytest.CaptureFixture[str], measured: Measured
) -> None:
    native = _test(capsys, reference_weights, shared, "--no-flip")
    onnxruntime = _test(capsys, reference_onnx, shared, "--no-flip")
    for name, value in onnxruntime.items():
        measured(f"coco_dev, no flip: {name}, native against ONNX Runtime", abs(native[name] - value), 0.0003)


@pytest.mark.slow
def test_published_command_line_tests_a_checkpoint_by_a_configuration(
    reference_weights: Path, shared: Path, tmp_path: Path, project: Path
) -> None:
    """In an empty folder with the published layout of COCO, without the package being installed."""
    folder = shared / "data" / "coco_dev"
    coco = tmp_path / "data" / "coco"
    for name in ("annotations", "person_detection_results"):
        (coco / name).mkdir(parents=True)
    (coco / "annotations" / "person_keypoints_val2017.json").symlink_to(folder / "annotations.json")
    (coco / "val2017").symlink_to(folder / "images")
    # The first 400 of 9,190 boxes: the figures are tested above, here the command and its files.
    boxes = json.loads((shared / "data" / "detections_dev.json").read_text())[:400]
    detections = coco / "person_detection_results" / "COCO_val2017_detections_AP_H_56_person.json"
    detections.write_text(json.dumps(boxes))
    config = "configs/top_down/naive_litehrnet/coco/wider_naive_litehrnet_18_coco_256x192.py"
    command = [sys.executable, str(project / "tools" / "test.py"), str(project / config), str(reference_weights)]
    done = subprocess.run([*command, "--out", "raw.json"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = [line.split(":")[0] for line in done.stdout.splitlines()[-10:]]
    assert names == ["AP", "AP .5", "AP .75", "AP (M)", "AP (L)", "AR", "AR .5", "AR .75", "AR (M)", "AR (L)"]
    raw = json.loads((tmp_path / "raw.json").read_text())
    assert len(raw) == 400
    assert set(raw[0]) == {"preds", "boxes", "image_paths", "bbox_ids", "output_heatmap"}
    assert len(raw[0]["preds"][0]) == 17
    results = tmp_path / "work_dirs" / "wider_naive_litehrnet_18_coco_256x192" / "result_keypoints.json"
    assert len(json.loads(results.read_text())) <= 400
