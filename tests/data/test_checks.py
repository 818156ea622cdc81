import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from litehrnet.data.checks import (
    FileReport,
    PhotoUse,
    check_coco,
    check_detections,
    check_keypoint_set,
    check_mpii,
    check_photo,
)
from litehrnet.data.settings import DataConfig
from litehrnet.keypoints.skeletons import COCO, KEYPOINT_SETS, unnamed

Save = Callable[[dict[str, Any]], DataConfig]


def _check(config: DataConfig, keypoint_count: int | None = None) -> FileReport:
    return check_coco(Path(config.annotations), Path(config.images), keypoint_count)


def _texts(report: FileReport) -> list[str]:
    return [str(problem).removeprefix(problem.file + ": ") for problem in report.problems]


def test_good_annotations_have_no_problem(drawn_coco: DataConfig) -> None:
    report = _check(drawn_coco)
    assert report.problems == []
    assert report.persons == 3
    assert [photo.path.name for photo in report.photos] == ["1.jpg", "2.jpg", "3.jpg"]
    assert [check_photo(photo) for photo in report.photos] == [[], [], []]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"bbox": [0, 0, 10]}, "bbox is [0, 0, 10] (expected x, y, width and height)"),
        ({"bbox": None}, "bbox is None (expected x, y, width and height)"),
        ({"bbox": [math.nan, 0, 10, 10]}, "bbox is [nan, 0, 10, 10] (expected finite numbers and an area)"),
        ({"bbox": [0, 0, 0, 10]}, "bbox is [0, 0, 0, 10] (expected finite numbers and an area)"),
        (
            {"bbox": [300, 5, 10, 10]},
            "bbox is [300, 5, 10, 10] (expected most of it inside the photo of 120x160)",
        ),
        (
            {"bbox": [100, 5, 50, 10]},
            "bbox is [100, 5, 50, 10] (expected most of it inside the photo of 120x160)",
        ),
        ({"area": 0}, "area is 0 (expected a number above 0)"),
        ({"area": "large"}, "area is large (expected square pixels)"),
        ({"keypoints": [1, 2, 2]}, "has 1 keypoints (expected 17)"),
        ({"keypoints": [30, 30, 7] * 17}, [f"keypoint {i} has visibility 7 (expected 0, 1 or 2)" for i in range(17)]),
        ({"keypoints": [1, 2]}, "keypoints has 2 numbers (expected x, y and visibility in turn)"),
        ({"keypoints": ["a", 2, 3]}, "keypoints is ['a', 2, 3]... (expected x, y and visibility in turn)"),
        ({"num_keypoints": 0}, "num_keypoints is 0 (expected 17, the number of labeled keypoints)"),
        ({"image_id": 77}, "is on image 77, which the file does not have"),
    ],
)
def test_what_is_wrong_with_a_person_is_named_with_its_index_and_id(
    coco_content: dict[str, Any], save_coco: Save, change: dict[str, Any], wrong: str | list[str]
) -> None:
    coco_content["annotations"][1] |= {"num_keypoints": None} | change
    texts = _texts(_check(save_coco(coco_content)))
    assert texts == [f"annotation 1 (id 2): {each}" for each in ([wrong] if isinstance(wrong, str) else wrong)]


def test_all_problems_are_found_at_once(coco_content: dict[str, Any], save_coco: Save) -> None:
    first, second, third = coco_content["annotations"]
    first["keypoints"][3] = math.inf
    second["num_keypoints"] = 0
    third["id"] = 1
    coco_content["images"][2]["id"] = 1
    coco_content["images"].append({"id": 9})
    assert _texts(_check(save_coco(coco_content))) == [
        "image 3 (id 9): is incomplete (expected id, file_name, width and height)",
        "2 images have the id 1 (expected different ids)",
        f"annotation 0 (id 1): keypoint 1 is at (inf, {first['keypoints'][4]}) (expected finite numbers)",
        "annotation 2 (id 1): is on image 3, which the file does not have",
        "annotation 1 (id 2): num_keypoints is 0 (expected 17, the number of labeled keypoints)",
        "2 annotations have the id 1 (expected different ids)",
    ]


def test_what_is_read_in_another_form_is_one_note_and_no_problem(
    coco_content: dict[str, Any], save_coco: Save, caplog: pytest.LogCaptureFixture
) -> None:
    for person in coco_content["annotations"]:
        person |= {"num_keypoints": 5, "area": None, "keypoints": [*person["keypoints"][:-1], -1]}
    config = save_coco(coco_content)
    assert _check(config).problems == []
    changed = "keypoints taken as unlabeled (3), num_keypoints counted (3), areas estimated (3)"
    assert caplog.messages == [f"note: {config.annotations}: {changed}"]


def test_keypoints_are_counted_as_the_recipe_says_before_the_file(drawn_coco: DataConfig) -> None:
    texts = _texts(_check(drawn_coco, keypoint_count=14))
    assert texts == [f"annotation {i} (id {i + 1}): has 17 keypoints (expected 14)" for i in range(3)]


def test_crowds_are_regions_without_keypoints(coco_content: dict[str, Any], save_coco: Save) -> None:
    coco_content["annotations"][0] |= {"iscrowd": 1, "keypoints": [1], "area": 0}
    report = _check(save_coco(coco_content))
    assert report.problems == []
    assert report.persons == 2


