"""Annotation files as the field writes them: perfect predictions score 1, or the file is refused in one sentence."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import PROJECT

from litehrnet.data.checks import check_coco
from litehrnet.data.coco import read_annotations
from litehrnet.errors import UserError
from litehrnet.evaluation.coco import coco_metrics
from litehrnet.keypoints.skeletons import COCO

WRITER = Path(os.environ.get("LITEHRNET_SHARED", PROJECT.parent / "shared")) / "cases" / "annotations.py"
NAMES = re.findall(r"^def (ann_\w+)", WRITER.read_text(), re.MULTILINE) if WRITER.is_file() else []
UNCHANGED = "ann_bom_utf8"
# Four people have nothing labeled there, so that poses found beside them are false.
AP = {"ann_cvat_all_zero_keypoints": pytest.approx(0.967, abs=1e-3)}


@pytest.fixture(scope="module")
def cases(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, shared / "cases" / "annotations.py", folder], check=True)
    return folder


def _perfect(cases: Path) -> list[tuple[int, dict[str, Any]]]:
    """The people of the unchanged file as predictions, each with the place of its photo in the file."""
    content = json.loads((cases / UNCHANGED / "annotations.json").read_text("utf-8-sig"))
    places = {image["id"]: place for place, image in enumerate(content["images"])}
    people = [each for each in content["annotations"] if each["num_keypoints"] and not each["iscrowd"]]
    return [(places[each["image_id"]], {"keypoints": each["keypoints"], "score": 1.0}) for each in people]


@pytest.mark.parametrize("name", NAMES)
def test_perfect_predictions_score_1_or_the_file_is_refused(cases: Path, name: str) -> None:
    path = cases / name / "annotations.json"
    report = check_coco(path, cases / name / "images", None)
    try:
        annotations = read_annotations(path)
        numbers = list(annotations.images)
        results = [{**entry, "image_id": numbers[place]} for place, entry in _perfect(cases)]
        metrics = coco_metrics(path, results, COCO)
    except UserError as error:
        sentence = str(error)
    else:
        assert metrics["AP"] == AP.get(name, pytest.approx(1)) or report.persons == 0
        return
    assert "\n" not in sentence
    assert report.problems
