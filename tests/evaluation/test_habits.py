"""Annotation files built from the habits of many tools: the known figure, or a refusal in one sentence."""

import copy
import json
import math
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from litehrnet.data.checks import check_coco
from litehrnet.data.coco import read_annotations
from litehrnet.errors import UserError
from litehrnet.evaluation.coco import coco_metrics
from litehrnet.keypoints.skeletons import read_keypoint_set

NAMES = ["nose", "left_hand", "right_hand", "left_foot", "right_foot"]
WIDTH, HEIGHT = 640, 480
Content = dict[str, Any]
Habit = Callable[[Content, random.Random], object]


@st.composite
def people(draw: st.DrawFn) -> Content:
    """Three photos with one or two people each, in COCO's own form; coordinates are whole pixels."""
    images = [{"id": n, "file_name": f"{n:03}.jpg", "width": WIDTH, "height": HEIGHT} for n in (3, 7, 8)]
    annotations: list[dict[str, Any]] = []
    for image in images:
        for left in (260, 450)[: draw(st.integers(1, 2))]:
            # People are apart, so that each prediction has one person, and so far right that percents are outside.
            width, height = draw(st.integers(80, 150)), draw(st.integers(110, 250))
            x, y = left + draw(st.integers(0, 180 - width)), draw(st.integers(10, HEIGHT - height))
            flat = []
            for _ in NAMES:
                visibility = draw(st.sampled_from([0, 1, 2, 2]))
                place = (x + draw(st.integers(0, width)), y + draw(st.integers(0, height))) if visibility else (0, 0)
                flat += [*place, visibility]
            flat[:3] = [x + width // 2, y + height // 3, 2]
            person: dict[str, Any] = {
                "id": len(annotations) + 1,
                "image_id": image["id"],
                "category_id": 1,
                "iscrowd": 0,
            }
            person |= {"bbox": [x, y, width, height], "area": width * height // 2, "keypoints": flat}
            annotations.append(person | {"num_keypoints": sum(v > 0 for v in flat[2::3])})
    category = {"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[1, 2], [1, 3]]}
    return {"images": images, "annotations": annotations, "categories": [category]}


def _each(name: str, change: Callable[[Any], Any]) -> Habit:
    """Replace a value of every annotation that has it."""
    return lambda content, _: [p.update({name: change(p[name])}) for p in content["annotations"] if name in p]


def _without(name: str) -> Habit:
    return lambda content, _: [person.pop(name, None) for person in content["annotations"]]


def _image_ids(change: Callable[[Any], Any]) -> Habit:
    def habit(content: Content, _: random.Random) -> None:
        for image in content["images"]:
            image["id"] = change(image["id"])
        for person in content["annotations"]:
            person["image_id"] = change(person["image_id"])

    return habit


def _points(change: Callable[[list[float]], list[Any]]) -> Callable[[list[float]], list[Any]]:
    """Change each x, y, visibility of a flat list."""
    return lambda flat: [value for i in range(0, len(flat), 3) for value in change(flat[i : i + 3])]


def _unlabeled(*values: Any) -> Habit:
    return _each("keypoints", _points(lambda each: each if each[2] else list(values)))


def _other_category(content: Content, rng: random.Random) -> None:
    """A category of boxes before that of the people, and a car on the first photo."""
    content["categories"][0]["id"] = 2
    content["categories"].insert(0, {"id": 1, "name": "car", **rng.choice([{}, {"keypoints": []}])})
    for person in content["annotations"]:
        person["category_id"] = 2
    car = {"id": 900, "image_id": content["images"][0]["id"], "category_id": 1, "bbox": [5, 5, 90, 60], "area": 5400}
    content["annotations"].insert(0, car | {"iscrowd": 0})


def _crowd(content: Content, _: random.Random) -> None:
    crowd = {"id": 901, "image_id": content["images"][1]["id"], "bbox": [0, 0, 100, 50], "area": 5000, "iscrowd": 1}
    content["annotations"].append({**crowd, "category_id": content["categories"][-1]["id"], "num_keypoints": 0})


SAFE: dict[str, Habit] = {
    "annotation ids from 0": lambda c, _: [p.update(id=n) for n, p in enumerate(c["annotations"])],
    "annotation ids as text": lambda c, _: [p.update(id=f"a{n}") for n, p in enumerate(c["annotations"])],
    "image ids as text": _image_ids(lambda i: f"photo {i}"),
    "image ids as numbers in text": _image_ids(str),
    "image ids as floats": _image_ids(float),
    "image ids from 0": _image_ids(lambda i: i - 3 if isinstance(i, int) else i),
    "another order": lambda c, rng: [rng.shuffle(c[name]) for name in ("annotations", "images")],  # type: ignore[func-returns-value]
    "no num_keypoints": _without("num_keypoints"),
    "num_keypoints of all": _each("num_keypoints", lambda _: len(NAMES)),
    "num_keypoints null": _each("num_keypoints", lambda _: None),
    "no iscrowd": lambda c, _: [p.pop("iscrowd", None) for p in c["annotations"] if not p["iscrowd"]],
    "iscrowd as a truth value": _each("iscrowd", bool),
    "no area": _without("area"),
    "area null": _each("area", lambda _: None),
    "area 0": _each("area", lambda _: 0),
    "area as text": _each("area", str),
    "no boxes": _without("bbox"),
    "boxes empty": _each("bbox", lambda _: []),
    "box as text": _each("bbox", lambda box: [str(value) for value in box]),
    "no category ids": _without("category_id"),
    "keypoints as triples": _each("keypoints", lambda flat: [flat[i : i + 3] for i in range(0, len(flat), 3)]),
    "keypoints as text": _each("keypoints", lambda flat: [str(value) for value in flat]),
    "visibility true": _each("keypoints", _points(lambda each: [each[0], each[1], each[2] > 0])),
    "visibility as confidence": _each("keypoints", _points(lambda each: [*each[:2], 0.37 * each[2]])),
    "unlabeled null": _unlabeled(None, None, None),
    "unlabeled NaN": _unlabeled(math.nan, math.nan, 0),
    "unlabeled -1": _unlabeled(-1, -1, -1),
    "sizes as text": lambda c, _: [i.update(width=str(i["width"]), height=str(i["height"])) for i in c["images"]],
    "more fields": lambda c, _: [p.update(attributes={"occluded": False}, segmentation=[]) for p in c["annotations"]],
    "another category": _other_category,
    "a crowd": _crowd,
    "a skeleton from 0": lambda c, _: c["categories"][-1].update(skeleton=[[0, 1]]),
}
UNSAFE: dict[str, Habit] = {
    "keypoints in 0..1": _each("keypoints", _points(lambda each: [each[0] / WIDTH, each[1] / HEIGHT, each[2]])),
    "keypoints in percent": _each(
        "keypoints", _points(lambda each: [100 * each[0] / WIDTH, 100 * each[1] / HEIGHT, each[2]])
    ),
    "boxes of three numbers": _each("bbox", lambda box: box[:3]),
    "keypoints in pairs": _each("keypoints", lambda flat: [v for i in range(0, len(flat), 3) for v in flat[i : i + 2]]),
    "all visibilities 0": _each("keypoints", _points(lambda each: [*each[:2], 0])),
    "two photos with one id": lambda c, _: c["images"][1].update(id=c["images"][0]["id"]),
    "people on no photo": lambda c, _: [p.update(image_id=99) for p in c["annotations"][-1:]],
    "boxes in 0..1": _each("bbox", lambda box: [box[0] / WIDTH, box[1] / HEIGHT, box[2] / WIDTH, box[3] / HEIGHT]),
    "corners as boxes": _each("bbox", lambda box: [box[0], box[1], box[0] + box[2], box[1] + box[3]]),
    "a box at infinity": _each("bbox", lambda box: [math.inf, *box[1:]]),
}
# Habits that change the same value do not come together.
SAME_VALUE = (
    "annotation ids",
    "image ids",
    "num_keypoints",
    "iscrowd",
    "area",
    "box",
    "keypoint",
    "visibil",
    "unlabeled",
    "categor",
)


@dataclass(frozen=True)
class Outcome:
    """AP of perfect predictions, or the sentence of the refusal; and the problems that the check names."""

    ap: float | None
    sentence: str | None
    problems: list[str]


def _value(habit: str) -> str:
    word = next((each for each in SAME_VALUE if each in habit and not (each == "keypoint" and "num_" in habit)), habit)
    return "keypoint" if word in ("visibil", "unlabeled") else word


def _outcome(content: Content, truth: Content) -> Outcome:
    places = {image["file_name"]: place for place, image in enumerate(truth["images"])}
    perfect = [
        (places[i["file_name"]], p) for i in truth["images"] for p in truth["annotations"] if p["image_id"] == i["id"]
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "annotations.json"
        path.write_text(json.dumps(content))
        problems = [str(each) for each in check_coco(path, Path(folder), None).problems]
        try:
            annotations = read_annotations(path)
            numbers = {image["file_name"]: number for number, image in annotations.images.items()}
            names = [image["file_name"] for image in truth["images"]]
            results = [
                {
                    "image_id": numbers[names[place]],
                    "keypoints": [1 if i % 3 == 2 else v for i, v in enumerate(p["keypoints"])],
                    "score": 1.0,
                }
                for place, p in perfect
            ]
            return Outcome(coco_metrics(path, results, read_keypoint_set(path))["AP"], None, problems)
        except UserError as error:
            return Outcome(None, str(error), problems)


def _changed(truth: Content, habits: list[str], seed: int) -> Content:
    content, rng, changed = copy.deepcopy(truth), random.Random(seed), set()
    for habit in habits:
        if _value(habit) not in changed:
            ({**SAFE, **UNSAFE}[habit])(content, rng)
            changed.add(_value(habit))
    return content


SAFE_FILES = (people(), st.lists(st.sampled_from(sorted(SAFE)), unique=True, max_size=8), st.integers(0, 99))
UNSAFE_FILES = (*SAFE_FILES, st.sampled_from(sorted(UNSAFE)))


def _examples(number: int) -> settings:
    return settings(max_examples=number, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _check_safe(truth: Content, habits: list[str], seed: int) -> None:
    outcome = _outcome(_changed(truth, habits, seed), truth)
    assert outcome.sentence is None
    assert outcome.ap == pytest.approx(1)


def _check_unsafe(truth: Content, habits: list[str], seed: int, unsafe: str) -> None:
    # Percent without any box to compare with could be pixels of a corner.
    kept = [habit for habit in habits if unsafe != "keypoints in percent" or habit not in ("no boxes", "boxes empty")]
    outcome = _outcome(_changed(truth, [unsafe, *kept], seed), truth)
    assert outcome.sentence is not None
    assert "\n" not in outcome.sentence
    assert outcome.problems


@_examples(40)
@given(*SAFE_FILES)
def test_safe_habits_give_the_known_figure(truth: Content, habits: list[str], seed: int) -> None:
    _check_safe(truth, habits, seed)


@_examples(30)
@given(*UNSAFE_FILES)
def test_unsafe_habits_are_refused_and_named(truth: Content, habits: list[str], seed: int, unsafe: str) -> None:
    _check_unsafe(truth, habits, seed, unsafe)


@pytest.mark.slow
@_examples(1300)
@given(*SAFE_FILES)
def test_many_files_of_safe_habits(truth: Content, habits: list[str], seed: int) -> None:
    _check_safe(truth, habits, seed)


@pytest.mark.slow
@_examples(700)
@given(*UNSAFE_FILES)
def test_many_files_of_unsafe_habits(truth: Content, habits: list[str], seed: int, unsafe: str) -> None:
    _check_unsafe(truth, habits, seed, unsafe)
