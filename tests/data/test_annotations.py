"""Files as annotation tools write them: the same people as COCO's own form, or one sentence with all faults."""

import copy
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from litehrnet.data.annotations import Normalized, examined, id_key, normalized
from litehrnet.errors import UserError
from litehrnet.keypoints.boxes import BODY_SHARE

Change = Callable[[dict[str, Any]], object]


def _content() -> dict[str, Any]:
    """Two photos with one person each, of three keypoints, in COCO's own form."""
    images = [{"id": number, "file_name": f"{number}.jpg", "width": 200, "height": 100} for number in (7, 8)]
    persons = [
        {
            "id": number,
            "image_id": number + 6,
            "category_id": 1,
            "bbox": [20, 10, 40, 80],
            "area": 1500,
            "iscrowd": 0,
            "keypoints": [30, 20, 2, 50, 40, 1, 0, 0, 0],
            "num_keypoints": 2,
        }
        for number in (1, 2)
    ]
    return {"images": images, "annotations": persons}


def _read(change: Change) -> Normalized:
    content = _content()
    change(content)
    before = copy.deepcopy(content)
    own = normalized(Path("a.json"), content)
    assert repr(content) == repr(before)  # NaN is not equal to itself
    return own


def _both(c: dict[str, Any], **more: Any) -> None:
    for person in c["annotations"]:
        person |= more


def test_cocos_own_form_is_unchanged_and_needs_no_note() -> None:
    content = _content()
    own = normalized(Path("a.json"), content)
    assert (own.images, own.annotations, own.note) == (content["images"], content["annotations"], None)
    assert own.original_ids == {7: 7, 8: 8}


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda c: [a.pop("num_keypoints") for a in c["annotations"]], "num_keypoints counted (2)"),
        (lambda c: _both(c, num_keypoints=0), "num_keypoints counted (2)"),
        (lambda c: _both(c, num_keypoints=3), "num_keypoints counted (2)"),
        (lambda c: c["annotations"][0].pop("iscrowd"), "iscrowd taken as 0 (1)"),
        (lambda c: _both(c, iscrowd=False), None),
        (lambda c: _both(c, bbox=["20", "10", "40.0", "80"], area="1500"), None),
        (lambda c: _both(c, keypoints=[[30, 20, 2], [50, 40, 1], [0, 0, 0]]), "people with keypoints as triples (2)"),
        (
            lambda c: _both(c, keypoints=["30", "20", "2", "50", "40", "1", "0", "0", "0"]),
            "people with keypoints as text (2)",
        ),
        (lambda c: _both(c, keypoints=[30, 20, 2, 50, 40, True, 0, 0, False]), None),
        (lambda c: _both(c, keypoints=[30, 20, 2, 50, 40, 1, 9, 9, -1]), "keypoints taken as unlabeled (2)"),
        (lambda c: _both(c, keypoints=[30, 20, 2, 50, 40, 1, None, None, 0]), "keypoints taken as unlabeled (2)"),
        (lambda c: _both(c, keypoints=[30, 20, 2, 50, 40, 1, None, None, None]), "keypoints taken as unlabeled (2)"),
        (lambda c: _both(c, keypoints=[30, 20, 2, 50, 40, 1, math.nan, 3, 0]), "keypoints taken as unlabeled (2)"),
        (lambda c: [i.update(width="200", height="100") for i in c["images"]], None),
        (lambda c: [i.update(id=float(i["id"])) for i in c["images"]], None),
        (lambda c: [i.update(id=str(i["id"])) for i in c["images"]], None),
        (lambda c: [a.update(image_id=str(a["image_id"])) for a in c["annotations"]], None),
    ],
)
def test_what_has_one_meaning_gives_the_same_people(change: Change, note: str | None) -> None:
    own, expected = _read(change), _content()
    assert own.annotations == expected["annotations"]
    assert own.images == expected["images"]
    assert own.note == (None if note is None else f"a.json: {note}")


