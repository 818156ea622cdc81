"""Annotation files as the field writes them, through every command: right, or one sentence and exit code 2."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import PROJECT

from litehrnet.cli.main import main

WRITER = Path(os.environ.get("LITEHRNET_SHARED", PROJECT.parent / "shared")) / "cases" / "annotations.py"
NAMES = re.findall(r"^def (ann_\w+)", WRITER.read_text(), re.MULTILINE) if WRITER.is_file() else []
UNCHANGED = "ann_bom_utf8"
# Some people have no box, or a box without area, and are left out.
FEWER_PEOPLE = {"ann_bbox_zero", "ann_bbox_empty", "ann_cvat_all_zero_keypoints"}
# Boxes are those around the keypoints.
OTHER_BOXES = {"ann_bbox_missing"}
RECIPE = """
variant = "naive_lite_hrnet_18"
keypoints = "coco"
input_size_wh = (64, 64)
codec = dict(kind="default", sigma=2.0, blur_kernel=11, flip_shift=True)
train = (dict(format="coco", annotations="annotations.json", images="images"),)
validation = dict(format="coco", annotations="annotations.json", images="images", flip=False)
training = dict(epochs=1, batch_size=2, workers=0, evaluate_every=1, log_every=1, stop_after=1)
"""


@pytest.fixture(scope="module")
def cases(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, shared / "cases" / "annotations.py", folder], check=True)
    return folder


def _run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    """Run a command in process: its exit code and what it printed on stdout."""
    code = main([*map(str, words)])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    if code == 2:
        errors = [line for line in said.err.splitlines() if not line.startswith("note: ")]
        assert len(errors) == 1, errors
        assert errors[0].startswith("error: ")
    return code, said.out


def _perfect(cases: Path) -> list[dict[str, Any]]:
    """The people of the unchanged file as results, with the names of their photos."""
    content = json.loads((cases / UNCHANGED / "annotations.json").read_text("utf-8-sig"))
    names = {image["id"]: image["file_name"] for image in content["images"]}
    people = [each for each in content["annotations"] if each["num_keypoints"] and not each["iscrowd"]]
    fields = {"category_id": 1, "score": 1}
    return [
        {**fields, **{k: p[k] for k in ("image_id", "keypoints")}, "file_name": names[p["image_id"]]} for p in people
    ]


@pytest.fixture(scope="module")
def unchanged(cases: Path, small_weights: Path) -> dict[str, float]:
    """Figures of random weights on the unchanged file."""
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(_test_words(small_weights, cases / UNCHANGED)) == 0
    metrics: dict[str, float] = json.loads(out.getvalue())
    return metrics


def _test_words(weights: Path, folder: Path) -> list[str]:
    files = ["--annotations", str(folder / "annotations.json"), "--images", str(folder / "images")]
    return ["test", str(weights), *files, "--threads", "1", "--no-flip", "--json", "--per-keypoint"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_right_or_says_one_sentence(
    cases: Path,
    name: str,
    small_weights: Path,
    unchanged: dict[str, float],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = cases / name
    monkeypatch.chdir(folder)
    Path("recipe.py").write_text(RECIPE)
    Path("results.json").write_text(json.dumps(_perfect(cases)))
    checked, said = _run(capsys, "data", "check", "recipe.py", "--sheet", "sheet.png")
    trained, _ = _run(capsys, "train", "recipe.py", "--work-dir", "run")
    tested, metrics = _run(capsys, *_test_words(small_weights, folder))
    scored, score = _run(capsys, "score", "results.json", "annotations.json", "--keypoints", "coco", "--json")
    photos = sorted({f"images/{entry['file_name']}" for entry in _perfect(cases)})
    words = ("--boxes", "annotations.json", "--weights", small_weights, "--threads", "1", "--out-dir", "out")
    predicted, _ = _run(capsys, "predict", *photos, *words)
    if name == UNCHANGED:
        assert (checked, trained, tested, scored, predicted) == (0, 0, 0, 0, 0)
    assert checked in (0, 1)
    assert {trained, tested, scored} <= {0, 2}
    assert predicted in (0, 1, 2)
    if 2 in (trained, tested, scored):  # what a command refuses, the list names
        assert checked == 1, said
    if tested == 0 and name not in FEWER_PEOPLE | OTHER_BOXES:
        assert json.loads(metrics)["EPE"] == pytest.approx(unchanged["EPE"])
    if scored == 0 and name not in FEWER_PEOPLE:
        assert json.loads(score)["AP"] == pytest.approx(1)
