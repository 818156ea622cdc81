import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import loadmat, savemat

from litehrnet import read_image
from litehrnet.cli.main import main
from litehrnet.detectors.detections import DetectedBoxes


def _test(weights: Path, dataset: Path, *more: str) -> int:
    files = ["--annotations", str(dataset / "annotations.json"), "--images", str(dataset / "images")]
    return main(["test", str(weights), *files, "--threads", "1", *more])


def test_json_is_the_metrics_and_nothing_else(
    small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _test(small_onnx, dataset, "--json") == 0
    metrics = json.loads(capsys.readouterr().out)
    assert list(metrics) == ["AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"]
    assert 0 <= metrics["AP"] < 0.5  # random weights find nothing


def test_table_names_boxes_and_input_size_and_their_sources(
    small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _test(small_onnx, dataset, "--no-flip") == 0
    said = capsys.readouterr().out
    assert "boxes: ground truth" in said
    assert "64x64 (width x height), from the weights' file" in said
    assert "3 people in 3 photos, flip test off" in said
    assert "onnxruntime" in said


def test_detected_boxes_are_named_and_results_written(
    small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = [{"image_id": 2, "category_id": 1, "bbox": [60, 20, 100, 250], "score": 0.75}]
    (dataset / "detections.json").write_text(json.dumps(boxes))
    out = dataset / "results.json"
    assert _test(small_onnx, dataset, "--boxes", str(dataset / "detections.json"), "--out", str(out)) == 0
    assert "boxes: detections" in capsys.readouterr().out
    results = json.loads(out.read_text())
    assert [entry["image_id"] for entry in results] == [2]


def _change(dataset: Path, change: Any) -> None:
    content = json.loads((dataset / "annotations.json").read_text())
    change(content)
    (dataset / "annotations.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: [a.update(keypoints=[1, 2, 2] * 16) for a in c["annotations"]], "have 16 keypoints (expected 17"),
        (lambda c: c["annotations"][0].update(keypoints=[1, 2, 2] * 5), "have [5, 17] keypoints"),
        (lambda c: c["annotations"][0].update(image_id=99), "is on image 99, which the file does not have"),
        (lambda c: c["images"][0].pop("width"), "image 0 (id 1): is incomplete"),
        (lambda c: c.pop("annotations"), "not COCO annotations"),
        (lambda c: c["images"][1].update(file_name="gone.png"), "gone.png: no such file (1 of the 3 photos of"),
        (lambda c: c["annotations"][2].update(area="wide"), "annotation 2 (id 3): area is wide (expected square"),
    ],
)
def test_broken_annotations_are_one_line_and_exit_code_2(
    small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str], change: Any, message: str
) -> None:
    _change(dataset, change)
    assert _test(small_onnx, dataset) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([], "has no boxes"),
        ([{"image_id": 9, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 1}], "entry 0 is on image 9"),
        ([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 0, 5], "score": 1}], "entry 0 has the box"),
        ([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 5], "score": 1}], "entry 0 is not a box"),
        ([{"image_id": 1}], "entry 0 is not a box"),
    ],
)
def test_broken_detections_are_one_line_and_exit_code_2(
    small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str], boxes: Any, message: str
) -> None:
    (dataset / "detections.json").write_text(json.dumps(boxes))
    assert _test(small_onnx, dataset, "--boxes", str(dataset / "detections.json")) == 2
    assert message in capsys.readouterr().err


def test_annotations_without_images_are_an_error(small_onnx: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(small_onnx), "--annotations", "a.json"]) == 2
    assert "--annotations and --images: one is missing" in capsys.readouterr().err


