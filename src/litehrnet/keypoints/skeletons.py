"""Built-in keypoint sets, and reading a user's own set from a TOML or JSON file.

Source: docs/spec/protocol.md, sections 1.1 and 1.2. The limbs of MPII and LSP follow the human body.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.arrays import Mask
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.keypoints.sides import mirrored_pairs, plain_name, words
from litehrnet.keypoints.wholebody import COCO_WHOLEBODY, HALPE_26
from litehrnet.poses import KeypointSet

DEFAULT_SIGMA = 0.05

# COCO's values, measured as the spread between its annotators.
_SIDES_SIGMAS = {
    "eye": 0.025,
    "ear": 0.035,
    "shoulder": 0.079,
    "elbow": 0.072,
    "wrist": 0.062,
    "hip": 0.107,
    "knee": 0.087,
    "ankle": 0.089,
}
# Keypoints that COCO lacks: neck and head as in CrowdPose's evaluation, the thorax like the shoulders, the
# pelvis like the hips. They are used for suppression only, as MPII and LSP are not evaluated by similarity.
# (MMPose uses 0.179 for MPII's shoulders and the nose's 0.026 along the spine.)
SIGMAS = {
    "nose": 0.026,
    "pelvis": 0.107,
    "thorax": 0.079,
    "upper_neck": 0.079,
    "neck": 0.079,
    "head_top": 0.079,
} | {f"{side}_{part}": sigma for part, sigma in _SIDES_SIGMAS.items() for side in ("left", "right")}


def _built_in(name: str, keypoint_names: str, limbs: tuple[tuple[int, int], ...]) -> KeypointSet:
    names = tuple(keypoint_names.split())
    return KeypointSet(name, names, mirrored_pairs(names), limbs, tuple(SIGMAS[each] for each in names))


# fmt: off
COCO = _built_in(
    "coco",
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
    ((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
     (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
)
MPII = _built_in(
    "mpii",
    "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax upper_neck head_top right_wrist "
    "right_elbow right_shoulder left_shoulder left_elbow left_wrist",
    ((0, 1), (1, 2), (2, 6), (3, 6), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (10, 11), (11, 12), (12, 7), (13, 7),
     (13, 14), (14, 15)),
)
LSP = _built_in(
    "lsp",
    "right_ankle right_knee right_hip left_hip left_knee left_ankle right_wrist right_elbow right_shoulder "
    "left_shoulder left_elbow left_wrist neck head_top",
    ((0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (9, 10), (10, 11), (2, 8), (3, 9), (8, 12), (9, 12), (12, 13),
     (2, 3)),
)
# fmt: on
KEYPOINT_SETS: dict[str, KeypointSet] = {each.name: each for each in (COCO, MPII, LSP, HALPE_26, COCO_WHOLEBODY)}


def is_of_people(keypoint_set: KeypointSet) -> bool:
    """Return whether these are the keypoints of a built-in set, in any order and under any set name.

    Sets with only some of these names may describe animals, which have noses and shoulders too.
    """
    names = sorted(keypoint_set.keypoint_names)
    return any(names == sorted(each.keypoint_names) for each in KEYPOINT_SETS.values())


def unnamed(count: int) -> KeypointSet:
    """Create ``count`` keypoints without known names: "0", "1", ..., without pairs or limbs."""
    names = tuple(str(index) for index in range(count))
    return KeypointSet("unnamed", names, (), (), (DEFAULT_SIGMA,) * count)


def find_keypoint_set(name_or_path: str, category: str | None = None) -> KeypointSet:
    """Look up a built-in keypoint set by name, such as coco, or read one from a .toml or .json file.

    The file and the category are those of ``read_keypoint_set``.

    Raises:
        UserError: The name is unknown, or the file cannot be read or is invalid.
    """
    if name_or_path in KEYPOINT_SETS:
        return KEYPOINT_SETS[name_or_path]
    if Path(name_or_path).suffix.lower() in (".toml", ".json"):
        return read_keypoint_set(Path(name_or_path), category)
    known = ", ".join(KEYPOINT_SETS)
    raise UserError(f"{name_or_path}: unknown keypoint set (expected {known} or a .toml or .json file)")


def read_keypoint_set(path: Path, category: str | None = None) -> KeypointSet:
    """Read a user's keypoint set from a small TOML or JSON file, or from a COCO annotation file.

    Required fields are ``name`` and ``keypoints`` (their names in order). Optional fields:

    - ``flip_pairs``, such as ``[["left_eye", "right_eye"]]``. By default, names that differ only in their side are
      pairs: left and right, or l and r (see ``sides``).
    - ``limbs``, pairs of names that a drawing joins.
    - ``sigmas``, one number per keypoint. By default, a keypoint named like one of COCO, MPII or LSP has its sigma,
      and any other has 0.05.

    In a COCO annotation file, the category of that name is used, or the first with keypoints. It may have
    ``flip_pairs`` too.

    Raises:
        UserError: The file cannot be read, or a field is missing, unknown or invalid.
    """
    mapping = _parse(path)
    if not isinstance(mapping, dict) or "categories" not in mapping:
        return from_dict(mapping, str(path))
    categories = mapping["categories"] if isinstance(mapping["categories"], list) else []
    for each in categories:
        if isinstance(each, dict) and each.get("keypoints") and category in (None, each.get("name")):
            name = each.get("name")
            fields = _fields_of_category(each, name if isinstance(name, str) else path.stem, str(path))
            return from_dict(fields, str(path))
    which = "no category" if category is None else f"no category {category}"
    raise UserError(f"{path}: {which} has keypoints (expected a category as in COCO's person_keypoints files)")


def keypoint_set_from_coco_category(category: Mapping[str, Any], name: str) -> KeypointSet:
    """Create the keypoint set called ``name`` from an entry of ``categories`` in a COCO annotation file.

    ``keypoints`` are its names, ``skeleton`` its limbs as pairs of numbers from 1 or of names. A skeleton with anything
    else, such as numbers from 0, is left out, since it is only drawn. ``flip_pairs`` may be there, as pairs of names.
    Otherwise pairs are the defaults of ``read_keypoint_set``, as sigmas are.

    Raises:
        UserError: The entry is invalid.
    """
    return from_dict(_fields_of_category(category, name, name), name)


def to_dict(keypoint_set: KeypointSet) -> dict[str, Any]:
    """Convert a keypoint set to plain lists and strings for JSON, the inverse of ``from_dict``."""
    names = keypoint_set.keypoint_names
    return {
        "name": keypoint_set.name,
        "keypoints": list(names),
        "flip_pairs": [[names[a], names[b]] for a, b in keypoint_set.flip_pairs],
        "limbs": [[names[a], names[b]] for a, b in keypoint_set.limbs],
        "sigmas": list(keypoint_set.sigmas),
    }


def from_dict(mapping: object, source: str) -> KeypointSet:
    """Create a keypoint set from parsed TOML or JSON with the fields that ``read_keypoint_set`` describes.

    Raises:
        UserError: A field is missing, unknown or invalid.
    """
    known = ("name", "keypoints", "flip_pairs", "limbs", "sigmas")
    if not isinstance(mapping, Mapping):
        raise UserError(f"{source}: not a keypoint set (expected the fields {', '.join(known)})")
    for field in mapping:
        if field not in known:
            raise UserError(f"{source}: unknown field {field!r} (expected {', '.join(known)})")
    name = mapping.get("name")
    if not isinstance(name, str) or not name:
        raise UserError(f"{source}: name is {name!r} (expected a short name of the keypoint set)")
    names = _names(mapping.get("keypoints"), source)
    limbs = _pairs(mapping.get("limbs", []), "limbs", names, source)
    if "flip_pairs" not in mapping:
        return KeypointSet(name, names, mirrored_pairs(names), limbs, _sigmas(mapping, names, source))
    flip_pairs = _pairs(mapping["flip_pairs"], "flip_pairs", names, source)
    paired = [index for pair in flip_pairs for index in pair]
    for index in paired:
        if paired.count(index) > 1:
            raise UserError(f"{source}: {names[index]} is in two flip_pairs (expected at most one)")
    return KeypointSet(name, names, flip_pairs, limbs, _sigmas(mapping, names, source))


def _parse(path: Path) -> Any:
    if path.suffix.lower() not in (".toml", ".json"):
        raise UserError(f"{path}: not a keypoint set (expected a .toml or .json file)")
    kind = path.suffix[1:].upper()
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not text in UTF-8 (expected {kind})") from error
    try:
        return tomllib.loads(text) if kind == "TOML" else json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UserError(f"{path}: not valid {kind} ({reason})") from error


def _fields_of_category(category: Mapping[str, Any], name: str, source: str) -> dict[str, Any]:
    names = _names(category.get("keypoints"), source)
    skeleton = category.get("skeleton")
    limbs = [_limb(limb, names) for limb in skeleton] if isinstance(skeleton, list) else []
    fields = {"name": name, "keypoints": list(names), "limbs": [] if None in limbs else limbs}
    return fields | ({"flip_pairs": category["flip_pairs"]} if "flip_pairs" in category else {})


def _limb(limb: object, names: tuple[str, ...]) -> list[str] | None:
    """Names of a limb's two ends, which a category gives as numbers from 1 or as names; None for anything else."""
    ends = limb if isinstance(limb, list) else []
    known = [names[end - 1] for end in ends if type(end) is int and 1 <= end <= len(names)]
    known = known or [end for end in ends if end in names]
    return known if len(ends) == len(known) == 2 and known[0] != known[1] else None


