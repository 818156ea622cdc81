import json
from pathlib import Path
from typing import Any

import pytest

from litehrnet.data.coco import CocoAnnotations, read_annotations
from litehrnet.errors import UserError
from litehrnet.evaluation.score import read_results, score_keypoints
from litehrnet.keypoints.skeletons import unnamed

PAIR = unnamed(2)
LEFT = [10.0, 20.0, 2, 40.0, 60.0, 2]
RIGHT = [110.0, 20.0, 2, 140.0, 60.0, 1]


def person(keypoints: list[float], **more: Any) -> dict[str, Any]:
    return {
        "id": 5,
        "image_id": 1,
        "category_id": 1,
        "bbox": [0, 0, 50, 100],
        "area": 2500,
        "iscrowd": 0,
        "keypoints": keypoints,
        "num_keypoints": 2,
        **more,
    }


def annotations_of(folder: Path, *persons: dict[str, Any]) -> CocoAnnotations:
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 100} for i in (1, 2)]
    category = {"id": 1, "name": "thing", "keypoints": ["a", "b"]}
    path = folder / "annotations.json"
    path.write_text(json.dumps({"images": images, "annotations": persons, "categories": [category]}))
    return read_annotations(path)


def result(keypoints: list[float], **more: Any) -> dict[str, Any]:
    return {"image_id": 1, "category_id": 1, "keypoints": keypoints, "score": 0.5, **more}


def moved(keypoints: list[float], x: float) -> list[float]:
    return [value + x * (place % 3 == 0) for place, value in enumerate(keypoints)]


def test_persons_are_matched_by_likeness_whatever_their_order_and_score(tmp_path: Path) -> None:
    annotations = annotations_of(tmp_path, person(LEFT), person(RIGHT))
    results = [result(RIGHT, score=0.9), result(moved(RIGHT, 1), score=1), result(moved(LEFT, 3), score=0.1)]
    score = score_keypoints(annotations, results, PAIR)
    assert (score.persons, score.matched) == (2, 2)
    assert [row.mean_error for row in score.rows] == [1.5, 1.5]


def test_the_most_alike_pair_is_matched_first(tmp_path: Path) -> None:
    annotations = annotations_of(tmp_path, person(LEFT), person(moved(LEFT, 4)))
    # It is near to both: the second has it, the first, though earlier, is left the one that is farther off.
    results = [result(moved(LEFT, 3)), result(moved(LEFT, -5))]
    assert score_keypoints(annotations, results, PAIR).metrics["EPE"] == pytest.approx((1 + 5) / 2)


def test_missed_persons_count_as_not_found_and_have_no_error(tmp_path: Path) -> None:
    annotations = annotations_of(tmp_path, person(LEFT), person(RIGHT), person(LEFT, image_id=2))
    score = score_keypoints(annotations, [result(moved(LEFT, 2))], PAIR)
    assert (score.persons, score.matched) == (3, 1)
    assert score.metrics["PCK@0.2"] == pytest.approx(1 / 3)
    assert score.metrics["EPE"] == 2
    # Two pixels are within 2/20, 3/20, ..., 19/20 of 30 pixels.
    assert score.metrics["AUC"] == pytest.approx(18 / 20 / 3)


def test_poses_that_are_nothing_alike_are_not_matched(tmp_path: Path) -> None:
    score = score_keypoints(annotations_of(tmp_path, person(LEFT)), [result(moved(LEFT, 1e6))], PAIR)
    assert score.matched == 0
    assert score.metrics == {"PCK@0.2": 0, "AUC": 0, "EPE": -1, "NME": -1}


def test_pck_is_of_the_longer_side_and_nme_of_both(tmp_path: Path) -> None:
    annotations = annotations_of(tmp_path, person(LEFT))
    results = [result(moved(LEFT, 10))]  # a tenth of the height, a fifth of the width
    score = score_keypoints(annotations, results, PAIR, 0.1)
    assert score.metrics["PCK@0.1"] == 0
    assert score_keypoints(annotations, results, PAIR, 0.11).metrics["PCK@0.11"] == 1
    assert score.metrics["NME"] == pytest.approx(0.2)


def test_keypoints_that_are_not_labeled_do_not_count(tmp_path: Path) -> None:
    annotations = annotations_of(tmp_path, person([10.0, 20.0, 2, 40.0, 60.0, 0]))
    score = score_keypoints(annotations, [result([10.0, 20.0, 1, 0.0, 0.0, 1])], PAIR)
    assert [(row.annotated, row.pck, row.mean_error) for row in score.rows] == [(1, 1, 0), (0, -1, -1)]