RECIPE = """
variant = "naive_lite_hrnet_18"
keypoints = "coco"
input_size_wh = (64, 64)
codec = dict(kind="default")
test = dict(format="coco", annotations="gone.json", images="gone")
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "naive_lite_hrnet_18",
            "lite_hrnet_18",
            "weights of naive_lite_hrnet_18 (expected lite_hrnet_18, as in own)",
        ),
        ("(64, 64)", "(96, 128)", "input size is 64x64 (width x height) and cannot be changed to 96x128"),
        ('"default"', '"dark"', "heatmaps are decoded by HeatmapCodec(kind='default'"),
    ],
)
def test_configuration_that_contradicts_the_weights_file_is_refused(
    small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    assert old in RECIPE
    (dataset / "own.py").write_text(RECIPE.replace(old, new))
    assert _test(small_onnx, dataset, "--config", str(dataset / "own.py")) == 2
    assert message in capsys.readouterr().err


def test_options_go_before_the_configuration(
    small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset / "own.py").write_text(RECIPE)
    assert _test(small_onnx, dataset, "--config", str(dataset / "own.py"), "--json") == 0
    assert "AP" in json.loads(capsys.readouterr().out)
    assert main(["test", str(small_onnx), "--config", str(dataset / "own.py")]) == 2
    assert "gone.json: no such file" in capsys.readouterr().err


def test_per_keypoint_adds_pck_and_a_table(small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _test(small_onnx, dataset, "--no-flip", "--per-keypoint") == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("PCK@0.2", "NME", "mean error", "left_shoulder"))


def test_score_of_the_written_results_is_what_the_test_said(
    small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(dataset / "results.json")
    assert _test(small_onnx, dataset, "--no-flip", "--per-keypoint", "--json", "--out", out) == 0
    tested = json.loads(capsys.readouterr().out)
    assert main(["score", out, str(dataset / "annotations.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == tested
    assert [row["annotated"] for row in tested["per_keypoint"]] == [3] * 17


@pytest.fixture
def mpii_dataset(dataset: Path) -> Path:
    """The drawn figures as MPII's annotations, without ground truth."""
    persons = [{"image": f"{n:012}.png", "center": [120, 150], "scale": 1.4} for n in (1, 2, 3)]
    (dataset / "annotations.json").write_text(json.dumps(persons))
    return dataset


SMALL = ("--input-size", "64", "64", "--no-flip")


