"""Links in the documentation: every file and every heading that a page points to exists."""

import re
from pathlib import Path

import pytest

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```", re.DOTALL)


def _pages(project: Path) -> list[Path]:
    top = [project / name for name in ("README.md", "CONTRIBUTING.md")]
    return [*top, *sorted((project / "docs").rglob("*.md"))]


def _anchors(page: Path) -> set[str]:
    """Names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", _CODE.sub("", page.read_text()), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def _broken_links(page: Path) -> list[str]:
    broken = []
    for link in _LINK.findall(_CODE.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        if re.match(r"https?:|mailto:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target)):
            broken.append(link)
    return broken


def test_links_point_to_files_and_headings_that_exist(project: Path) -> None:
    broken = {page.relative_to(project).as_posix(): _broken_links(page) for page in _pages(project)}
    assert {page: links for page, links in broken.items() if links} == {}


@pytest.mark.parametrize("page", ["architecture.md", "howto/*.md"])
def test_paths_in_these_pages_exist(project: Path, page: str) -> None:
    """Paths in backticks, below the project or below the package; a page must not describe a tree that is gone."""
    roots = [project, project / "src" / "litehrnet"]
    paths = [
        (file.name, path)
        for file in sorted((project / "docs").glob(page))
        for path in re.findall(r"`([\w./-]+/[\w.-]*\.(?:py|h|cpp|md|js|txt)|[\w./-]+/)`", file.read_text())
    ]
    assert paths
    assert [(name, path) for name, path in paths if not any((root / path).exists() for root in roots)] == []
