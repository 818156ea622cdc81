"""Paths and names in the pages that guide through the code exist: such a page must not describe a tree that is gone."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PAGES = [
    PROJECT / "CONTRIBUTING.md",
    *sorted((PROJECT / "docs" / "howto").glob("*.md")),
    *sorted((PROJECT / "docs" / "decisions").glob("*.md")),
]
_PATH = re.compile(r"`((?:[\w.-]+/)+(?:[\w-]+\.(?:py|h|cpp|md|js|toml|txt))?)`")
_ROOTS = (PROJECT, PROJECT / "src" / "litehrnet")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_paths_exist(page: Path) -> None:
    paths = _PATH.findall(page.read_text())
    assert [path for path in paths if not any((root / path).exists() for root in _ROOTS)] == []