def test_mpii_annotations_give_pckh(
    small_mpii_weights: Path, mpii_dataset: Path, write_mpii_truth: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mpii_truth(mpii_dataset, np.full((3, 16, 2), 119.0), (200, 200))
    assert _test(small_mpii_weights, mpii_dataset, "--json", *SMALL) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert list(metrics)[-3:] == ["PCKh", "PCKh@0.1", "PCKh at 0.10"]
    assert 0 < metrics["PCKh"] <= 100


@pytest.mark.parametrize("name", ["pred.mat", "raw.json"])
def test_mpii_predictions_are_written_and_score_as_tested(
    small_mpii_weights: Path,
    mpii_dataset: Path,
    write_mpii_truth: Any,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    joints = write_mpii_truth(mpii_dataset, np.full((3, 16, 2), 119.0), (200, 200))
    out = str(mpii_dataset / name)
    assert _test(small_mpii_weights, mpii_dataset, "--json", "--per-keypoint", "--out", out, *SMALL) == 0
    tested = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in tested["per_keypoint"]] == joints
    assert main(["score", out, str(mpii_dataset / "annotations.json"), "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert {**scored, "per_keypoint": None} == {**tested, "per_keypoint": None}
    for ours, theirs in zip(scored["per_keypoint"], tested["per_keypoint"], strict=True):
        assert ours == theirs | {"mean_error": pytest.approx(theirs["mean_error"], rel=1e-5)}


def test_mpii_test_split_gives_predictions_and_says_that_there_are_no_metrics(
    small_mpii_weights: Path, mpii_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = mpii_dataset / "pred.mat"
    assert _test(small_mpii_weights, mpii_dataset, "--out", str(out), "--per-keypoint", *SMALL) == 0
    said = capsys.readouterr().out
    assert "no metrics" in said
    assert "put mpii_human_pose_v1_u12_1.mat beside the annotations" in said
    assert sorted(name for name in loadmat(out) if name[0] != "_") == ["preds"]
    assert loadmat(out)["preds"].shape == (3, 16, 2)


def test_mpii_test_split_is_laid_out_by_the_file_of_mpii_where_it_is_there(
    small_mpii_weights: Path, mpii_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rectangle = {"scale": 1.4, "objpos": {"x": 120.0, "y": 150.0}}
    photos = [{"image": {"name": f"{n:012}.png"}, "annorect": rectangle} for n in (3, 1, 2)]
    annolist = np.zeros((1, 3), dtype=[("image", "O"), ("annorect", "O")])
    annolist[0] = [tuple(photo.values()) for photo in photos]
    single = np.empty((3, 1), dtype="O")
    single[:, 0] = [np.ones((1, 1))] * 3
    release = {"annolist": annolist, "img_train": np.zeros((1, 3)), "single_person": single}
    savemat(mpii_dataset / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": release})
    out = mpii_dataset / "pred.mat"
    assert _test(small_mpii_weights, mpii_dataset, "--out", str(out), *SMALL) == 0
    assert "pred_keypoints_mpii.mat" in capsys.readouterr().out
    content = loadmat(out, struct_as_record=False)
    third = content["pred"][0, 0].annorect[0, 0].annopoints[0, 0].point[0]
    np.testing.assert_allclose([point.x[0, 0] for point in third], content["preds"][2, :, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "mpii_gt_val.mat: no such file (or --out FILE"),
        (("--out", "pred.npy"), "pred.npy: unknown format for MPII (expected .mat or .json)"),
    ],
)
def test_mpii_test_split_needs_a_file_to_write(
    small_mpii_weights: Path,
    mpii_dataset: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    assert _test(small_mpii_weights, mpii_dataset, *options, *SMALL) == 2
    assert message in capsys.readouterr().err


def test_published_configuration_and_overrides_are_taken(
    published: Path, small_onnx: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["test", str(small_onnx), "--config", str(published), "--threads", "1", "--json"]
    assert main([*command, "--cfg-options", "model.test_cfg.flip_test=False"]) == 0
    said = capsys.readouterr()
    assert "AP" in json.loads(said.out)
    assert "note: model.keypoint_head.in_channels is 40" in said.err
    assert main([*command, "--cfg-options", "model.test_cfg.flip_tset=False"]) == 2
    assert "model.test_cfg.flip_tset is unknown (did you mean flip_test?)" in capsys.readouterr().err


def test_overrides_without_a_configuration_are_an_error(small_onnx: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(small_onnx), "--cfg-options", "a=1"]) == 2
    assert "--cfg-options: there is no configuration to change" in capsys.readouterr().err


def test_lists_of_photos_leave_others_out(small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed, recipe, out = dataset / "list.txt", dataset / "recipe.py", dataset / "results.json"
    listed.write_text("2\n")
    files = f"annotations={str(dataset / 'annotations.json')!r}, images={str(dataset / 'images')!r}"
    recipe.write_text(
        'variant = "naive_lite_hrnet_18"\nkeypoints = "coco"\ninput_size_wh = (64, 64)\n'
        f'validation = dict(format="coco", {files}, without={str(listed)!r})\n'
    )
    options = ["test", str(small_onnx), "--config", str(recipe), "--threads", "1", "--per-keypoint", "--out", str(out)]
    assert main(options) == 0
    assert "evaluated:  2 people in 2 photos" in capsys.readouterr().out
    assert {entry["image_id"] for entry in json.loads(out.read_text())} == {1, 3}


def test_gallery_is_drawn(small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = dataset / "worst.png"
    assert _test(small_onnx, dataset, "--gallery", "2", "--worst", "--gallery-out", str(out)) == 0
    assert "worst.png: 2 of 3 people, worst first" in capsys.readouterr().out
    assert read_image(out).shape[1] == 2 * 480


def test_gallery_that_cannot_be_drawn_is_refused_first(
    small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _test(small_onnx, dataset, "--worst") == 2
    assert "there is nothing to draw (expected --gallery N)" in capsys.readouterr().err
    assert _test(small_onnx, dataset, "--gallery", "2", "--gallery-out", "list.txt") == 2
    assert "list.txt: not a name for a picture" in capsys.readouterr().err


class _OneBox:
    """A detector that sees one person, partly outside, in any photo."""

    def detect(self, image: NDArray[np.uint8]) -> DetectedBoxes:
        return DetectedBoxes(np.array([[60, -5, 100, 250]], np.float32), np.array([0.75], np.float32))


def test_boxes_of_a_detector_are_cleaned_as_annotated_ones_are(
    small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("litehrnet.cli.evaluate.open_detector", lambda path, **_: _OneBox())
    out = dataset / "results.json"
    assert _test(small_onnx, dataset, "--no-flip", "--detector", "detector.onnx", "--out", str(out)) == 0
    assert "boxes: detections (by the detector)" in capsys.readouterr().out.replace("      ", " ")
    results = json.loads(out.read_text())
    assert [entry["image_id"] for entry in results] == [1, 2, 3]
    assert [entry["center"] for entry in results] == [[109.5, 124.5]] * 3  # x 60 to 159, y 0 to 249


def test_detector_beside_boxes_or_on_mpii_is_refused(
    small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _test(small_onnx, dataset, "--detector", "d.onnx", "--boxes", "boxes.json") == 2
    assert "expected one of the two" in capsys.readouterr().err
    (dataset / "annotations.json").write_text("[]")
    assert _test(small_onnx, dataset, "--detector", "d.onnx", "--out", str(dataset / "raw.json")) == 2
    assert "expected COCO annotations" in capsys.readouterr().err