@pytest.mark.parametrize("content", ["[]", '{"images": []}', '{"images": 5, "annotations": []}'])
def test_a_file_of_another_form_is_one_problem(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    assert _texts(check_coco(path, tmp_path, None)) == [
        f"{path}: not COCO annotations (expected an object with lists 'images' and 'annotations')"
    ]


@pytest.mark.parametrize("content", [None, "{", '"\ud800"'])
def test_a_missing_or_broken_file_is_one_problem(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
    for report in (check_coco(path, tmp_path, None), check_mpii(path, tmp_path, 16, with_joints=True)):
        (problem,) = report.problems
        assert str(problem).startswith(str(path))


def test_annotations_that_are_no_objects_are_named(coco_content: dict[str, Any], save_coco: Save) -> None:
    coco_content["annotations"] += [5, {"image_id": [1]}]
    texts = _texts(_check(save_coco(coco_content)))
    assert texts[0] == "annotation 3: is not an object"
    assert texts[1] == "annotation 4: is on image [1], which the file does not have"


def test_names_of_a_category_are_checked(coco_content: dict[str, Any], save_coco: Save) -> None:
    coco_content["categories"][0]["keypoints"][2] = "right_paw"
    assert _texts(_check(save_coco(coco_content))) == [
        "keypoint left_eye has no partner (expected right_eye)",
        "keypoint right_paw has no partner (expected left_paw)",
    ]


@pytest.mark.parametrize("keypoint_set", KEYPOINT_SETS.values(), ids=lambda each: each.name)
def test_the_known_keypoint_sets_have_consistent_sides(keypoint_set: Any) -> None:
    assert check_keypoint_set(keypoint_set, "") == []
    assert check_keypoint_set(unnamed(5), "") == []


def test_inconsistent_sides_are_named() -> None:
    crossed = replace(COCO, flip_pairs=((1, 4), *COCO.flip_pairs[2:]))
    assert [problem.wrong for problem in check_keypoint_set(crossed, "own.toml")] == [
        "left_eye and right_eye are not a flip pair (expected one)",
        "left_ear and right_ear are not a flip pair (expected one)",
        "left_eye and right_ear are a flip pair (expected left and right)",
    ]


def test_missing_broken_and_contradicting_photos_are_named(drawn_coco: DataConfig, tmp_path: Path) -> None:
    folder = Path(drawn_coco.images)
    content = (folder / "1.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(content[: len(content) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    for name, size, wrong in [
        ("none.jpg", None, "no such file"),
        ("cut.jpg", None, "is cut short or damaged"),
        ("empty.jpg", None, "is empty"),
        ("1.jpg", (160, 120), "is 120x160 (expected 160x120, as in the annotations)"),
    ]:
        (problem,) = check_photo(PhotoUse(folder / name, size, "a.json", "annotation 5"))
        assert str(problem).startswith(f"a.json: annotation 5: {folder / name}: {wrong}")
    assert check_photo(PhotoUse(folder / "1.jpg", None, "a.json", "")) == []


def _check_mpii(config: DataConfig, change: dict[str, Any], *, with_joints: bool = True) -> list[str]:
    path = Path(config.annotations)
    (entry,) = json.loads(path.read_text())
    path.write_text(json.dumps([entry | change]))
    return _texts(check_mpii(path, Path(config.images), 16, with_joints=with_joints))


def test_good_mpii_annotations_have_no_problem(drawn_mpii: DataConfig) -> None:
    report = check_mpii(Path(drawn_mpii.annotations), Path(drawn_mpii.images), 16, with_joints=True)
    assert report.problems == []
    assert report.persons == 1
    assert check_photo(report.photos[0]) == []


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"scale": 0}, "scale is 0 (expected a number above 0)"),
        ({"center": [1, math.nan]}, "center is [1, nan] (expected x and y)"),
        ({"joints": [[1, 2]] * 15}, "has 15 joints and 16 joints_vis (expected 16)"),
        ({"joints": [[1, math.inf]] + [[1, 2]] * 15}, "joint 0 is [1, inf] (expected x and y)"),
        ({"joints_vis": [1] * 15 + [2]}, "joint 15 has visibility 2 (expected 0 or 1)"),
        ({"image": 5}, "has no image"),
    ],
)
def test_what_is_wrong_with_an_mpii_entry_is_named(drawn_mpii: DataConfig, change: dict[str, Any], wrong: str) -> None:
    assert _check_mpii(drawn_mpii, change) == [f"person 0: {wrong}"]


def test_mpii_entries_to_test_on_need_no_joints(drawn_mpii: DataConfig) -> None:
    assert _check_mpii(drawn_mpii, {"joints": [], "joints_vis": []}, with_joints=False) == []


def test_detections_of_unknown_photos_are_named(drawn_coco: DataConfig, tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.5}
    for boxes, wrong in [([box], []), ([box, box | {"image_id": 8}], ["entry 1 is on image 8"])]:
        path.write_text(json.dumps(boxes))
        problems = check_detections(path, Path(drawn_coco.annotations), Path(drawn_coco.images))
        assert len(problems) == len(wrong)
        assert all(text in str(problem) for text, problem in zip(wrong, problems, strict=True))
