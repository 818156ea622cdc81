import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from litehrnet.cli.main import main

PAWS = [10.0, 20.0, 2, 40.0, 60.0, 2]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and annotations of a keypoint set of one's own: two persons, one of them found to the pixel."""
    images = [{"id": 1, "file_name": "1.jpg", "width": 200, "height": 100}]
    person = {"image_id": 1, "category_id": 4, "bbox": [0, 0, 50, 100], "area": 2500, "iscrowd": 0, "num_keypoints": 2}
    persons = [
        {**person, "id": 1, "keypoints": PAWS},
        {**person, "id": 2, "keypoints": [110.0, 20.0, 2, 140.0, 60.0, 2]},
    ]
    content = {
        "images": images,
        "annotations": persons,
        "categories": [{"id": 4, "name": "cat", "keypoints": ["paw", "tail"]}],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    results = [{"image_id": 1, "category_id": 1, "keypoints": PAWS, "score": 0.5, "bbox": [0, 0, 50, 100]}]
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path / "results.json", tmp_path / "annotations.json"


def _score(files: tuple[Path, Path], *options: str) -> int:
    return main(["score", *map(str, files), *options])


def test_json_is_metrics_counts_and_rows_by_the_annotations_own_names(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _score(files, "--json") == 0
    score = json.loads(capsys.readouterr().out)
    assert score["AP"] == pytest.approx(51 / 101)  # a recall of 1/2 at full precision
    assert (score["PCK@0.2"], score["EPE"], score["persons"], score["matched"]) == (0.5, 0, 2, 1)
    assert [row["name"] for row in score["per_keypoint"]] == ["paw", "tail"]


def test_tables_say_who_was_matched(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert _score(files, "--pck-threshold", "0.05") == 0
    said = capsys.readouterr().out
    assert said.startswith("people: 1 predicted, 2 annotated, 1 of these matched\n")
    assert all(word in said for word in ("AP75", "PCK@0.05", "tail"))


def test_keypoints_can_be_named_by_a_file(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    own = files[0].with_name("own.toml")
    own.write_text('name = "own"\nkeypoints = ["one", "other"]\nsigmas = [0.1, 0.2]\n')
    assert _score(files, "--keypoints", str(own), "--json") == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["per_keypoint"]] == ["one", "other"]
    assert _score(files, "--keypoints", "coco") == 2
    assert "people have 2 keypoints (expected 17, the number in coco)" in capsys.readouterr().err


def _change(path: Path, change: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content)))


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (0, lambda c: [], "results.json: has no predictions"),
        (0, lambda c: {"results": c}, "results.json: has no predictions"),
        (0, lambda c: [c[0] | {"image_id": 8}], "entry 0 is on image 8, which"),
        (0, lambda c: [c[0] | {"keypoints": PAWS * 2}], "entry 0 has 4 keypoints (expected 2)"),
        (0, lambda c: [c[0] | {"score": float("nan")}], "not finite"),
        (1, lambda c: [], "annotations.json: not annotations"),
        (1, lambda c: [{"image_id": 1}], "annotations.json: not annotations"),
        (1, lambda c: c | {"categories": []}, "no category has keypoints"),
        (1, lambda c: c | {"annotations": []}, "nobody has keypoints"),
        (1, lambda c: c | {"annotations": [c["annotations"][0] | {"keypoints": 3}]}, "keypoints is 3 (expected"),
    ],
)
def test_broken_files_are_one_line_and_exit_code_2(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], place: int, change: Any, message: str
) -> None:
    _change(files[place], change)
    assert _score(files) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("threshold", ["0", "-1", "nan", "inf", "x"])
def test_a_threshold_that_is_no_positive_number_is_refused(files: tuple[Path, Path], threshold: str) -> None:
    with pytest.raises(SystemExit) as end:
        _score(files, "--pck-threshold", threshold)
    assert end.value.code == 2


@pytest.fixture
def mpii_truth(tmp_path: Path, write_mpii_truth: Any) -> Path:
    joints = np.arange(64.0).reshape(2, 16, 2)
    write_mpii_truth(tmp_path, joints, (6, 8))
    found = joints.copy()
    found[1] += [50, 0]
    savemat(tmp_path / "pred.mat", {"preds": found + 1})
    return tmp_path / "mpii_gt_val.mat"


