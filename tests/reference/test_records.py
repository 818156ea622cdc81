"""Records against the published datasets' (evaluation.json)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litehrnet.data.coco import read_annotations
from litehrnet.data.coco_records import detection_records, ground_truth_records
from litehrnet.data.mpii import mpii_records
from litehrnet.data.records import Record


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((shared / "reference" / "evaluation.json").read_text())
    return content


def _assert_equal(records: list[Record], expected: list[dict[str, Any]]) -> None:
    assert len(records) == len(expected)
    for ours, theirs in zip(records, expected, strict=True):
        assert str(ours.image_file) == theirs["image_file"]
        assert ours.box_id == theirs["bbox_id"]
        assert ours.box_score == pytest.approx(theirs.get("bbox_score", 1))
        np.testing.assert_allclose(ours.center, theirs["center"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(ours.scale, theirs["scale"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(ours.joints_xy, theirs["joints_xy"], rtol=0, atol=1e-5)
        np.testing.assert_array_equal(ours.visible, theirs["visible"])


def test_ground_truth_records_equal_the_published_ones(reference: dict[str, Any], tmp_path: Path) -> None:
    coco = reference["coco_records"]
    path = tmp_path / "gt.json"
    path.write_text(json.dumps(coco["gt_json"]))
    records = ground_truth_records(read_annotations(path), Path("pre"), 17, tuple(coco["image_size_wh"]))
    _assert_equal(records, coco["gt_records_test_mode"])


@pytest.mark.parametrize("threshold", [0.0, 0.05])
def test_detection_records_equal_the_published_ones(
    reference: dict[str, Any], tmp_path: Path, threshold: float
) -> None:
    coco = reference["coco_records"]
    truth, detections = tmp_path / "gt.json", tmp_path / "det.json"
    truth.write_text(json.dumps(coco["gt_json"]))
    detections.write_text(json.dumps(coco["det_json"]))
    size = tuple(coco["image_size_wh"])
    records = detection_records(read_annotations(truth), detections, Path("pre"), 17, size, threshold)
    _assert_equal(records, coco[f"det_records_thr{threshold}"])


@pytest.mark.parametrize(("key", "with_joints"), [("test_mode", False), ("train_mode", True)])
def test_mpii_records_equal_the_published_ones(
    reference: dict[str, Any], tmp_path: Path, key: str, with_joints: bool
) -> None:
    path = tmp_path / "mpii.json"
    path.write_text(json.dumps(reference["mpii_records"]["input"]))
    records = mpii_records(path, Path("p"), with_joints=with_joints)
    _assert_equal(records, reference["mpii_records"][key])
