"""Keypoint sets with feet, hands and face: Halpe's 26 and the 133 of COCO-WholeBody.

Orders and sigmas are those of the two data sets. COCO-WholeBody numbers its hands and face only; the names here say
side and part, and count from the wrist to the tip of a finger, and from the side of the face to its middle.
"""

from itertools import pairwise

from litehrnet.keypoints.sides import mirrored_pairs
from litehrnet.poses import KeypointSet

_BODY = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
)
_LIMBS = (
    "left_ankle-left_knee left_knee-left_hip right_ankle-right_knee right_knee-right_hip left_shoulder-left_elbow "
    "left_elbow-left_wrist right_shoulder-right_elbow right_elbow-right_wrist left_eye-right_eye nose-left_eye "
    "nose-right_eye left_eye-left_ear right_eye-right_ear left_ankle-left_big_toe left_ankle-left_small_toe "
    "left_ankle-left_heel right_ankle-right_big_toe right_ankle-right_small_toe right_ankle-right_heel"
)
_FACE = (
    "right_jaw_1 right_jaw_2 right_jaw_3 right_jaw_4 right_jaw_5 right_jaw_6 right_jaw_7 right_jaw_8 chin left_jaw_8 "
    "left_jaw_7 left_jaw_6 left_jaw_5 left_jaw_4 left_jaw_3 left_jaw_2 left_jaw_1 "
    "right_eyebrow_1 right_eyebrow_2 right_eyebrow_3 right_eyebrow_4 right_eyebrow_5 "
    "left_eyebrow_5 left_eyebrow_4 left_eyebrow_3 left_eyebrow_2 left_eyebrow_1 "
    "nose_bridge_1 nose_bridge_2 nose_bridge_3 nose_bridge_4 right_nostril_1 right_nostril_2 nose_base left_nostril_2 "
    "left_nostril_1 right_eye_1 right_eye_2 right_eye_3 right_eye_4 right_eye_5 right_eye_6 left_eye_4 left_eye_3 "
    "left_eye_2 left_eye_1 left_eye_6 left_eye_5 "
    "right_lip_1 right_lip_2 right_lip_3 upper_lip left_lip_3 left_lip_2 left_lip_1 left_lip_4 left_lip_5 lower_lip "
    "right_lip_5 right_lip_4 right_inner_lip_1 right_inner_lip_2 upper_inner_lip left_inner_lip_2 left_inner_lip_1 "
    "left_inner_lip_3 lower_inner_lip right_inner_lip_3"
)
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")


def _fingers(side: str) -> list[list[str]]:
    return [[f"{side}_{finger}_{joint}" for joint in (1, 2, 3, 4)] for finger in _FINGERS]


def _hand(side: str) -> str:
    return f" {side}_hand_root " + " ".join(name for finger in _fingers(side) for name in finger)


def _hand_limbs(side: str) -> str:
    chains = [[f"{side}_wrist", f"{side}_hand_root"], *([f"{side}_hand_root", *finger] for finger in _fingers(side))]
    return "".join(f" {a}-{b}" for chain in chains for a, b in pairwise(chain))


def _built_in(name: str, keypoint_names: str, limbs: str, sigmas: str) -> KeypointSet:
    names = tuple(keypoint_names.split())
    ends = [limb.split("-") for limb in limbs.split()]
    pairs = tuple((names.index(a), names.index(b)) for a, b in ends)
    return KeypointSet(name, names, mirrored_pairs(names), pairs, tuple(int(each) / 1000 for each in sigmas.split()))


HALPE_26 = _built_in(
    "halpe_26",
    _BODY + " head neck hip left_big_toe right_big_toe left_small_toe right_small_toe left_heel right_heel",
    _LIMBS + " left_hip-hip right_hip-hip head-neck neck-hip neck-left_shoulder neck-right_shoulder",
    "26 25 25 35 35 79 79 72 72 62 62 107 107 87 87 89 89 26 26 66 79 79 79 79 79 79",
)
_HAND_SIGMAS = " 29 22 35 37 47 26 25 24 35 18 24 22 26 17 21 21 32 20 19 22 31"
COCO_WHOLEBODY = _built_in(
    "coco_wholebody",
    f"{_BODY} left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel {_FACE}"
    + _hand("left")
    + _hand("right"),
    _LIMBS
    + " left_hip-right_hip left_shoulder-left_hip right_shoulder-right_hip left_shoulder-right_shoulder"
    + _hand_limbs("left")
    + _hand_limbs("right"),
    "26 25 25 35 35 79 79 72 72 62 62 107 107 87 87 89 89 68 66 66 92 94 94 "
    "42 43 44 43 40 35 31 25 20 23 29 32 37 38 43 41 45 13 12 11 11 12 12 11 11 13 15 9 7 7 7 12 9 8 16 10 17 11 9 11 "
    "9 7 13 8 11 12 10 34 8 8 9 8 8 7 10 8 9 9 9 7 7 8 11 8 8 8 10 8" + 2 * _HAND_SIGMAS,
)
