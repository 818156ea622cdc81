import json
import re
from pathlib import Path
from typing import Any

import pytest

from litehrnet.cli.box_files import BoxFile, PhotoBoxes, read_boxes, usable_boxes
from litehrnet.errors import UserError


def _write(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "boxes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def _match(boxes: BoxFile, *photos: str) -> list[PhotoBoxes | UserError]:
    return list(boxes.match([Path(photo) for photo in photos]).values())


def test_results_are_matched_by_the_number_in_the_photos_name(tmp_path: Path) -> None:
    entries = [
        {"image_id": 785, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5},
        {"image_id": 785, "category_id": 3, "bbox": [9, 9, 9, 9], "score": 0.9},
        {"image_id": 6, "bbox": [5, 6, 7, 8]},
    ]
    boxes = read_boxes(_write(tmp_path, entries))
    found = _match(boxes, "any/000000000785.jpg", "6.png", "7.png", "beach.jpg")
    assert found[:3] == [
        PhotoBoxes(785, [[1, 2, 3, 4]], [0.5], detected=True),
        PhotoBoxes(6, [[5, 6, 7, 8]], [1]),
        PhotoBoxes(7),
    ]
    assert re.search(r"beach.jpg: its boxes cannot be found .*a name like 000000000785.jpg", str(found[3]))
    assert boxes.notes == (f"{boxes.path}: 1 of 3 boxes do not belong to category 1 and are left out",)


def test_annotations_are_matched_by_file_name_and_crowds_left_out(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 3, "file_name": "train/beach.jpg"}, {"id": 4, "file_name": "empty.jpg"}],
        "annotations": [
            {"image_id": 3, "bbox": [1, 2, 3, 4], "iscrowd": 0},
            {"image_id": 3, "bbox": [5, 5, 5, 5], "iscrowd": 1},
        ],
    }
    found = _match(read_boxes(_write(tmp_path, content)), "x/beach.jpg", "empty.jpg", "other.jpg")
    assert found[:2] == [PhotoBoxes(3, [[1, 2, 3, 4]], [1]), PhotoBoxes(4)]
    assert re.search(r"other.jpg: its boxes cannot be found .*a photo that it lists", str(found[2]))


def _named(*names: str) -> dict[str, Any]:
    """Annotations of photos of these names; the box of each has its place, from 1, as its x."""
    images = [{"id": 10 * number, "file_name": name} for number, name in enumerate(names, 1)]
    boxes = [{"image_id": 10 * number, "bbox": [number, 0, 9, 9]} for number in range(1, len(names) + 1)]
    return {"images": images, "annotations": boxes}


def test_photos_of_one_name_are_matched_by_their_folders(tmp_path: Path) -> None:
    boxes = read_boxes(_write(tmp_path, _named("cam1/0001.jpg", "cam2\\0001.jpg", "x/cam2/0001.jpg")))
    found = _match(boxes, "cam1/0001.jpg", "cam2/0001.jpg", "x/cam2/0001.jpg")
    assert [isinstance(each, PhotoBoxes) and each.image_id for each in found] == [10, 20, 30]


@pytest.mark.parametrize(
    ("names", "photos", "said"),
    [
        (["cam1/0001.jpg", "cam2/0001.jpg"], ["0001.jpg"], "0001.jpg: .*boxes.json has several photos of this name"),
        (["0001.jpg"], ["cam1/0001.jpg", "cam2/0001.jpg"], "cam1/0001.jpg: .* has one entry for this photo and cam2"),
    ],
)
def test_names_that_do_not_tell_photos_apart_are_refused(
    tmp_path: Path, names: list[str], photos: list[str], said: str
) -> None:
    found = _match(read_boxes(_write(tmp_path, _named(*names))), *photos)
    assert all(isinstance(each, UserError) for each in found)
    assert re.search(said, str(found[0]))


def test_an_entry_is_of_the_photo_that_shares_most_of_its_path(tmp_path: Path) -> None:
    found = _match(read_boxes(_write(tmp_path, _named("cam1/0001.jpg"))), "cam2/0001.jpg", "cam1/0001.jpg")
    assert found[1] == PhotoBoxes(10, [[1, 0, 9, 9]], [1])
    assert re.search("cam2/0001.jpg: .* has one entry for this photo and cam1/0001.jpg", str(found[0]))


def test_photos_of_one_number_are_refused(tmp_path: Path) -> None:
    boxes = read_boxes(_write(tmp_path, [{"image_id": 1, "bbox": [1, 2, 3, 4]}]))
    found = _match(boxes, "cam1/0001.jpg", "cam2/0001.jpg")
    assert all("has one entry for this photo and" in str(each) for each in found)


