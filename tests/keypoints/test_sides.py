"""Recognition of the two sides of one part, in any spelling of the names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litehrnet.keypoints.sides import mirrored_name, mirrored_pairs, plain_name, sides_without_partner
from litehrnet.keypoints.skeletons import COCO, KEYPOINT_SETS, from_dict, lower_body


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left_eye", "right_eye"),
        ("Left Eye", "Right Eye"),
        ("LEFT-EYE", "RIGHT-EYE"),
        ("leftEye", "rightEye"),
        ("eye left", "eye right"),
        ("eye_L", "eye_R"),
        ("L_Eye", "R_Eye"),
        ("eye.l", "eye.r"),
        ("eyeL", "eyeR"),
        ("LEye", "REye"),
        ("L_F_Paw", "R_F_Paw"),
        ("paw_l_front", "paw_r_front"),
        ("auge_l_außen", "auge_r_außen"),
    ],
)
def test_both_sides_are_a_pair_in_every_spelling(left: str, right: str) -> None:
    assert (mirrored_name(left), mirrored_name(right)) == (right, left)
    assert mirrored_pairs(["nose", right, left]) == ((2, 1),)
    assert sides_without_partner(["nose", left], ()) == (left,)


@pytest.mark.parametrize(
    "name", ["nose", "bright", "leftover", "L1", "r", "lwrist", "point_l4", "left_of_right_eye", ""]
)
def test_names_without_a_clear_side_have_no_partner(name: str) -> None:
    assert mirrored_name(name) is None
    assert sides_without_partner([name], ()) == ()


def test_spelling_may_differ_between_the_two_sides() -> None:
    assert mirrored_pairs(["Left Eye", "right_eye"]) == ((0, 1),)
    assert mirrored_pairs(["Left Eye", "left_eye", "right_eye"]) == ()
    assert mirrored_pairs(["eye_L", "right_eye"]) == ()


def test_published_pairs_are_what_their_names_say() -> None:
    for known in KEYPOINT_SETS.values():
        assert mirrored_pairs(known.keypoint_names) == known.flip_pairs
        assert sides_without_partner(known.keypoint_names, known.flip_pairs) == ()


def test_sigmas_and_lower_half_are_known_in_every_spelling() -> None:
    spelled = [" ".join(name.split("_")).title() for name in COCO.keypoint_names]
    own = from_dict({"name": "own", "keypoints": spelled}, "own.json")
    assert own.sigmas == COCO.sigmas
    assert own.flip_pairs == COCO.flip_pairs
    assert lower_body(own).tolist() == lower_body(COCO).tolist()


@given(st.lists(st.text(max_size=12) | st.sampled_from(COCO.keypoint_names), max_size=12, unique=True))
def test_pairs_are_mutual_and_no_keypoint_is_in_two(names: list[str]) -> None:
    pairs = mirrored_pairs(names)
    paired = [index for pair in pairs for index in pair]
    assert len(set(paired)) == len(paired)
    for left, right in pairs:
        assert plain_name(mirrored_name(names[left]) or "") == plain_name(names[right])
        assert plain_name(mirrored_name(names[right]) or "") == plain_name(names[left])
