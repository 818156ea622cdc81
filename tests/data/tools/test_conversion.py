"""``litehrnet data convert``: each tool's layout, written from known birds, gives the same birds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.data.tools import layouts
from tests.data.tools.layouts import BIRDS, NAMES, SIZES

from litehrnet.cli.main import main
from litehrnet.data.coco import CocoAnnotations, read_annotations
from litehrnet.keypoints.skeletons import read_keypoint_set

Write = Callable[[Path], Path]
Birds = dict[str, list[tuple[list[float], dict[str, tuple[float, float, int]]]]]


def _birds(annotations: CocoAnnotations) -> Birds:
    """Boxes and labeled keypoints by photo, rounded to the precision of text files."""
    names = annotations.keypoint_names
    assert names is not None
    found: Birds = {}
    for image in annotations.images.values():
        for person in annotations.people(image["id"]):
            flat = [round(value, 4) for value in person["keypoints"]]
            triples = zip(names, flat[::3], flat[1::3], flat[2::3], strict=True)
            keypoints = {name: (x, y, int(v)) for name, x, y, v in triples if v > 0}
            found.setdefault(image["file_name"], []).append(([round(each, 4) for each in person["bbox"]], keypoints))
    return found


def _around(keypoints: layouts.Keypoints) -> list[float]:
    xs, ys = ([point[axis] for point in keypoints.values()] for axis in (0, 1))
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _expected(*, boxes: bool, hidden: bool, rename: Callable[[str], str] = str) -> Birds:
    found: Birds = {}
    for bird in BIRDS:
        keypoints = {name: (x, y, v if hidden else 2) for name, (x, y, v) in bird.keypoints.items()}
        box = list(bird.box) if boxes else _around(bird.keypoints)
        found.setdefault(rename(bird.photo), []).append((box, keypoints))
    return found


def _frame(photo: str) -> str:
    return f"video/{list(SIZES).index(photo):06}.png"


def _in_video(photo: str) -> str:
    return f"video/{photo}"


def _convert(source: Path, *more: str | Path) -> tuple[int, Path]:
    out = source.parent / "out.json"
    return main(["data", "convert", str(source), "--out", str(out), *map(str, more)]), out


@pytest.mark.parametrize(
    ("write", "expected", "category"),
    [
        (layouts.cvat_skeletons, _expected(boxes=True, hidden=True), "bird"),
        (layouts.cvat_points, _expected(boxes=True, hidden=True), "bird"),
        (layouts.label_studio, _expected(boxes=True, hidden=False), "bird"),
        (layouts.deeplabcut, _expected(boxes=False, hidden=False, rename=_in_video), "object"),
        (layouts.deeplabcut_hdf5, _expected(boxes=False, hidden=False, rename=_in_video), "object"),
        (layouts.sleap_project, _expected(boxes=False, hidden=True), "object"),
        (lambda folder: layouts.sleap_project(folder, 1.0), _expected(boxes=False, hidden=True), "object"),
        (layouts.sleap_analysis, _expected(boxes=False, hidden=False, rename=_frame), "object"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_known_birds_come_back(write: Write, expected: Birds, category: str, tmp_path: Path) -> None:
    code, out = _convert(write(tmp_path))
    assert code == 0
    annotations = read_annotations(out)
    assert _birds(annotations) == expected
    assert set(annotations.keypoint_names or ()) == set(NAMES)
    assert list(annotations.categories.values()) == [category]
    sizes = {image["file_name"]: (image["width"], image["height"]) for image in annotations.images.values()}
    renamed = dict(zip(expected, [SIZES["one.png"], SIZES["two.png"]], strict=True))
    assert sizes | renamed == sizes


@pytest.mark.parametrize("numbers", [2, 3])
def test_the_parts_of_a_yolo_set_are_files_of_their_own(
    numbers: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = layouts.yolo(tmp_path, numbers)
    code, out = _convert(source)
    assert (code, out.exists()) == (0, False)
    train, val = (read_annotations(tmp_path / f"out_{split}.json") for split in ("train", "val"))
    expected = _expected(boxes=True, hidden=numbers == 3)
    assert _birds(train) == expected
    assert _birds(val) == {"two.png": expected["two.png"]}
    assert [image["file_name"] for image in val.images.values()] == ["none.png", "two.png"]
    assert "out_val.json: 2 photos, 1 objects, 3 labeled keypoints" in capsys.readouterr().out
    assert main(["data", "convert", str(tmp_path), "--out", str(tmp_path / "again.json")]) == 0
    assert read_annotations(tmp_path / "again_train.json").images == train.images


def test_a_yolo_set_as_roboflow_lays_it_out(tmp_path: Path) -> None:
    layouts.yolo(tmp_path)
    (tmp_path / "train").mkdir()
    for name in ("images", "labels"):
        (tmp_path / name).rename(tmp_path / "train" / name)
    text = "train: ../train/images\nkpt_shape: [3, 3]\nflip_idx: [0, 2, 1]\nnc: 1\nnames: ['bird']\n"
    (tmp_path / "data.yaml").write_text(text)
    code, _ = _convert(tmp_path / "data.yaml")
    assert code == 0
    expected = _expected(boxes=True, hidden=True)
    numbered = {
        photo: [(box, {str(NAMES.index(name)): point for name, point in own.items()}) for box, own in birds]
        for photo, birds in expected.items()
    }
    assert _birds(read_annotations(tmp_path / "out_train.json")) == numbered
    keypoint_set = read_keypoint_set(tmp_path / "out_train.json")
    assert (keypoint_set.keypoint_names, keypoint_set.flip_pairs) == (("0", "1", "2"), ((1, 2),))


@pytest.mark.parametrize("write", [layouts.deeplabcut, layouts.deeplabcut_hdf5])
@pytest.mark.parametrize("folder", ["labeled-data/video", "labeled-data", "."])
def test_one_animal_of_deeplabcut_with_names_in_one_cell(
    folder: str, write: Callable[[Path, int, int], Path], tmp_path: Path
) -> None:
    write(tmp_path, 1, 1)
    out = tmp_path / "out.json"
    assert main(["data", "convert", str(tmp_path / folder), "--out", str(out)]) == 0
    found = {photo: birds[:1] for photo, birds in _expected(boxes=False, hidden=False, rename=_in_video).items()}
    assert _birds(read_annotations(out)) == found


def test_body_parts_whose_names_a_table_program_lost_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layouts.deeplabcut(tmp_path, animals=1, index=1)
    for file in tmp_path.rglob("CollectedData_*.csv"):
        file.write_text(file.read_text().replace(NAMES[0], "Unnamed: 3_level_1"))
    assert main(["data", "convert", str(tmp_path), "--out", str(tmp_path / "out.json")]) == 2
    assert "bodyparts has 'Unnamed: 3_level_1' (expected names" in capsys.readouterr().err


def test_pairs_and_limbs_that_a_tool_knows_are_kept(tmp_path: Path) -> None:
    for write in (layouts.cvat_skeletons, layouts.sleap_project, layouts.sleap_analysis):
        (folder := tmp_path / write.__name__).mkdir()
        _, out = _convert(write(folder))
        keypoint_set = read_keypoint_set(out)
        assert (keypoint_set.keypoint_names, keypoint_set.limbs) == (NAMES, layouts.PAIRS)
        assert keypoint_set.flip_pairs == ((1, 2),)
    category = json.loads((tmp_path / "sleap_project" / "out.json").read_text())["categories"][0]
    assert category["flip_pairs"] == [["left_wing", "right_wing"]]


def test_pairs_have_the_left_side_first(tmp_path: Path) -> None:
    source = layouts.yolo(tmp_path)
    source.write_text(source.read_text().replace("- left_wing\n  - right_wing", "- right_wing\n  - left_wing"))
    _convert(source)
    assert read_keypoint_set(tmp_path / "out_train.json").flip_pairs == ((2, 1),)


def test_loose_keypoints_belong_to_the_only_box_and_are_left_out_where_there_are_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = layouts.label_studio(tmp_path)
    tasks = json.loads(source.read_text())
    for task in tasks:
        for region in task["annotations"][1]["result"]:
            region.pop("parentID", None)
    source.write_text(json.dumps(tasks))
    code, out = _convert(source)
    assert code == 0
    assert "left out: keypoints that belong to none of several boxes: 5" in capsys.readouterr().out
    found = _birds(read_annotations(out))
    assert found["two.png"] == _expected(boxes=True, hidden=False)["two.png"]
    assert [keypoints for _, keypoints in found["one.png"]] == [{}, {}]


def test_keypoints_without_any_box_are_one_object_and_a_name_twice_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = layouts.label_studio(tmp_path)
    tasks = json.loads(source.read_text())
    for task in tasks:
        result = task["annotations"][1]["result"]
        task["annotations"][1]["result"] = [region for region in result if region["type"] == "keypointlabels"]
        for region in result:
            region.pop("parentID", None)
    source.write_text(json.dumps(tasks))
    code, out = _convert(source)
    assert code == 0
    said = capsys.readouterr().out
    assert "left out: objects with two keypoints of one name: 1" in said
    assert "out.json: 3 photos, 1 objects, 3 labeled keypoints" in said
    expected = _expected(boxes=False, hidden=False)
    assert _birds(read_annotations(out)) == {"two.png": expected["two.png"]}


def test_relations_of_label_studio_join_keypoints_and_rectangles(tmp_path: Path) -> None:
    source = layouts.label_studio(tmp_path)
    tasks = json.loads(source.read_text())
    for task in tasks:
        result = task["annotations"][1]["result"]
        for region in [each for each in result if "parentID" in each]:
            result.append({"type": "relation", "from_id": region["id"], "to_id": region.pop("parentID")})
    source.write_text(json.dumps(tasks))
    _, out = _convert(source)
    assert _birds(read_annotations(out)) == _expected(boxes=True, hidden=False)


def test_addresses_of_label_studio_become_names(tmp_path: Path) -> None:
    source = layouts.label_studio(tmp_path)
    tasks = json.loads(source.read_text())
    tasks[0]["data"]["image"] = "/data/local-files/?d=birds/day%201/one.png"
    tasks[1]["data"]["image"] = "https://example.org/a/two%20birds.png?token=1"
    source.write_text(json.dumps(tasks))
    _, out = _convert(source)
    names = [image["file_name"] for image in read_annotations(out).images.values()]
    assert names == ["birds/day 1/one.png", "two birds.png", "none.png"]


def test_counts_and_what_was_left_out_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = layouts.sleap_project(tmp_path)
    _, out = _convert(source)
    assert capsys.readouterr().out.splitlines() == [
        f"{out}: 3 photos, 3 objects, 8 labeled keypoints",
        "  boxes made from keypoints: 3",
        "left out: predicted instances: 1",
        "keypoints of object: beak, left_wing, right_wing",
        f"names of photos are relative to {tmp_path / 'photos'}",
    ]


def test_several_shapes_of_cvat_in_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A shape of several points is an object with numbered keypoints; boxes in no group are left out."""
    (tmp_path / "a.xml").write_text(
        '<annotations><image id="0" name="a.png" width="90" height="90">'
        '<box label="fish" xtl="1" ytl="1" xbr="9" ybr="9"/>'
        '<points label="fish" points="10,20;30,40.5;50,60"/></image></annotations>'
    )
    code, out = _convert(tmp_path / "a.xml")
    assert code == 0
    points: dict[str, tuple[float, float, int]] = {"1": (10, 20, 2), "2": (30, 40.5, 2), "3": (50, 60, 2)}
    assert _birds(read_annotations(out)) == {"a.png": [([10, 20, 40, 40], points)]}
    assert "left out: boxes in no group with keypoints: 1" in capsys.readouterr().out