def _names(value: object, source: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise UserError(f"{source}: keypoints is {value!r} (expected a list of one name or more)")
    for name in value:
        if not isinstance(name, str) or not name:
            raise UserError(f"{source}: keypoints has {name!r} (expected names)")
        if value.count(name) > 1:
            raise UserError(f"{source}: keypoints has {name} twice (expected different names)")
    return tuple(value)


def _pairs(value: object, field: str, names: tuple[str, ...], source: str) -> tuple[tuple[int, int], ...]:
    if not isinstance(value, list):
        raise UserError(f"{source}: {field} is {value!r} (expected a list of pairs of names)")
    pairs = []
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            raise UserError(f"{source}: {field} has {pair!r} (expected pairs of names)")
        for name in pair:
            if name not in names:
                raise UserError(f"{source}: {field} has {name!r} (expected one of the keypoints)")
        if pair[0] == pair[1]:
            raise UserError(f"{source}: {field} joins {pair[0]} to itself (expected two different keypoints)")
        pairs.append((names.index(pair[0]), names.index(pair[1])))
    return tuple(pairs)


def _sigmas(mapping: Mapping[str, Any], names: tuple[str, ...], source: str) -> tuple[float, ...]:
    if "sigmas" not in mapping:
        return tuple(SIGMAS.get(plain_name(name), DEFAULT_SIGMA) for name in names)
    sigmas = mapping["sigmas"]
    if not isinstance(sigmas, list) or len(sigmas) != len(names):
        given = f"has {len(sigmas)} numbers" if isinstance(sigmas, list) else f"is {sigmas!r}"
        raise UserError(f"{source}: sigmas {given} (expected one for each of {len(names)} keypoints)")
    for sigma in sigmas:
        # Within these bounds similarities can be computed; COCO's sigmas are 0.025 to 0.107.
        if type(sigma) not in (int, float) or not 1e-6 <= sigma <= 1e6:
            raise UserError(f"{source}: sigmas has {sigma!r} (expected numbers above 0, such as 0.05)")
    return tuple(float(sigma) for sigma in sigmas)


_LOWER_BODY = {"pelvis", "hip", "knee", "ankle", "foot", "feet", "heel", "toe"}


def lower_body(keypoint_set: KeypointSet) -> Mask:
    """Return a mask (keypoints,) of the lower body, recognized by name: hips, knees, ankles, feet and the pelvis.

    All other keypoints are the upper body (docs/spec/protocol.md, sections 1.1 and 1.2).
    """
    named = (words(name) for name in keypoint_set.keypoint_names)
    return np.array([any(word in _LOWER_BODY or word[:-1] in _LOWER_BODY for word in each) for each in named])


def usual_keypoint_set(count: int) -> KeypointSet:
    """Return the built-in set of ``count`` keypoints (COCO has 17, MPII 16), else a set with numbers as names."""
    for known in KEYPOINT_SETS.values():
        if len(known) == count:
            return known
    return unnamed(count)
