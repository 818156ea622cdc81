import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from litehrnet import write_image
from litehrnet.cli.main import main
from litehrnet.inference.figure import draw_figure
from litehrnet.keypoints.skeletons import COCO


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three drawn figures with their true joints in COCO's form."""
    (tmp_path / "images").mkdir()
    images, annotations = [], []
    for number in (1, 2, 3):
        picture, joints, box = draw_figure((240, 320), seed=number)
        name = f"{number:012}.png"
        write_image(tmp_path / "images" / name, picture)
        images.append({"id": number, "file_name": name, "width": 240, "height": 320})
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": box.tolist(),
                "area": float(box[2] * box[3] / 2),
                "keypoints": np.column_stack([joints, np.full(17, 2)]).ravel().tolist(),
                "num_keypoints": 17,
            }
        )
    category = {"id": 1, "name": "person", "keypoints": COCO.keypoint_names, "skeleton": []}
    content = {"images": images, "annotations": annotations, "categories": [category]}
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    return tmp_path


def _test(weights: Path, dataset: Path, *more: str) -> int:
    files = ["--annotations", str(dataset / "annotations.json"), "--images", str(dataset / "images")]
    return main(["test", str(weights), *files, "--threads", "1", *more])


def test_json_is_the_figures_and_nothing_else(
    small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _test(small_onnx, dataset, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert list(figures) == ["AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"]
    assert 0 <= figures["AP"] < 0.5  # random weights find nothing


def test_table_names_boxes_and_input_size_and_their_sources(
    small_onnx: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _test(small_onnx, dataset, "--no-flip") == 0
    said = capsys.readouterr().out
    assert "boxes: ground truth" in said
    assert "64x64 (width x height), from the weights' file" in said
    assert "3 persons in 3 photos, flip test off" in said
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
        (lambda c: c["annotations"][0].update(image_id=99), "annotation 0 belongs to no image"),
        (lambda c: c["images"][0].pop("width"), "image 0 is incomplete"),
        (lambda c: c.pop("annotations"), "not COCO annotations"),
        (lambda c: c["images"][1].update(file_name="gone.png"), "gone.png: no such photo (1 of those"),
        (lambda c: c["annotations"][2].pop("area"), "entries lack 'area'"),
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
        ([{"image_id": 9, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 1}], "entry 0 is of image 9"),
        ([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 0, 5], "score": 1}], "entry 0 has the box"),
        ([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 5], "score": 1}], "entry 0 is no box"),
        ([{"image_id": 1}], "entry 0 is no box"),
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
    assert "--annotations and --images: both are needed" in capsys.readouterr().err


RECIPE = """
variant = "naive_lite_hrnet_18"
keypoints = "coco"
input_size_wh = (64, 64)
codec = dict(kind="default")
test = dict(dataset="coco", annotations="gone.json", images="gone")
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "naive_lite_hrnet_18",
            "lite_hrnet_18",
            "weights of naive_lite_hrnet_18 (expected lite_hrnet_18, as own says)",
        ),
        ("(64, 64)", "(96, 128)", "is for 64x64 input (width x height), not 96x128"),
        ('"default"', '"dark"', "its heatmaps are to be decoded by HeatmapCodec(kind='default'"),
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


def test_mpii_annotations_give_pckh(
    small_mpii_weights: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    persons = [
        {"image": f"{n:012}.png", "center": [120, 150], "scale": 1.4, "joints": [[1, 1]] * 16, "joints_vis": [1] * 16}
        for n in (1, 2, 3)
    ]
    (dataset / "annotations.json").write_text(json.dumps(persons))
    names = [
        "rank",
        "rkne",
        "rhip",
        "lhip",
        "lkne",
        "lank",
        "pelv",
        "thor",
        "neck",
        "head",
        "rwri",
        "relb",
        "rsho",
        "lsho",
        "lelb",
        "lwri",
    ]
    cells = np.empty((1, 16), object)
    cells[0] = [np.array([name]) for name in names]
    savemat(
        dataset / "mpii_gt_val.mat",
        {
            "dataset_joints": cells,
            "jnt_missing": np.zeros((16, 3)),
            "pos_gt_src": np.full((16, 2, 3), 120.0),
            "headboxes_src": np.tile(np.array([[0.0, 0], [200, 200]])[..., None], 3),
        },
    )
    assert _test(small_mpii_weights, dataset, "--json", "--input-size", "64", "64") == 0
    figures = json.loads(capsys.readouterr().out)
    assert list(figures)[-3:] == ["PCKh", "PCKh@0.1", "PCKh at 0.10"]
    assert 0 < figures["PCKh"] <= 100
