"""The documentation site's navigation, ``llms.txt`` and Markdown pages."""

import re
from pathlib import Path

import pytest
from docs.site import navigation

PROJECT = Path(__file__).resolve().parents[1]
DOCS = PROJECT / "docs"
INDEX = """# Title

One sentence,
over two lines.

## Use

- [Photos](predict.md): options
- [Elsewhere](https://example.org): is no page

## More

- [API](api/README.md): names
"""


def test_sections_are_those_with_pages() -> None:
    entry = navigation.Entry
    assert navigation.read_sections(INDEX) == {
        "Use": [entry("Photos", "predict.md", "options")],
        "More": [entry("API", "api/README.md", "names")],
    }
    with pytest.raises(ValueError, match="no section above it"):
        navigation.read_sections("- [Photos](predict.md): options")


def test_menus_name_the_pages() -> None:
    menu = navigation.menus(navigation.read_sections(INDEX))
    assert re.findall(r"^(\w+) <(.+)>$", menu, re.MULTILINE) == [("Photos", "predict"), ("API", "api/README")]
    assert re.findall(r"^:caption: (.+)$", menu, re.MULTILINE) == ["Use", "More"]


def test_llms_text_has_title_summary_and_links() -> None:
    assert navigation.llms_text(INDEX) == (
        "# Title\n\n> One sentence, over two lines.\n\n## Use\n\n- [Photos](predict.md): options\n\n"
        "## More\n\n- [API](api/README.md): names\n"
    )


def test_description_is_the_first_paragraph_without_markup() -> None:
    page = (
        '# Title\n\n![picture](a.png)\n\n```sh\nrun\n```\n\nSee [the "page"](b.md) of `x` <now>,\n**please**.\n\nMore.'
    )
    assert navigation.description(page) == "See the page of x now, please."
    assert navigation.description("# Only a title\n") == ""


def test_links_to_what_is_not_on_the_site_become_text(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    (docs / "howto").mkdir(parents=True)
    for name in ("README.md", "recipe.py", "docs/page.md"):
        (tmp_path / name).touch()
    page = "[a](../../README.md#title) [b](../../recipe.py) [c](../page.md) [d](../../) [e](../absent.md)"
    kept = "a [b](../../recipe.py) [c](../page.md) d [e](../absent.md)"
    assert navigation.without_outside_links(page, docs / "howto", docs) == kept


def test_api_pages_become_docstrings() -> None:
    page = "# Title\n\n```{eval-rst}\n.. autoclass:: litehrnet.Poses\n   :members:\n```\n"
    text = navigation.with_docstrings(page)
    assert "eval-rst" not in text
    assert "## litehrnet.Poses\n" in text
    assert "### litehrnet.Poses.to_coco\n" in text
    assert "People found in one photo" in text


def test_every_page_is_in_the_navigation() -> None:
    """In the lists of docs/index.md, or in a folder whose README.md is."""
    sections = navigation.read_sections((DOCS / "index.md").read_text())
    listed = {entry.page for entries in sections.values() for entry in entries}
    missing = []
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS)
        if name.as_posix() not in {*listed, "index.md"} and (name.parent / "README.md").as_posix() not in listed:
            missing.append(name.as_posix())
    assert missing == []
    assert [page for page in listed if not (DOCS / page).is_file()] == []