def test_crowds_and_persons_without_box_or_keypoints_do_not_count(tmp_path: Path) -> None:
    nobody = [person(LEFT, iscrowd=1), person(LEFT, bbox=[0, 0, 0, 9]), person([0.0] * 6), {"image_id": 2}]
    assert score_keypoints(annotations_of(tmp_path, person(LEFT), *nobody), [], PAIR).persons == 1
    with pytest.raises(UserError, match="nobody to compare with"):
        score_keypoints(annotations_of(tmp_path, *nobody), [], PAIR)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [1, 2, 3]}, r"annotation 0 \(id 5\): bbox is \[1, 2, 3\]"),
        ({"area": "large"}, r"annotation 0 \(id 5\): area is large"),
        ({"area": float("inf")}, r"annotation 0 \(id 5\): area is inf"),
        ({"keypoints": [1, 2, 2]}, "annotation 5 has 1 keypoints"),
        ({"keypoints": 7}, r"annotation 0 \(id 5\): keypoints is 7"),
    ],
)
def test_broken_annotations_are_user_errors(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        score_keypoints(annotations_of(tmp_path, person(LEFT) | change), [], PAIR)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "has no predictions"),
        ({"annotations": []}, "has no predictions"),
        ([[1]], "entry 0 is not a prediction"),
        ([{"image_id": 1}], "entry 0 is not a prediction"),
        ([{**result(LEFT), "keypoints": ["x", 1, 2] * 2}], "entry 0 is not a prediction"),
        ([result([10**400, 1, 2] * 2)], "entry 0 is not a prediction"),
        ([result(LEFT, image_id=[1])], "entry 0 is not a prediction"),
        ([result(LEFT), result(LEFT, image_id=3)], "entry 1 is on image 3, which .*annotations.json does not have"),
        ([result(LEFT[:3])], r"entry 0 has 1 keypoints \(expected 2\)"),
        ([result(LEFT[:4])], r"entry 0 has 1.33333 keypoints"),
        ([result([float("nan"), *LEFT[1:]])], "entry 0 has a number that is not finite"),
        ([result(LEFT, score=float("inf"))], "entry 0 has a number that is not finite"),
    ],
)
def test_broken_results_are_user_errors(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        read_results(path, annotations_of(tmp_path, person(LEFT)), 2)


def test_results_keep_what_scoring_needs(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps([result(LEFT, bbox=[1, 2, 3, 4], file_name="1.jpg")]))
    assert read_results(path, annotations_of(tmp_path), 2) == [result(LEFT)]


@pytest.mark.parametrize(
    ("ids", "names", "expected"),
    [
        ([1, 2], ["b/1.jpg", "b/2.jpg"], [1, 2]),
        ([2, 1], ["b/1.jpg", "b\\2.jpg"], [1, 2]),  # numbers of another list of photos
        (["x", 700], ["1.jpg", "/photos/2.jpg"], [1, 2]),
        ([2, 1], ["1.jpg", None], [2, 1]),  # not every entry has a name
    ],
)
def test_photos_are_matched_by_name_where_ids_do_not_fit(
    tmp_path: Path, ids: list[Any], names: list[str | None], expected: list[int]
) -> None:
    path = tmp_path / "results.json"
    named = [{} if name is None else {"file_name": name} for name in names]
    path.write_text(json.dumps([result(LEFT, image_id=own) | name for own, name in zip(ids, named, strict=True)]))
    assert [entry["image_id"] for entry in read_results(path, annotations_of(tmp_path), 2)] == expected


def test_names_of_several_photos_need_their_folders(tmp_path: Path) -> None:
    images = [{"id": i, "file_name": f"cam{i}/a.jpg", "width": 200, "height": 100} for i in (1, 2)]
    path, results = tmp_path / "annotations.json", tmp_path / "results.json"
    category = {"id": 1, "name": "thing", "keypoints": ["a", "b"]}
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": [category]}))
    results.write_text(json.dumps([result(LEFT, image_id=9, file_name="cam2/a.jpg")]))
    assert read_results(results, read_annotations(path), 2)[0]["image_id"] == 2
    swapped = [result(LEFT, image_id=3 - i, file_name=f"photos/cam{i}/a.jpg") for i in (1, 2)]
    results.write_text(json.dumps(swapped))
    assert [entry["image_id"] for entry in read_results(results, read_annotations(path), 2)] == [1, 2]
    results.write_text(json.dumps([result(LEFT, image_id=9, file_name="a.jpg")]))
    with pytest.raises(UserError, match=r"entry 0 is on photo a\.jpg, which .*annotations\.json does not have"):
        read_results(results, read_annotations(path), 2)
    images.append({"id": 3, "file_name": "a.jpg", "width": 200, "height": 100})  # its whole path is the name's end
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": [category]}))
    assert read_results(results, read_annotations(path), 2)[0]["image_id"] == 3


def test_what_a_reader_of_the_metrics_must_know_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps([result(LEFT, category_id=7, image_id=5, file_name="1.jpg")]))
    read_results(path, annotations_of(tmp_path, person(LEFT, image_id=2)), 2)
    said = [record.getMessage().removeprefix(f"note: {path}: ") for record in caplog.records]
    assert said == [
        "photos are matched by file_name, as ids are not those of the annotations",
        "no entry has category 1, which has the keypoints; all entries are taken",
        "1 of 1 annotated photos have no entry, so that their people count as missed",
    ]
