"""Names of keypoints decide, not their order: training, validation, test and score find the same people."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litehrnet.cli.main import main
from litehrnet.config.read import load_config
from litehrnet.data.checks import check_coco
from litehrnet.data.coco import read_annotations
from litehrnet.data.coco_records import read_coco_people, read_coco_test
from litehrnet.data.settings import DataConfig, EvalConfig
from litehrnet.errors import UserError
from litehrnet.evaluation.coco import coco_metrics
from litehrnet.keypoints.sides import part_key
from litehrnet.keypoints.skeletons import COCO, find_keypoint_set
from litehrnet.poses import KeypointSet

SIZE = (64, 96)
ORDER = [5, 0, 16, 3, 2, 1, 4, 8, 7, 6, 9, 11, 10, 12, 15, 14, 13]
DOG = {"id": 9, "name": "dog", "keypoints": ["nose", "tail"]}


def _other_habit(name: str) -> str:
    side, _, part = name.partition("_")
    return f"{part.title()} {side[0].upper()}" if part else name.upper()


def _permuted(content: dict[str, Any]) -> None:
    (category,) = content["categories"]
    category["keypoints"] = [_other_habit(COCO.keypoint_names[place]) for place in ORDER]
    for person in content["annotations"]:
        triples = np.reshape(person["keypoints"], (17, 3))
        person["keypoints"] = triples[ORDER].ravel().tolist()


def _with_dogs(content: dict[str, Any]) -> None:
    """A dog in each photo, whose category comes first."""
    content["categories"][0]["name"] = "person"
    content["categories"].insert(0, DOG)
    for person in list(content["annotations"]):
        dog = {**person, "id": 100 + person["id"], "category_id": 9, "keypoints": [20, 30, 2, 40, 50, 2]}
        content["annotations"].append({**dog, "num_keypoints": 2, "bbox": [10, 10, 60, 60], "area": 3600})


def _changed(drawn: DataConfig, change: Callable[[dict[str, Any]], object]) -> str:
    content = json.loads(Path(drawn.annotations).read_text())
    change(content)
    path = Path(drawn.annotations).with_name("changed.json")
    path.write_text(json.dumps(content))
    return str(path)


def _found(path: str, keypoints: KeypointSet, category: str | None, drawn: DataConfig) -> list[np.ndarray]:
    train = read_coco_people(DataConfig("coco", path, drawn.images, category=category), keypoints, SIZE)
    test = EvalConfig("coco", path, drawn.images, category=category)
    tested = read_coco_test(test, keypoints, SIZE, Path("w"))
    assert tested.image_ids == {1, 2, 3}
    return [np.stack([each.joints_xy for each in records]) for records in (train, tested.records)]


def _results(path: str, category: str | None = None) -> list[dict[str, Any]]:
    """Perfect predictions in the order of the file."""
    annotations = read_annotations(Path(path), category=category)
    people = [person for number in annotations.images for person in annotations.people(number)]
    return [{**person, "score": 1} for person in people]


@pytest.mark.parametrize("name", ["left_eye", "Left Eye", "left-eye", "leftEye", "eye_L", "L eye", "eye.l"])
def test_all_spellings_of_a_keypoint_are_one(name: str) -> None:
    assert part_key(name) == part_key("LEFT_EYE") != part_key("right_eye")


def test_training_and_test_match_names(drawn_coco: DataConfig) -> None:
    expected = _found(drawn_coco.annotations, COCO, None, drawn_coco)
    np.testing.assert_array_equal(_found(_changed(drawn_coco, _permuted), COCO, None, drawn_coco), expected)


def test_metrics_of_another_order_are_unchanged(drawn_coco: DataConfig, capsys: pytest.CaptureFixture[str]) -> None:
    results, other = _results(drawn_coco.annotations), _changed(drawn_coco, _permuted)
    for entry in results:
        entry["keypoints"] = [value + 3 * (i % 7 == 0) for i, value in enumerate(entry["keypoints"])]
    metrics = coco_metrics(Path(drawn_coco.annotations), results, COCO)
    assert metrics["AP"] is not None
    assert 0 < metrics["AP"] <= 1
    assert coco_metrics(Path(other), results, COCO) == pytest.approx(metrics)
    file = Path(other).with_name("results.json")
    file.write_text(json.dumps(results))
    said = []
    for annotations in (drawn_coco.annotations, other):
        assert main(["score", str(file), annotations, "--keypoints", "coco", "--json"]) == 0
        said.append(json.loads(capsys.readouterr().out))
    assert said[0] == said[1]
    assert main(["score", str(file), other, "--json"]) == 0
    assert "keypoints are in another order than coco's" in capsys.readouterr().err


def test_some_of_the_names_in_other_places_are_refused(drawn_coco: DataConfig) -> None:
    def change(content: dict[str, Any]) -> None:
        _permuted(content)
        content["categories"][0]["keypoints"][0] = "belly"

    with pytest.raises(UserError, match=r"keypoints are belly, .* \(expected nose, .*, in any order\)"):
        _found(_changed(drawn_coco, change), COCO, None, drawn_coco)


@pytest.mark.parametrize(("category", "size"), [("person", 17), ("dog", 2), (None, 2)])
def test_a_category_is_chosen_by_name(drawn_coco: DataConfig, category: str | None, size: int) -> None:
    path = _changed(drawn_coco, _with_dogs)
    keypoints = find_keypoint_set(path, category)
    assert len(keypoints) == size
    for joints in _found(path, keypoints, category, drawn_coco):
        assert joints.shape == (3, size, 2)
    metrics = coco_metrics(Path(path), _results(path, category), keypoints, category=category)
    assert metrics["AP"] == pytest.approx(1)
    report = check_coco(Path(path), Path(drawn_coco.images), None, category=category)
    assert (report.persons, list(map(str, report.problems))) == (3, [])


def test_a_category_that_is_not_there_is_refused(drawn_coco: DataConfig) -> None:
    path = _changed(drawn_coco, _with_dogs)
    with pytest.raises(UserError, match=r"changed.json: no category cat has keypoint names \(expected one of: dog, "):
        read_annotations(Path(path), category="cat")
    with pytest.raises(UserError, match="no category cat has keypoints"):
        find_keypoint_set(path, "cat")
    assert any("no category cat" in str(p) for p in check_coco(Path(path), Path(), None, category="cat").problems)


def test_a_recipe_names_the_category(drawn_coco: DataConfig, tmp_path: Path) -> None:
    path = _changed(drawn_coco, _with_dogs)
    recipe = tmp_path / "own.py"
    data = f'annotations="{path}", images="{drawn_coco.images}", category="person"'
    recipe.write_text(
        f'variant = "lite_hrnet_18"\nkeypoints = "{path}"\ninput_size_wh = (64, 96)\n'
        f'train = (dict(format="coco", {data}),)\nvalidation = dict(format="coco", {data})\n'
    )
    config = load_config(str(recipe), []).config
    assert len(config.keypoint_set) == 17
    assert (config.train[0].category, config.tested_on.category) == ("person", "person")
