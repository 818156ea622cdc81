"""Left and right in the names of keypoints: the pairs that change places when a photo is mirrored.

Accepted spellings: ``left_eye``, ``Left Eye``, ``left-eye``, ``leftEye``, ``eye_L``, ``L eye``, ``eye.r``.
"""

import re
from collections.abc import Sequence

from litehrnet.poses import KeypointSet

_OPPOSITE = {"left": "right", "right": "left", "l": "r", "r": "l"}

# Words in lower case, perhaps with a capital first; words in capitals; numbers.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^\W\d_a-zA-Z]+")


def words(name: str) -> list[str]:
    """Split a name into words in lower case: ``Left Eye``, ``leftEye`` and ``LEFT_EYE`` are ``["left", "eye"]``."""
    return [word.lower() for word in _WORD.findall(name)]


def plain_name(name: str) -> str:
    """Convert a name to COCO's spelling: ``Left Eye`` becomes ``left_eye``."""
    return "_".join(words(name))


def part_key(name: str) -> str:
    """Return a text that is the same for all spellings of a keypoint: ``left_eye``, ``Left Eye``, ``eye_L``."""
    if mirrored_name(name) is None:
        return plain_name(name)
    return " ".join(sorted({"l": "left", "r": "right"}.get(word, word) for word in words(name)))


def mirrored_name(name: str) -> str | None:
    """Return the name of the same part on the other side, in the same spelling; None for a name without a side.

    A name with two sides, such as ``left_of_right_eye``, has no clear partner: the result is None, too.
    """
    found = [match for match in _WORD.finditer(name) if _is_side(match, name)]
    if len(found) != 1:
        return None
    (side,) = found
    opposite = _OPPOSITE[side.group().lower()]
    if side.group().isupper():
        opposite = opposite.upper()
    elif side.group()[0].isupper():
        opposite = opposite.capitalize()
    return name[: side.start()] + opposite + name[side.end() :]


def mirrored_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Find index pairs (left, right) of names that differ only in their side, in any spelling.

    Names that differ only in spelling (``left_eye`` and ``Left Eye``) are left out.
    """
    plain = [plain_name(name) for name in names]
    pairs = []
    for index, name in enumerate(names):
        mirrored = mirrored_name(name)
        if mirrored is None or not {"left", "l"} & set(words(name)):
            continue
        partner = plain_name(mirrored)
        if plain.count(plain[index]) == plain.count(partner) == 1:
            pairs.append((index, plain.index(partner)))
    return tuple(pairs)


def sides_without_partner(names: Sequence[str], flip_pairs: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """List names with a side that are in no flip pair; mirroring would not exchange them, which is wrong."""
    paired = {index for pair in flip_pairs for index in pair}
    return tuple(name for i, name in enumerate(names) if i not in paired and mirrored_name(name) is not None)


def mirroring_text(keypoints: KeypointSet) -> str:
    """Describe the keypoints that change places when a sample is mirrored, and warn about missing partners."""
    names = keypoints.keypoint_names
    pairs = ", ".join(f"{names[a]} and {names[b]}" for a, b in keypoints.flip_pairs) or "no keypoints"
    text = f"{pairs} change places"
    if alone := sides_without_partner(names, keypoints.flip_pairs):
        text += f"; NO PARTNER FOUND for {', '.join(alone)} (rename them or name flip_pairs, see docs/own_keypoints.md)"
    return text


def _is_side(match: re.Match[str], name: str) -> bool:
    """Return whether a word is a side; a single letter beside a digit is not, as ``L1`` may be a vertebra."""
    word = match.group().lower()
    if word not in ("l", "r"):
        return word in _OPPOSITE
    beside = name[max(0, match.start() - 1) : match.start()] + name[match.end() : match.end() + 1]
    return len(words(name)) > 1 and not any(letter.isdigit() for letter in beside)