def test_ids_of_words_are_numbered_and_given_back() -> None:
    content = _content()
    for image, name in zip(content["images"], ("b", "a"), strict=True):
        image["id"] = name
    for person, name in zip(content["annotations"], ("a", "b"), strict=True):
        person["image_id"] = name
    own = normalized(Path("a.json"), content)
    assert own.original_ids == {1: "b", 2: "a"}
    assert [person["image_id"] for person in own.annotations] == [2, 1]
    assert id_key("7") == id_key(7) == id_key(7.0) == "7"
    assert id_key(None) is id_key([7]) is id_key(True) is id_key(math.nan) is None


def test_areas_come_from_the_outline_or_else_from_the_box() -> None:
    outline = [[20, 10, 60, 10, 60, 90]]

    def change(c: dict[str, Any], area: float | None) -> None:
        _both(c, area=area)
        c["annotations"][0]["segmentation"] = outline

    for area in (None, math.nan, 0):
        own = _read(partial(change, area=area))
        assert [person["area"] for person in own.annotations] == [1600, BODY_SHARE * 40 * 80]
        assert own.note == "a.json: areas estimated (2)"


def test_boxes_come_from_keypoints_where_a_file_has_none() -> None:
    for change in (lambda c: [a.pop("bbox") for a in c["annotations"]], lambda c: _both(c, bbox=[])):
        own = _read(change)
        assert [person["bbox"] for person in own.annotations] == [[30, 20, 20, 20]] * 2
        assert own.note == "a.json: boxes made from keypoints (2)"


def test_people_who_are_left_out_are_counted() -> None:
    assert _read(lambda c: c["annotations"][0].update(bbox=[20, 10, 0, 0])).note == (
        "a.json: people left out whose box has no area (1)"
    )
    assert _read(lambda c: c["annotations"][0].pop("bbox")).note == "a.json: people left out without a box (1)"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda c: c["images"][1].update(id=7), "2 images have the id 7 (expected different ids)"),
        (lambda c: c["images"][1].update(width=None), "image 1 (id 8): width and height are None and 100"),
        (lambda c: c["images"][1].update(width=0), "image 1 (id 8): width and height are 0 and 100"),
        (lambda c: c["images"][0].update(id=[1]), "image 0: is incomplete (expected id, file_name, width and height)"),
        (
            lambda c: c["annotations"][1].update(image_id=9),
            "annotation 1 (id 2): is on image 9, which the file does not",
        ),
        (lambda c: c["annotations"].append(5), "annotation 2: is not an object"),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, 3]), "annotation 1 (id 2): bbox is [1, 2, 3] (expected x,"),
        (
            lambda c: c["annotations"][1].update(bbox=[1, 2, 3, 4, 0.9]),
            "annotation 1 (id 2): bbox is [1, 2, 3, 4, 0.9]",
        ),
        (lambda c: c["annotations"][1].update(bbox=[9, 9, -5, -5]), "annotation 1 (id 2): bbox is [9, 9, -5, -5]"),
        (lambda c: c["annotations"][1].update(bbox=[math.nan, 1, 5, 5]), "annotation 1 (id 2): bbox is [nan, 1, 5, 5]"),
        (lambda c: c["annotations"][1].update(keypoints={"nose": 1}), "annotation 1 (id 2): keypoints is {'nose': 1}"),
        (lambda c: c["annotations"][1].update(keypoints=[1, 2] * 2), "annotation 1 (id 2): keypoints has 4 numbers"),
        (lambda c: c["annotations"][1].update(keypoints=["nose", 1, 2]), "keypoints is ['nose', 1, 2]"),
        (lambda c: c["annotations"][1].update(keypoints=[math.inf, 1, 2]), "keypoint 0 is at (inf, 1)"),
        (lambda c: _both(c, keypoints=[30, 20, 0, 50, 40, 0, 0, 0, 0]), "all visibilities are 0, although"),
        (
            lambda c: _both(c, keypoints=[0.3, 0.2, 2, 0.5, 0.4, 1, 0, 0, 0]),
            "keypoints are in 0..1, such as (0.3, 0.2)",
        ),
        (lambda c: _both(c, bbox=[0.1, 0.1, 0.2, 0.8]), "boxes are in 0..1, such as [0.1, 0.1, 0.2, 0.8]"),
        (
            lambda c: _both(c, bbox=[20, 30, 60, 90]),
            "boxes look like two corners, such as [20.0, 30.0, 60.0, 90.0] (expected x, y, width and height)",
        ),
        (
            lambda c: _both(c, bbox=[100, 10, 20, 40]),
            "2 of 2 people have most keypoints far outside their box, such as annotation 1: (30, 20) in",
        ),
    ],
)
def test_what_has_no_safe_meaning_is_refused(change: Change, fault: str) -> None:
    with pytest.raises(UserError) as caught:
        _read(change)
    assert str(caught.value).startswith("a.json: ")
    assert fault in str(caught.value)