def test_mpii_is_scored_by_pckh_from_the_mat_file_or_the_list_beside_it(
    mpii_truth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    persons = mpii_truth.with_name("mpii_val.json")
    persons.write_text(json.dumps([{"image": "a.jpg"}, {"image": "b.jpg"}]))
    printed = []
    for annotations in (mpii_truth, persons):
        assert _score((mpii_truth.with_name("pred.mat"), annotations), "--json") == 0
        printed.append(json.loads(capsys.readouterr().out))
    assert printed[0] == printed[1]
    assert (printed[0]["PCKh"], printed[0]["persons"]) == (50, 2)
    assert printed[0]["per_keypoint"][9] == {"name": "head", "annotated": 2, "pck": 0.5, "mean_error": 25}
    assert _score((mpii_truth.with_name("pred.mat"), mpii_truth)) == 0
    assert "PCKh@0.5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("preds", "message"),
    [
        (np.zeros((3, 16, 2)), "3 people predicted (expected 2, as in the ground truth)"),
        (np.zeros((2, 17, 2)), "preds has shape (2, 17, 2) (expected people x 16 x 2)"),
        (np.full((2, 16, 2), np.nan), "not finite"),
    ],
)
def test_other_mpii_predictions_are_refused(
    mpii_truth: Path, capsys: pytest.CaptureFixture[str], preds: np.ndarray, message: str
) -> None:
    path = mpii_truth.with_name("pred.mat")
    savemat(path, {"preds": preds})
    assert _score((path, mpii_truth)) == 2
    assert message in capsys.readouterr().err


def test_files_that_are_no_mpii_predictions_and_options_of_coco_are_refused(
    mpii_truth: Path, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for predictions in (files[0], mpii_truth, mpii_truth.with_name("gone.mat")):
        assert _score((predictions, mpii_truth)) == 2
    said = capsys.readouterr().err.splitlines()
    assert "expected a list of preds and bbox_ids" in said[0]
    assert "expected a file like pred.mat" in said[1]
    assert "no such file" in said[2]
    assert _score((mpii_truth.with_name("pred.mat"), mpii_truth), "--keypoints", "mpii") == 2
    assert "expected neither --keypoints nor --pck-threshold" in capsys.readouterr().err


def test_raw_outputs_that_repeat_a_person_count_it_once(mpii_truth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joints = np.column_stack([np.arange(32.0).reshape(16, 2), np.ones(16)])
    other = joints + np.array([32, 32, 0])
    # As from several processes: out of order, the first one again to fill up a batch.
    outputs = [
        {"preds": [other.tolist()], "bbox_ids": [1]},
        {"preds": [joints.tolist(), (joints + 99).tolist()], "bbox_ids": [0, 1]},
    ]
    path = mpii_truth.with_name("raw.json")
    path.write_text(json.dumps(outputs))
    assert _score((path, mpii_truth), "--json") == 0
    assert json.loads(capsys.readouterr().out)["PCKh"] == 100


@pytest.mark.parametrize("boxes", ["annotated", "detected"])
def test_score_on_what_predict_wrote_gives_the_metrics_of_test(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], boxes: str
) -> None:
    content = json.loads((shared / "data" / "coco_dev" / "annotations.json").read_text())
    chosen = content["images"][:6]
    content["images"] = [each | {"file_name": f"street {each['id']}.jpg"} for each in chosen]
    names = {each["id"]: each["file_name"] for each in content["images"]}
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] in names]
    for image in chosen:
        (tmp_path / names[image["id"]]).symlink_to(shared / "data" / "coco_dev" / "images" / image["file_name"])
    annotations, people, detections = (tmp_path / f"{name}.json" for name in ("annotations", "people", "detections"))
    annotations.write_text(json.dumps(content))
    # Like test, predict gets no boxes of people without keypoints.
    with_keypoints = [each for each in content["annotations"] if each["num_keypoints"]]
    people.write_text(json.dumps({**content, "annotations": with_keypoints}))
    entries = json.loads((shared / "data" / "detections_dev.json").read_text())
    own = [each | {"file_name": names[each["image_id"]]} for each in entries if each["image_id"] in names]
    detections.write_text(json.dumps([each for each in own if each["score"] > 0.1]))

    file = {"annotated": people, "detected": detections}[boxes]
    photos = [str(tmp_path / name) for name in names.values()]
    assert main(["predict", *photos, "--boxes", str(file), "--out-dir", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main(["score", str(tmp_path / "out" / "keypoints.json"), str(annotations), "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    with_boxes = ["--boxes", str(file)] if boxes == "detected" else []
    images = ["--annotations", str(annotations), "--images", str(tmp_path)]
    assert main(["test", "lite_hrnet_18", *images, *with_boxes, "--no-flip", "--json"]) == 0
    tested = json.loads(capsys.readouterr().out)
    assert tested["AP"] > 0.1
    assert {name: scored[name] for name in tested} == pytest.approx(tested, abs=1e-6)