def test_no_file_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = layouts.yolo(tmp_path)
    (tmp_path / "out_val.json").write_text("mine")
    code, _ = _convert(source)
    assert code == 2
    assert "out_val.json: exists already (expected the name of a new file)" in capsys.readouterr().err
    assert (tmp_path / "out_val.json").read_text() == "mine"
    assert not (tmp_path / "out_train.json").exists()


def test_sizes_come_from_the_folder_that_images_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = layouts.deeplabcut(tmp_path)
    (tmp_path / "labeled-data" / "video").rename(tmp_path / "video")
    source = tmp_path / "video" / source.name
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "video" / "two.png").rename(tmp_path / "elsewhere" / "two.png")
    assert _convert(source)[0] == 2
    assert "two.png: no such photo, and the annotations do not say its size" in capsys.readouterr().err
    (tmp_path / "elsewhere" / "video").mkdir()
    layouts.draw(tmp_path / "elsewhere" / "video")
    assert _convert(source, "--images", tmp_path / "elsewhere")[0] == 0


def test_frames_of_a_sleap_video_are_numbered_and_have_its_size(tmp_path: Path) -> None:
    source = layouts.sleap_project(tmp_path)
    with h5py.File(source, "r+") as file:
        del file["videos_json"]
        backend = {"filename": "D:\\birds\\day 1.mp4", "shape": [9, 48, 64, 1]}
        file["videos_json"] = [np.bytes_(json.dumps({"backend": backend}))]
    _, out = _convert(source)
    images = json.loads(out.read_text())["images"]
    assert images[1] == {"id": 2, "file_name": "day 1/000001.png", "width": 64, "height": 48}