def test_people_on_an_incomplete_image_are_no_faults_of_their_own() -> None:
    own = examined(Path("a.json"), _content() | {"images": [{"id": 7}, _content()["images"][1]]})
    assert own.faults == ["image 0 (id 7): is incomplete (expected id, file_name, width and height)"]
    assert (own.indices, [person["id"] for person in own.annotations]) == ([1], [2])


def test_all_faults_are_named_at_once() -> None:
    def change(c: dict[str, Any]) -> None:
        c["annotations"][0]["bbox"] = [1]
        c["annotations"][1]["area"] = "wide"

    with pytest.raises(
        UserError, match=r"annotation 0 \(id 1\): bbox is \[1\] .*; annotation 1 \(id 2\): area is wide"
    ):
        _read(change)


def _spread(photos: int, size: int, places: list[float]) -> dict[str, Any]:
    """Photos with one person each, whose three keypoints are in turn at all pairs of these places."""
    pairs = [(x, y) for x in places for y in places]
    content: dict[str, Any] = {"images": [], "annotations": []}
    for number in range(photos):
        content["images"].append({"id": number, "file_name": f"{number}.jpg", "width": size, "height": size})
        flat = [value for n in range(3) for value in (*pairs[(3 * number + n) % len(pairs)], 2)]
        person = {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "keypoints": flat}
        content["annotations"].append(person | {"num_keypoints": 3})
    return content


PERCENT = [4.5, 30.25, 61.0, 97.5]


@pytest.mark.parametrize("has_boxes", [False, True])
def test_keypoints_of_many_photos_in_percent_are_refused(has_boxes: bool) -> None:
    content = _spread(10, 640, PERCENT)
    if has_boxes:
        _both(content, bbox=[1.5, 2.5, 97.0, 96.0], area=9000)
    sentence = (
        r"a\.json: keypoints seem to be in percent, such as \(4\.5, 4\.5\): in 10 photos none is beyond 100 \(exp"
    )
    with pytest.raises(UserError, match=sentence):
        normalized(Path("a.json"), content)


@pytest.mark.parametrize(
    ("photos", "size", "places"),
    [
        (9, 640, PERCENT),
        (10, 240, PERCENT),  # most of a small photo
        (10, 640, [4, 30, 61, 97]),  # whole pixels
        (10, 640, [4.5, 30.25, 61.0, 78.0]),  # a cage of 80 pixels in the first corner
        (10, 640, [20.5, 40.25, 97.5]),  # a dial that is not at the edge
        (10, 640, [*PERCENT, 130.5]),
        (10, 640, [-3.5, *PERCENT]),
    ],
)
def test_pixels_of_a_corner_are_not_taken_for_percent(photos: int, size: int, places: list[float]) -> None:
    assert len(normalized(Path("a.json"), _spread(photos, size, places)).annotations) == photos
