import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litehrnet.errors import UserError
from litehrnet.segmentation.classes import (
    CITYSCAPES,
    IGNORED,
    class_set_from_dict,
    class_set_to_dict,
    find_class_set,
    unnamed_classes,
)

# fmt: off
# Name, id, train id (255: ignored in evaluation) of every label, as Cityscapes lists them.
CITYSCAPES_LABELS = (
    ("unlabeled", 0, 255), ("ego vehicle", 1, 255), ("rectification border", 2, 255), ("out of roi", 3, 255),
    ("static", 4, 255), ("dynamic", 5, 255), ("ground", 6, 255), ("road", 7, 0), ("sidewalk", 8, 1),
    ("parking", 9, 255), ("rail track", 10, 255), ("building", 11, 2), ("wall", 12, 3), ("fence", 13, 4),
    ("guard rail", 14, 255), ("bridge", 15, 255), ("tunnel", 16, 255), ("pole", 17, 5), ("polegroup", 18, 255),
    ("traffic light", 19, 6), ("traffic sign", 20, 7), ("vegetation", 21, 8), ("terrain", 22, 9), ("sky", 23, 10),
    ("person", 24, 11), ("rider", 25, 12), ("car", 26, 13), ("truck", 27, 14), ("bus", 28, 15), ("caravan", 29, 255),
    ("trailer", 30, 255), ("train", 31, 16), ("motorcycle", 32, 17), ("bicycle", 33, 18),
)
# fmt: on


def test_label_ids_of_cityscapes_become_train_ids() -> None:
    ids = np.array([label_id for _, label_id, _ in CITYSCAPES_LABELS], np.uint8)
    expected = [train_id for _, _, train_id in CITYSCAPES_LABELS]
    assert CITYSCAPES.classes_of(ids).tolist() == expected
    assert CITYSCAPES.classes_of(np.array([255], np.uint8)).tolist() == [IGNORED]


def test_classes_of_cityscapes_are_named_in_the_order_of_the_train_ids() -> None:
    trained = sorted((train_id, name) for name, _, train_id in CITYSCAPES_LABELS if train_id != 255)
    assert [name for _, name in trained] == list(CITYSCAPES.class_names)
    assert len(set(CITYSCAPES.colors)) == 19


def test_predictions_are_written_in_the_ids_they_are_read_from() -> None:
    classes = np.arange(19, dtype=np.uint8).reshape(1, 19)
    np.testing.assert_array_equal(CITYSCAPES.classes_of(CITYSCAPES.label_ids_of(classes)), classes)


def test_ids_outside_the_list_are_named() -> None:
    with pytest.raises(UserError, match=r"class ids 34, 200, which cityscapes does not have \(expected 0, 1, 2"):
        CITYSCAPES.classes_of(np.array([[7, 200], [34, 200]], np.uint8))


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_own_classes_are_read_from_a_small_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"street{suffix}"
    if suffix == ".json":
        path.write_text(json.dumps({"classes": ["road", "car"], "label_ids": [3, 7]}))
    else:
        path.write_text('classes = ["road", "car"]\nlabel_ids = [3, 7]\n')
    street = find_class_set(str(path))
    assert (street.name, street.class_names, street.label_ids) == ("street", ("road", "car"), (3, 7))
    assert street.classes_of(np.array([7, 3, 255], np.uint8)).tolist() == [1, 0, IGNORED]


@pytest.mark.parametrize("class_set", [CITYSCAPES, unnamed_classes(5)])
def test_class_sets_come_back_from_plain_values(class_set: Any) -> None:
    plain = json.loads(json.dumps(class_set_to_dict(class_set)))
    assert class_set_from_dict(plain, "file") == class_set


def test_colors_that_nobody_chose_differ() -> None:
    assert len(set(unnamed_classes(60).colors)) == 60


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([], "has no classes"),
        ({"classes": ["one"]}, "1 classes"),
        ({"classes": ["a", "a"]}, "2 classes, 1 different"),
        ({"classes": ["a", 3]}, "expected a list of names"),
        ({"classes": ["a", "b"], "tints": []}, "unknown key tints"),
        ({"classes": ["a", "b"], "colors": [[0, 0, 0]]}, "expected a list of 2"),
        ({"classes": ["a", "b"], "colors": [[0, 0, 0], [0, 0, 256]]}, "expected 3 whole numbers from 0 to 255"),
        ({"classes": ["a", "b"], "label_ids": [1, 1]}, "is used twice"),
        ({"classes": ["a", "b"], "label_ids": [1, 255]}, "is used twice"),
        ({"classes": ["a", "b"], "label_ids": [1, True]}, "expected 2 whole numbers"),
    ],
)
def test_class_lists_that_cannot_be_are_one_sentence(fields: Any, said: str) -> None:
    with pytest.raises(UserError, match=rf"^list\.json: .*{said}") as raised:
        class_set_from_dict(fields, "list.json")
    assert "\n" not in str(raised.value)


def test_unknown_names_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown class set"):
        find_class_set("ade20k")
    path = tmp_path / "classes.json"
    path.write_text("{")
    with pytest.raises(UserError, match="not a list of classes"):
        find_class_set(str(path))


def test_the_spelling_of_older_files_is_read() -> None:
    colors = [[1, 2, 3], [4, 5, 6]]
    assert class_set_from_dict({"classes": ["a", "b"], "colours": colors}, "list.json", "two").colors == (
        (1, 2, 3),
        (4, 5, 6),
    )