def test_a_folder_of_two_kinds_needs_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layouts.yolo(tmp_path)
    layouts.deeplabcut(tmp_path)
    out = tmp_path / "out.json"
    assert main(["data", "convert", str(tmp_path), "--out", str(out)]) == 2
    assert "may be yolo or deeplabcut (expected --from with one of them)" in capsys.readouterr().err
    assert main(["data", "convert", str(tmp_path), "--out", str(out), "--from", "deeplabcut"]) == 0
    assert len(read_annotations(out).images) == 3


@pytest.mark.parametrize(
    ("package", "write"),
    [("h5py", layouts.sleap_project), ("h5py", layouts.deeplabcut_hdf5), ("yaml", layouts.yolo)],
)
def test_a_missing_package_is_named(
    package: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path)
    monkeypatch.setattr("litehrnet.optional.is_installed", lambda name: name != package)
    assert _convert(source)[0] == 2
    assert f"needs {package}, which is not installed (pip install 'litehrnet[tools]')" in capsys.readouterr().err


def _coco(categories: list[dict[str, Any]], first: int, category: int, extra: dict[str, Any]) -> dict[str, Any]:
    """Annotations in COCO's form with ids that count from ``first``."""
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": categories}
    for photo, (width, height) in SIZES.items():
        number = len(content["images"]) + first
        content["images"].append({"id": number, "file_name": photo, "width": width, "height": height})
        for bird in layouts.of(photo):
            flat = [value for name in NAMES for value in bird.keypoints.get(name, (0, 0, 0))]
            ids: dict[str, Any] = {"id": len(content["annotations"]) + first, "image_id": number}
            ids |= {"category_id": category, "bbox": list(bird.box), "area": bird.box[2] * bird.box[3], "iscrowd": 0}
            content["annotations"].append(ids | {"keypoints": flat, "num_keypoints": len(bird.keypoints)} | extra)
    return content


