"""Matching of photos by file name, where two files name them below different folders."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import takewhile
from typing import TypeVar

Key = TypeVar("Key")
Photos = Mapping[str, list[tuple[Key, list[str]]]]
Shared = tuple[int, bool]
"""Number of parts that two paths share, from the end, and whether these are all parts of the second one."""


def by_file_name(names: Mapping[Key, str]) -> Photos[Key]:
    """Group photos by the last part of their path: their keys and all parts, the last one first."""
    grouped: defaultdict[str, list[tuple[Key, list[str]]]] = defaultdict(list)
    for key, name in names.items():
        parts = _parts(name)
        grouped[parts[0]].append((key, parts))
    return grouped


def closest(path: str, photos: Photos[Key]) -> tuple[Shared, list[Key]]:
    """Find the photos from ``by_file_name`` with the longest common end; those whose whole path is common come first.

    Returns:
        The common end, and the keys of the photos that have it; several if the path does not tell them apart.
    """
    parts, shared = _parts(path), []
    for key, named in photos.get(parts[0], ()):
        count = len([*takewhile(lambda pair: pair[0] == pair[1], zip(parts, named, strict=False))])
        shared.append(((count, count == len(named)), key))
    most = max((each for each, _ in shared), default=(0, False))
    return most, [key for each, key in shared if each == most]


def _parts(path: str) -> list[str]:
    return path.replace("\\", "/").split("/")[::-1]