def test_what_predict_writes_is_matched_by_its_names(tmp_path: Path) -> None:
    entry = {"category_id": 1, "score": 0.5, "keypoints": []}
    entries = [
        {**entry, "image_id": 1, "file_name": "cam1/a.jpg", "bbox": [1, 0, 9, 9]},
        {**entry, "image_id": 2, "file_name": "cam2/a.jpg", "bbox": [2, 0, 9, 9]},
    ]
    found = _match(read_boxes(_write(tmp_path, entries)), "cam2/a.jpg", "cam1/a.jpg", "nobody.jpg")
    assert [isinstance(each, PhotoBoxes) and each.boxes for each in found] == [[[2, 0, 9, 9]], [[1, 0, 9, 9]], []]


@pytest.mark.parametrize("number", ["480985", 480985, 480985.0])
def test_numbers_of_photos_may_be_text(tmp_path: Path, number: object) -> None:
    boxes = read_boxes(_write(tmp_path, [{"image_id": number, "category_id": "1", "bbox": [1, 2, 3, 4]}]))
    assert _match(boxes, "000000480985.jpg") == [PhotoBoxes(480985, [[1, 2, 3, 4]], [1])]


def test_ids_that_are_no_numbers_are_kept(tmp_path: Path) -> None:
    content = {"images": [{"id": "f3a", "file_name": "a.jpg"}], "annotations": [{"image_id": "f3a", "bbox": [1] * 4}]}
    assert _match(read_boxes(_write(tmp_path, content)), "a.jpg") == [PhotoBoxes("f3a", [[1] * 4], [1])]


def test_people_are_told_from_other_categories_by_name_or_keypoints(tmp_path: Path) -> None:
    content = _named("a.jpg")
    content["annotations"][0]["category_id"] = 2
    content["annotations"].append({"image_id": 10, "bbox": [5, 5, 5, 5], "category_id": 1})
    for person in ({"id": 2, "name": "person"}, {"id": 2, "name": "bird", "keypoints": ["beak"]}):
        content["categories"] = [{"id": 1, "name": "car"}, person]
        boxes = read_boxes(_write(tmp_path, content))
        assert _match(boxes, "a.jpg") == [PhotoBoxes(10, [[1, 0, 9, 9]], [1])]
        assert "1 of 2 boxes do not belong to" in boxes.notes[0]
    content["annotations"].pop(0)
    with pytest.raises(
        UserError, match=r"none of 1 boxes belongs to a category with keypoints \(expected people; it has cat"
    ):
        read_boxes(_write(tmp_path, content))


def test_two_images_of_one_id_are_refused(tmp_path: Path) -> None:
    content = {"images": [{"id": 3, "file_name": "a.jpg"}, {"id": "3", "file_name": "b.jpg"}], "annotations": []}
    with pytest.raises(UserError, match="two images have the id 3"):
        read_boxes(_write(tmp_path, content))


def test_boxes_under_a_score_are_left_out(tmp_path: Path) -> None:
    entries = [{"image_id": 1, "bbox": [x, 0, 9, 9], "score": score} for x, score in ((1, 0.2), (2, 0.5), (3, 0.9))]
    path = _write(tmp_path, entries)
    assert _match(read_boxes(path, 0.5), "1.jpg") == [
        PhotoBoxes(1, [[2, 0, 9, 9], [3, 0, 9, 9]], [0.5, 0.9], detected=True)
    ]
    assert "1 of 3 boxes have a score under 0.3" in read_boxes(path).notes[0]


def test_useless_boxes_are_named_and_the_others_kept() -> None:
    given: list[Any] = [
        [1, 2, 3, 4],
        [1, 2, 0, 4],
        "x",
        [1, 2, 3, 4, 5],
        [1, 2, True, 4],
        [90, 0, 9, 9],
        [-5, -5, 9, 9],
    ]
    boxes, scores, problems = usable_boxes(PhotoBoxes(1, given, [0.5] * 7), (50, 40), "a.jpg")
    assert boxes.tolist() == [given[0], given[6]]
    assert scores.tolist() == [0.5, 0.5]
    assert [problem[:12] for problem in problems] == [f"a.jpg: box {index}" for index in (1, 2, 3, 4, 5)]


@pytest.mark.parametrize("content", [{"images": []}, [3], [{"bbox": [1]}], 7, "{"])
def test_other_json_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(UserError, match=r"boxes.json: not (boxes in COCO's form|a JSON file)"):
        read_boxes(_write(tmp_path, content))