BIRD = {"name": "bird", "supercategory": "", "keypoints": list(NAMES), "skeleton": [[1, 2], [1, 3]]}
CVAT = _coco(
    [{"id": 1, "name": "nest", "supercategory": "", "keypoints": [], "skeleton": []}, {"id": 2} | BIRD],
    1,
    2,
    {"segmentation": [], "attributes": {"occluded": False, "keyframe": False}},
)
ROBOFLOW = _coco([{"id": 0, "name": "birds", "supercategory": "none"}, {"id": 1} | BIRD], 0, 1, {"segmentation": []})


@pytest.mark.parametrize("content", [CVAT, ROBOFLOW], ids=["cvat", "roboflow"])
def test_coco_files_of_other_tools_need_no_conversion(
    content: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CVAT's keypoints export with a second label first, and Roboflow's with ids from 0 and a category of the set."""
    layouts.draw(tmp_path / "images")
    annotations = tmp_path / "annotations.json"
    annotations.write_text(json.dumps(content))
    recipe = tmp_path / "birds.py"
    files = f"annotations={str(annotations)!r}, images={str(tmp_path / 'images')!r}"
    recipe.write_text(
        f'variant = "lite_hrnet_18"\nkeypoints = {str(annotations)!r}\ninput_size_wh = (64, 64)\n'
        f'train = (dict(format="coco", {files}),)\nvalidation = dict(format="coco", {files})\n'
    )
    code = main(["data", "check", str(recipe), "--sheet", str(tmp_path / "sheet.png")])
    said = capsys.readouterr().out
    assert "mirroring: left_wing and right_wing change places" in said
    assert "annotations.json: 3 people with keypoints, 2 photos, 0 problems" in said
    assert "3 of 3 training samples" in said
    assert (code, said.splitlines()[-1]) == (0, "no problems")
    assert _birds(read_annotations(annotations)) == _expected(boxes=True, hidden=True)
    assert main(["data", "convert", str(annotations), "--out", str(tmp_path / "out.json")]) == 2
    assert "COCO's annotations are named in a recipe as they are" in capsys.readouterr().err
