"""Citations of docs/spec in code and documentation: each names a section, quirk or trap that exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOTS = ("src", "csrc", "tests", "tools", "benchmarks", "configs", "docs", "examples", "runs")
SUFFIXES = {".py", ".pyi", ".md", ".cpp", ".h", ".js", ".txt", ".sh", ".html"}
PAGES = ("docs/spec/architecture.md", "docs/spec/protocol.md")

_WORDS = re.compile(r"[Ss]ection|[Qq]uirk|[Tt]rap|[Ss]pecification")
_NUMBER = r"\d+(?:\.\d+)?"
_PLACES = rf"(?P<kind>section|quirk|trap)s? (?P<numbers>{_NUMBER}(?:(?:, | and | to ){_NUMBER})*)"
# "docs/spec/protocol.md, section 4.1", in Markdown also "[...protocol.md, section 4.1](...)".
_CITATION = re.compile(rf"(?:docs/)?spec/(?P<page>architecture|protocol)\.md, {_PLACES}")
# What is left after those: another name of a page, or a place without its page.
_OTHER = re.compile(rf"(?:architecture|protocol) specification|{_PLACES}", re.IGNORECASE)
# The sections of papers and standards: "CVPR 2021, section 3", "TIFF 6.0, section 2".
_SOURCE = re.compile(r"(?:[A-Z]{3,5} \d{4}|[A-Z]{3,5} \d\.\d|W3C's PNG specification), $")


def places_of(page: str) -> set[str]:
    """What the text of a page can be cited for, such as ``section 5.1`` and ``quirk 3``."""
    sections = re.findall(rf"^##+ ({_NUMBER}) ", page, re.MULTILINE)
    others = re.findall(r"^##+ (Quirk|Trap) (\d+): ", page, re.MULTILINE)
    return {f"section {number}" for number in sections} | {f"{kind.lower()} {number}" for kind, number in others}


def wrong_citations(text: str, places: dict[str, set[str]]) -> list[str]:
    """Citations in ``text`` that name nothing, or have another form than this one.

    Args:
        text: Of a source file or a page.
        places: What ``architecture`` and ``protocol`` can be cited for.
    """
    if not _WORDS.search(text):
        return []
    # A citation may run over the end of a line, in a comment too.
    joined = " ".join(line.strip().lstrip("#/* ") for line in text.splitlines())
    wrong = [
        citation[0]
        for citation in _CITATION.finditer(joined)
        if not set(_named(citation["kind"], citation["numbers"])) <= places[citation["page"]]
    ]
    rest = _CITATION.sub("", joined)
    for other in _OTHER.finditer(rest):
        before = rest[max(0, other.start() - 40) : other.start()]
        if not _SOURCE.search(before):
            wrong.append(before + other[0])
    return wrong


def _named(kind: str, numbers: str) -> Iterator[str]:
    """All places that ``1, 3.1 to 3.4 and 7`` stands for."""
    for part in re.split(r", | and ", numbers):
        first, _, last = part.partition(" to ")
        chapter, dot, start = first.rpartition(".")
        for number in range(int(start), int((last or first).rpartition(".")[2]) + 1):
            yield f"{kind} {chapter}{dot}{number}"


@pytest.fixture(scope="module")
def places(project: Path) -> dict[str, set[str]]:
    return {Path(page).stem: places_of((project / page).read_text()) for page in PAGES}


def _cited_from(project: Path) -> Iterator[Path]:
    for root in ROOTS:
        for path in sorted((project / root).rglob("*")):
            is_page = path.parent == project / "docs" / "spec"
            if path.suffix in SUFFIXES and path.name != Path(__file__).name and not is_page:
                yield path


def test_every_citation_names_a_place_that_exists(project: Path, places: dict[str, set[str]]) -> None:
    wrong = [
        f"{path.relative_to(project)}: {citation}"
        for path in _cited_from(project)
        for citation in wrong_citations(path.read_text(encoding="utf-8"), places)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_cite_themselves_and_each_other_rightly(
    project: Path, places: dict[str, set[str]], page: str
) -> None:
    text = re.sub(r"\s*\n\s*", " ", (project / page).read_text())
    for citation in re.finditer(rf"(?:(?P<page>architecture|protocol)\.md, )?{_PLACES}", text):
        named = set(_named(citation["kind"], citation["numbers"]))
        assert named <= places[citation["page"] or Path(page).stem], citation[0]


def test_traps_and_quirks_are_numbered_from_1(places: dict[str, set[str]]) -> None:
    numbers = {kind: [p for page in places.values() for p in page if p.startswith(kind)] for kind in ("quirk", "trap")}
    for kind, named in numbers.items():
        assert sorted(named) == sorted(f"{kind} {number}" for number in range(1, len(named) + 1))


def test_right_citations_pass() -> None:
    places = {"architecture": {"section 7", "section 8", "quirk 3"}, "protocol": {"section 4.1", "trap 22"}}
    text = """See docs/spec/architecture.md, sections 7 and 8, and docs/spec/architecture.md, sections 7 to 8.
    # Also docs/spec/protocol.md, section
    # 4.1, docs/spec/protocol.md, trap 22 and docs/spec/architecture.md, quirk 3; and the paper, CVPR 2021, section 3.
    [The flip test](spec/protocol.md#41-heatmaps) and [spec/protocol.md, section 4.1](spec/protocol.md#41-heatmaps)."""
    assert wrong_citations(text, places) == []


@pytest.mark.parametrize(
    "text",
    [
        "docs/spec/architecture.md, section 9",
        "docs/spec/architecture.md, sections 6 to 8",
        "docs/spec/protocol.md, section 4.2",
        "docs/spec/protocol.md, trap 3",
        "protocol.md, section 4.1",
        "architecture specification, section 7",
        "written by the protocol\n    specification",
        "Section 7: the fuse layer",
        "as in trap 22",
    ],
)
def test_wrong_citations_are_found(text: str) -> None:
    places = {"architecture": {"section 7", "section 8", "quirk 3"}, "protocol": {"section 4.1", "trap 22"}}
    assert wrong_citations(text, places)
