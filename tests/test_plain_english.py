"""README and docs are plain English: short sentences, and none of the habits that CONTRIBUTING.md names."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PAGES = [
    PROJECT / "README.md",
    *sorted(page for page in (PROJECT / "docs").rglob("*.md") if "log" not in page.relative_to(PROJECT / "docs").parts),
]
LONGEST_AVERAGE, LONGEST_SENTENCE = 20, 31
HABITS = re.compile(
    r"\b(fetched|go(es|ing|ne)? on with|in the box|persons|colour\w*|centred?|centres?|normalis\w*"
    r"|initialis\w*|labell\w*|misspelt|licen[c]e)\b",
    re.IGNORECASE,
)


def _prose(text: str) -> list[str]:
    """Paragraphs and list items without code, tables, headings, comments and link targets."""
    text = re.sub(r"^ *```.*?^ *```", "\n\n", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^ *(\||#).*$", "\n", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]+`", "CODE", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^ *([-*]|\d+\.) ", "\n\n", text, flags=re.MULTILINE)
    return [" ".join(block.split()) for block in re.split(r"\n\s*\n", text) if block.strip()]


def sentences(text: str) -> list[str]:
    """Sentences of a page in Markdown."""
    return [sentence for block in _prose(text) for sentence in re.split(r"(?<=[.!?])[)*]* +(?=[\"(*]*[A-Z0-9])", block)]


def _words(sentence: str) -> int:
    return len(re.findall(r"\w[\w'.,/-]*", sentence))


def test_sentences_are_told_apart() -> None:
    page = "# A title\n\nOne `a. b. c` two. Three [four](five.md)?\n\n- Six.\n- seven eight\n\n| no | no |\n"
    page += "```\nNo.\n```\n"
    assert sentences(page) == ["One CODE two.", "Three four?", "Six.", "seven eight"]
    assert _words("It took 2.75 s, and/or 3.") == 6


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_sentences_are_short(page: Path) -> None:
    counted = sorted(((_words(sentence), sentence) for sentence in sentences(page.read_text())), reverse=True)
    too_long = [f"{words}: {sentence}" for words, sentence in counted if words > LONGEST_SENTENCE]
    assert not too_long, "\n".join(too_long)
    average = sum(words for words, _ in counted) / len(counted)
    longest = "\n".join(f"{words}: {sentence}" for words, sentence in counted[:5])
    assert average < LONGEST_AVERAGE, f"{average:.1f} words a sentence; the longest are:\n{longest}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_old_habits_do_not_come_back(page: Path) -> None:
    found = [match[0] for block in _prose(page.read_text()) for match in HABITS.finditer(block)]
    assert not found
