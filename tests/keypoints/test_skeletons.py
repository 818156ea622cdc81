"""The built-in keypoint sets, and a user's own from a file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litehrnet.errors import UserError
from litehrnet.keypoints.skeletons import (
    COCO,
    KEYPOINT_SETS,
    LSP,
    MPII,
    find_keypoint_set,
    from_dict,
    is_of_people,
    keypoint_set_from_coco_category,
    read_keypoint_set,
    to_dict,
    unnamed,
)
from litehrnet.keypoints.wholebody import COCO_WHOLEBODY, HALPE_26
from litehrnet.poses import KeypointSet

OWN: dict[str, Any] = {"name": "chair", "keypoints": ["left_leg", "right_leg", "seat"]}


@pytest.mark.parametrize(
    ("keypoint_set", "file"),
    [
        (COCO, "coco_dev/annotations.json"),
        (MPII, "mpii_crops/annotations.json"),
        (LSP, "lspet/annotations.json"),
    ],
)
def test_built_in_sets_are_those_of_the_annotation_files(shared: Path, keypoint_set: KeypointSet, file: str) -> None:
    read = read_keypoint_set(shared / "data" / file)
    assert read.name == "person"
    assert read.keypoint_names == keypoint_set.keypoint_names
    assert read.limbs == keypoint_set.limbs
    assert read.flip_pairs == keypoint_set.flip_pairs
    assert read.sigmas == keypoint_set.sigmas


def test_coco_has_the_sigmas_of_the_reference(shared: Path) -> None:
    evaluation = json.loads((shared / "reference" / "evaluation.json").read_text())
    np.testing.assert_allclose(COCO.sigmas, evaluation["sigmas"], rtol=1e-12)


@pytest.mark.parametrize("keypoint_set", [COCO, MPII])
def test_mirrored_joints_change_places_as_published(shared: Path, keypoint_set: KeypointSet) -> None:
    geometry = np.load(shared / "reference" / "geometry.npz")
    joints, visible = (geometry[f"flip_{keypoint_set.name}_{what}_in"] for what in ("joints", "vis"))
    joints, visible = joints[keypoint_set.flip_order], visible[keypoint_set.flip_order]
    joints[:, 0] = geometry["flip_img_width"] - 1 - joints[:, 0]
    np.testing.assert_array_equal(joints * visible, geometry[f"flip_{keypoint_set.name}_joints_out"])
    np.testing.assert_array_equal(visible, geometry[f"flip_{keypoint_set.name}_vis_out"])


@pytest.mark.parametrize("keypoint_set", KEYPOINT_SETS.values())
def test_every_side_has_its_pair_and_left_is_named_first(keypoint_set: KeypointSet) -> None:
    names = keypoint_set.keypoint_names
    for left, right in keypoint_set.flip_pairs:
        assert names[left].replace("left_", "right_") == names[right]
        assert names[left].startswith("left_")
        # COCO-WholeBody measured those of feet and face for each side.
        if keypoint_set is not COCO_WHOLEBODY:
            assert keypoint_set.sigmas[left] == keypoint_set.sigmas[right]
    sided = [name for name in names if name.startswith(("left_", "right_"))]
    assert len(sided) == 2 * len(keypoint_set.flip_pairs)


def test_sets_are_found_by_name_and_by_file(tmp_path: Path) -> None:
    assert find_keypoint_set("coco") is COCO
    assert find_keypoint_set("mpii") is MPII
    assert find_keypoint_set("lsp") is LSP
    file = tmp_path / "own.json"
    file.write_text(json.dumps(OWN))
    assert find_keypoint_set(str(file)).name == "chair"


@pytest.mark.parametrize(
    ("keypoint_set", "count", "sum_of_sigmas"), [(HALPE_26, 26, 1.73), (COCO_WHOLEBODY, 133, 3.861)]
)
def test_sets_with_feet_begin_with_cocos_keypoints(keypoint_set: KeypointSet, count: int, sum_of_sigmas: float) -> None:
    assert len(keypoint_set) == len(set(keypoint_set.keypoint_names)) == count
    assert keypoint_set.keypoint_names[:17] == COCO.keypoint_names
    assert keypoint_set.sigmas[:17] == COCO.sigmas
    assert sum(keypoint_set.sigmas) == pytest.approx(sum_of_sigmas)


def test_the_face_of_coco_wholebody_is_mirrored_as_published() -> None:
    """Numbers in the face, from its 23rd keypoint on: outer corners of the eyes, jaw, brows, nostrils, lips."""
    face = COCO_WHOLEBODY.flip_order[23:91] - 23
    changed = {0: 16, 7: 9, 8: 8, 17: 26, 21: 22, 27: 27, 31: 35, 33: 33, 36: 45, 39: 42, 40: 47, 41: 46}
    changed |= {48: 54, 50: 52, 51: 51, 55: 59, 56: 58, 57: 57, 60: 64, 61: 63, 62: 62, 65: 67, 66: 66}
    assert {index: int(face[index]) for index in changed} == changed
    hands = COCO_WHOLEBODY.flip_order[91:]
    assert hands.tolist() == [*range(112, 133), *range(91, 112)]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    known = "coco, mpii, lsp, halpe_26, coco_wholebody"
    message = rf"^coocoo: unknown keypoint set \(expected {known} or a \.toml or \.json file\)$"
    with pytest.raises(UserError, match=message):
        find_keypoint_set("coocoo")


def test_unnamed_keypoints_are_numbered() -> None:
    keypoint_set = unnamed(3)
    assert keypoint_set.keypoint_names == ("0", "1", "2")
    assert keypoint_set.flip_pairs == keypoint_set.limbs == ()
    assert len(keypoint_set.sigmas) == 3


def test_a_toml_file_says_everything_by_name(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        """
        name = "chair"
        keypoints = ["left_leg", "right_leg", "seat", "back"]
        flip_pairs = [["right_leg", "left_leg"]]
        limbs = [["seat", "back"], ["left_leg", "seat"]]
        sigmas = [0.1, 0.1, 1, 0.2]
        """
    )
    names = ("left_leg", "right_leg", "seat", "back")
    assert read_keypoint_set(file) == KeypointSet("chair", names, ((1, 0),), ((2, 3), (0, 2)), (0.1, 0.1, 1.0, 0.2))


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    file = tmp_path / "own.JSON"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(OWN).encode())
    assert read_keypoint_set(file).name == "chair"


def test_what_a_file_leaves_out_is_filled_in() -> None:
    filled = from_dict({**OWN, "keypoints": ["left_leg", "right_leg", "left_arm", "nose"]}, "own.toml")
    assert filled.flip_pairs == ((0, 1),)
    assert filled.limbs == ()
    assert filled.sigmas == (0.05, 0.05, 0.05, 0.026)


def test_an_empty_list_of_flip_pairs_means_none() -> None:
    assert from_dict({**OWN, "flip_pairs": []}, "own.toml").flip_pairs == ()


@pytest.mark.parametrize("keypoint_set", [*KEYPOINT_SETS.values(), unnamed(5)])
def test_a_keypoint_set_survives_json(keypoint_set: KeypointSet) -> None:
    assert from_dict(json.loads(json.dumps(to_dict(keypoint_set))), "metadata") == keypoint_set


def test_a_coco_category_becomes_a_keypoint_set() -> None:
    category = {"id": 3, "name": "chair", "keypoints": ["left_leg", "right_leg", "seat"], "skeleton": [[1, 3], [2, 3]]}
    keypoint_set = keypoint_set_from_coco_category(category, "seats")
    assert keypoint_set.name == "seats"
    assert keypoint_set.flip_pairs == ((0, 1),)
    assert keypoint_set.limbs == ((0, 2), (1, 2))
    assert keypoint_set_from_coco_category({"keypoints": ["seat"]}, "seats").limbs == ()


def test_of_a_coco_file_the_first_category_with_keypoints_counts(tmp_path: Path) -> None:
    file = tmp_path / "chairs.json"
    file.write_text(json.dumps({"categories": [{"id": 1, "name": "table"}, {"id": 2, "keypoints": ["seat"]}]}))
    keypoint_set = read_keypoint_set(file)
    assert keypoint_set.keypoint_names == ("seat",)
    assert keypoint_set.name == "chairs"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"keypoints": ["a", "b", "a"]}, r"keypoints has a twice \(expected different names\)"),
        ({"keypoints": []}, r"keypoints is \[\] \(expected a list of one name or more\)"),
        ({"keypoints": "nose"}, r"keypoints is 'nose' \(expected a list of one name or more\)"),
        ({"keypoints": None}, r"keypoints is None \(expected a list of one name or more\)"),
        ({"keypoints": ["a", 2]}, r"keypoints has 2 \(expected names\)"),
        ({"keypoints": ["a", ""]}, r"keypoints has '' \(expected names\)"),
        ({"name": 3}, r"name is 3 \(expected a short name of the keypoint set\)"),
        ({"name": ""}, r"name is '' \(expected a short name of the keypoint set\)"),
        ({"flip_pairs": [["left_leg", "arm"]]}, r"flip_pairs has 'arm' \(expected one of the keypoints\)"),
        ({"flip_pairs": [["seat", "seat"]]}, r"flip_pairs joins seat to itself \(expected two different keypoints\)"),
        (
            {"flip_pairs": [["left_leg", "right_leg"], ["seat", "left_leg"]]},
            r"left_leg is in two flip_pairs \(expected at most one\)",
        ),
        ({"flip_pairs": [["left_leg"]]}, r"flip_pairs has \['left_leg'\] \(expected pairs of names\)"),
        ({"flip_pairs": {"left_leg": "right_leg"}}, r"flip_pairs is .* \(expected a list of pairs of names\)"),
        ({"limbs": [["seat", 1]]}, r"limbs has 1 \(expected one of the keypoints\)"),
        ({"limbs": [[["seat"], "seat"]]}, r"limbs has \['seat'\] \(expected one of the keypoints\)"),
        ({"limbs": [["seat", "seat"]]}, r"limbs joins seat to itself \(expected two different keypoints\)"),
        ({"sigmas": [0.1, 0.2]}, r"sigmas has 2 numbers \(expected one for each of 3 keypoints\)"),
        ({"sigmas": 0.1}, r"sigmas is 0\.1 \(expected one for each of 3 keypoints\)"),
        ({"sigmas": [0.1, 0, 0.1]}, r"sigmas has 0 \(expected numbers above 0, such as 0\.05\)"),
        ({"sigmas": [0.1, -0.1, 0.1]}, r"sigmas has -0\.1 \(expected numbers above 0, such as 0\.05\)"),
        ({"sigmas": [0.1, float("nan"), 0.1]}, r"sigmas has nan \(expected numbers above 0, such as 0\.05\)"),
        ({"sigmas": [0.1, 10**400, 0.1]}, r"sigmas has 10+ \(expected numbers above 0, such as 0\.05\)"),
        ({"sigmas": [0.1, True, 0.1]}, r"sigmas has True \(expected numbers above 0, such as 0\.05\)"),
        ({"sigmas": [0.1, "0.1", 0.1]}, r"sigmas has '0\.1' \(expected numbers above 0, such as 0\.05\)"),
        ({"sigma": [0.1, 0.1, 0.1]}, r"unknown field 'sigma' \(expected name, keypoints, .*\)"),
    ],
)
def test_a_wrong_field_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=rf"^own\.toml: {message}$"):
        from_dict({**OWN, **fields}, "own.toml")


def test_a_missing_name_is_refused() -> None:
    with pytest.raises(UserError, match=r"^own\.toml: name is None"):
        from_dict({"keypoints": ["seat"]}, "own.toml")


@pytest.mark.parametrize("mapping", [None, [], "coco", 3])
def test_what_is_no_table_is_refused(mapping: object) -> None:
    with pytest.raises(UserError, match=r"^own\.json: not a keypoint set \(expected the fields name, keypoints, "):
        from_dict(mapping, "own.json")


@pytest.mark.parametrize("skeleton", [[[1, 2], [0, 1]], [[1, 4]], [[1]], [[1, True]], [[1, 1]], [3], 7, [["seat", 4]]])
def test_a_skeleton_that_is_not_understood_is_left_out(skeleton: object) -> None:
    assert keypoint_set_from_coco_category({**OWN, "skeleton": skeleton}, "seats").limbs == ()


def test_a_skeleton_of_names_is_that_of_their_numbers() -> None:
    by_name = keypoint_set_from_coco_category({**OWN, "skeleton": [["seat", "left_leg"]]}, "seats")
    numbers = [by_name.keypoint_names.index("seat") + 1, by_name.keypoint_names.index("left_leg") + 1]
    assert by_name == keypoint_set_from_coco_category({**OWN, "skeleton": [numbers]}, "seats")
    assert len(by_name.limbs) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("own.toml", b"name = ", r"own\.toml: not valid TOML \(.+\)"),
        ("own.json", b'{"name": ', r"own\.json: not valid JSON \(.+\)"),
        ("own.json", b"[" * 200_000, r"own\.json: not valid JSON \(nested too deeply\)"),
        ("own.toml", b"a = " + b"[" * 100_000, r"own\.toml: not valid TOML \(nested too deeply\)"),
        ("own.toml", b'name = "\xff"', r"own\.toml: not text in UTF-8 \(expected TOML\)"),
        ("own.json", b"", r"own\.json: not valid JSON \(.+\)"),
        ("own.json", b"[]", r"own\.json: not a keypoint set \(expected the fields .+\)"),
        ("own.json", b'{"categories": []}', r"own\.json: no category has keypoints \(.+\)"),
        ("own.json", b'{"categories": 3}', r"own\.json: no category has keypoints \(.+\)"),
        ("own.json", b'{"categories": [{"keypoints": 3}]}', r"own\.json: keypoints is 3 \(.+\)"),
        ("own.yaml", b"name: chair", r"own\.yaml: not a keypoint set \(expected a \.toml or \.json file\)"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(UserError, match=f"{message}$"):
        read_keypoint_set(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"own\.toml: no such file$"):
        find_keypoint_set(str(tmp_path / "own.toml"))


def test_keypoints_of_people_are_those_of_coco_mpii_and_lsp_in_any_order() -> None:
    assert all(map(is_of_people, (COCO, MPII, LSP)))
    turned = replace(COCO, name="mine", keypoint_names=COCO.keypoint_names[::-1])
    assert is_of_people(turned)
    paws = tuple(name.replace("ankle", "paw") for name in COCO.keypoint_names)
    assert not is_of_people(replace(COCO, keypoint_names=paws))  # called coco, but of animals
    assert not is_of_people(unnamed(17))
