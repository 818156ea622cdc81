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
from litehrnet.data.annotations import normalized
from litehrnet.data.coco import CocoAnnotations, read_annotations
from litehrnet.data.tools.kinds import read_project
from litehrnet.data.tools.writing import converted
from litehrnet.errors import UserError
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
        (layouts.sleap_project, _expected(boxes=False, hidden=True), "object"),
        (lambda folder: layouts.sleap_project(folder, 1.0), _expected(boxes=False, hidden=True), "object"),
        (layouts.sleap_analysis, _expected(boxes=False, hidden=False, rename=_frame), "object"),
    ],
    ids=["cvat-skeletons", "cvat-points", "label-studio", "deeplabcut", "sleap", "sleap-1.0", "sleap-analysis"],
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


@pytest.mark.parametrize("folder", ["labeled-data/video", "labeled-data", "."])
def test_one_animal_of_deeplabcut_with_names_in_one_cell(folder: str, tmp_path: Path) -> None:
    layouts.deeplabcut(tmp_path, animals=1, index=1)
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


BROKEN = {
    "none": (None, "nowhere: cannot be read (No such file or directory)"),
    "text": (b"hello", "not recognized (expected CVAT's XML for images, "),
    "coco": (
        b'{"images": []}',
        "a JSON object is not converted (COCO's annotations are named in a recipe as they are)",
    ),
    "xml": (b"<annotations><image", "not valid XML in UTF-8"),
    "xml-utf16": ("<annotations/>".encode("utf-16"), "not recognized"),
    "xml-entities": (b'<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>', "declares a document type"),
    "xml-video": (b"<annotations><track id='0'/></annotations>", "is CVAT's format for videos"),
    "xml-empty": (b"<annotations></annotations>", "no object has keypoints"),
    "xml-number": (
        b"<annotations><image name='a' width='x' height='2'/></annotations>",
        "is not laid out as CVAT's XML for images (ValueError: invalid literal",
    ),
    "xml-nan": (
        b"<annotations><image name='a.png' width='9' height='9'><points label='x' points='nan,1'/></image>"
        b"</annotations>",
        "a.png: a place is not finite",
    ),
    "json-min": (b'[{"image": "a.png"}]', "not tasks of Label Studio (expected its export in the format 'JSON'"),
    "json": (b"[{", "not a JSON file"),
    "json-no-photo": (b'[{"id": 7, "data": {}}]', "task 7 names no photo"),
    "json-regions": (b'[{"data": {"image": "a"}, "annotations": [{"result": [{}]}]}]', "(KeyError: 'type')"),
    "csv": (b"scorer,me\nbodyparts,beak\n", "not labels of DeepLabCut (expected the rows scorer, bodyparts and coords"),
    "csv-predictions": (
        b"scorer,n,n,n\nbodyparts,b,b,b\ncoords,x,y,likelihood\n0,1,2,0.5\n",
        "holds predictions of DeepLabCut",
    ),
    "csv-cells": (b"scorer,n,n\nbodyparts,b,b\ncoords,x,y\na.png,1\n", "line 4: has 2 cells (expected 3)"),
    "csv-number": (b"scorer,n,n\nbodyparts,b,b\ncoords,x,y\na.png,1,b\n", "line 4: b is not a number"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(90), "cannot be read as HDF5"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_one_sentence_and_write_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = BROKEN[name]
    source = tmp_path / "nowhere"
    if content is not None:
        source.write_bytes(content)
    code, out = _convert(source)
    said = capsys.readouterr()
    assert code == 2
    assert message in said.err
    assert (said.err.count("\n"), said.out, out.exists()) == (1, "", False)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kpt_shape", "shape", "kpt_shape is None (expected the number of keypoints, and 2 or 3)"),
        ("names:\n  0: bird", "names: {1: bird}", "names is {1: 'bird'} (expected a name for each class, from 0)"),
        ("- 0\n- 2\n- 1", "- 0\n- 2\n- 2", "flip_idx is [0, 2, 2] (expected each of 3 keypoints once)"),
        ("- images", "- nowhere", "nowhere: no such file"),
        ("train:\n- images\nval: list.txt", "", "train, val and test name no photo"),
        (
            "kpt_shape:\n- 3\n- 3",
            "kpt_shape: [3, 2]",
            "one.txt, line 1: has 14 numbers (expected 11, as kpt_shape says)",
        ),
        ("- beak", "- left_wing", "kpt_names is ['left_wing', 'left_wing', 'right_wing'] (expected 3 different names)"),
        ("path", "{", "not valid YAML"),
    ],
)
def test_broken_yolo_sets_are_one_sentence(
    old: str, new: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = layouts.yolo(tmp_path)
    assert old in source.read_text()
    source.write_text(source.read_text().replace(old, new))
    assert _convert(source)[0] == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 bird", "line 1: not numbers (expected a class, a box and keypoints)"),
        ("1" + " 0.5" * 13, "line 1: is of class 1 (expected 0 to 0)"),
        ("0" + " 50" * 13, "line 1: has places beyond 1 (expected fractions of the photo)"),
    ],
)
def test_broken_lines_of_yolo_are_one_sentence(
    line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = layouts.yolo(tmp_path)
    (tmp_path / "labels" / "one.txt").write_text(line)
    assert _convert(source)[0] == 2
    assert message in capsys.readouterr().err


def test_hdf5_of_others_is_refused_without_unpickling(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, message in (
        ("df_with_missing", "is DeepLabCut's HDF5 (expected the CSV file"),
        ("x", "not a file of SLEAP"),
    ):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_group(name)
        assert _convert(tmp_path / f"{name}.h5")[0] == 2
        assert message in capsys.readouterr().err


def test_a_sleap_package_with_its_frames_inside_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = layouts.sleap_project(tmp_path)
    with h5py.File(source, "r+") as file:
        del file["videos_json"]
        file["videos_json"] = [np.bytes_(json.dumps({"backend": {"filename": ".", "dataset": "video0/video"}}))]
    assert _convert(source)[0] == 2
    assert "holds its frames itself" in capsys.readouterr().err


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


@pytest.mark.parametrize(("package", "write"), [("h5py", layouts.sleap_project), ("yaml", layouts.yolo)])
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


WRITERS: list[Write] = [
    layouts.cvat_skeletons,
    layouts.cvat_points,
    layouts.label_studio,
    layouts.yolo,
    layouts.deeplabcut,
    layouts.sleap_project,
    layouts.sleap_analysis,
]


def _damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Delete, replace or repeat a few bytes, or put another value there."""
    values = [b"null", b"-1", b"nan", b"[]", b"1e999", b'"', b"0"]
    start, length = int(random.integers(len(content))), int(random.integers(1, 20))
    middle = [b"", random.bytes(length), 2 * content[start : start + length], values[random.integers(len(values))]]
    return content[:start] + middle[random.integers(4)] + content[start + length :]


def _refusal(source: Path, content: bytes) -> str | None:
    """Convert a file; return why it is refused, or None."""
    source.write_bytes(content)
    try:
        project = read_project(source)
        for part in converted(project, project.images):
            normalized(source, part.content)
    except UserError as error:
        return str(error)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_damaged_files_are_read_or_refused_in_one_sentence(write: Write, tmp_path: Path) -> None:
    source = write(tmp_path)
    content, random = source.read_bytes(), np.random.default_rng(0)
    messages = [_refusal(source, _damaged(content, random)) for _ in range(300)]
    refused = [message for message in messages if message is not None]
    assert 0 < len(refused) < 300
    assert not any("\n" in message for message in refused)
