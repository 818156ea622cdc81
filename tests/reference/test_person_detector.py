"""A real detector on real photos: its average precision, and that of poses on its boxes."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from litehrnet import open_detector
from litehrnet.cli.main import main
from litehrnet.data.coco import read_annotations
from litehrnet.evaluation.detected import detected_persons

Measured = Callable[[str, float, float], None]
WITHIN = 0.005


@pytest.fixture
def picodet(shared: Path) -> Path:
    pytest.importorskip("openvino")
    return shared / "reference" / "person_detector" / "picodet_s_320.xml"


def _box_precision(annotations: Path, entries: list[dict[str, Any]]) -> dict[str, float]:
    """AP and AP50 of boxes by pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(entries), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {"AP": float(evaluation.stats[0]), "AP50": float(evaluation.stats[1])}


@pytest.mark.slow
def test_box_ap_of_picodet(picodet: Path, shared: Path, measured: Measured) -> None:
    folder = shared / "data" / "coco_dev"
    annotations = folder / "annotations.json"
    detector = open_detector(picodet, min_score=0.05)
    metrics = _box_precision(annotations, detected_persons(detector, read_annotations(annotations), folder / "images"))
    for name, expected in {"AP": 0.518, "AP50": 0.760}.items():
        measured(f"coco_dev, PicoDet boxes: {name} {metrics[name]:.4f}", abs(metrics[name] - expected), WITHIN)


@pytest.mark.slow
def test_pose_ap_with_boxes_of_picodet(
    picodet: Path, reference_onnx: Path, shared: Path, capsys: pytest.CaptureFixture[str], measured: Measured
) -> None:
    folder = shared / "data" / "coco_dev"
    files = ["--annotations", str(folder / "annotations.json"), "--images", str(folder / "images")]
    assert main(["test", str(reference_onnx), *files, "--detector", str(picodet), "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    for name, expected in {"AP": 0.628, "AP50": 0.826}.items():
        measured(f"coco_dev, poses on PicoDet boxes: {name} {metrics[name]:.4f}", abs(metrics[name] - expected), WITHIN)
