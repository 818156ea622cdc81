"""The site's navigation, from the lists of links in docs/index.md: menu, ``llms.txt`` and descriptions of pages.

Pages in a folder with a ``README.md`` are in the menu below that page.
"""

import inspect
import posixpath
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_SECTION = re.compile(r"^## (.+)$")
_ENTRY = re.compile(r"^- \[([^\]]+)\]\(([^)#\s]+\.md)\): (.+)$")
_DIRECTIVE = re.compile(r"^\.\. auto(?:class|function|exception|data):: ([\w.]+)$", re.MULTILINE)
_OUTSIDE_LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#\s]*)(?:#[^)\s]*)?\)")
_RST_BLOCK = re.compile(r"^```\{eval-rst\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """A page in the navigation.

    Attributes:
        title: Text of the link.
        page: Path below docs, with its suffix.
        note: What the page is for.
    """

    title: str
    page: str
    note: str


def read_sections(index: str) -> dict[str, list[Entry]]:
    """Read the sections of the index page that have entries ``- [title](page.md): note``.

    Raises:
        ValueError: An entry is before the first section.
    """
    sections: dict[str, list[Entry]] = {}
    title = ""
    for line in index.splitlines():
        if found := _SECTION.match(line):
            title = found[1]
        elif found := _ENTRY.match(line):
            if not title:
                raise ValueError(f"{line}: no section above it (expected a line that starts with ##)")
            sections.setdefault(title, []).append(Entry(*found.groups()))
    return sections


def menus(sections: dict[str, list[Entry]]) -> str:
    """Write the hidden tables of contents that make the menu."""
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n"
        + "".join(f"{entry.title} <{entry.page.removesuffix('.md')}>\n" for entry in entries)
        + "```\n"
        for title, entries in sections.items()
    )


def llms_text(index: str) -> str:
    """Write ``llms.txt`` (https://llmstxt.org): title, summary and the sections, with links to the Markdown pages."""
    lines = index.splitlines()
    title = next(line for line in lines if line.startswith("# "))
    paragraphs = index.split("\n\n")
    summary = " ".join(next(text for text in paragraphs[1:] if text[:1].isalpha()).split())
    parts = [title, f"> {summary}"]
    for name, entries in read_sections(index).items():
        links = [f"- [{entry.title}]({entry.page}): {entry.note}" for entry in entries]
        parts.append("\n".join([f"## {name}", "", *links]))
    return "\n\n".join(parts) + "\n"


def description(page: str) -> str:
    """Return the first paragraph of a page without markup, for the HTML's ``description``."""
    text = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    plain = [block for block in text.split("\n\n") if block.strip() and block.strip()[0] not in "#|!-<>*"]
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", plain[0] if plain else "")
    return " ".join(re.sub(r"[`*\"<>]", "", words).split())


def without_outside_links(page: str, folder: Path, docs: Path) -> str:
    """Replace links to folders and pages outside of docs, which are not on the site, by their text."""

    def kept(link: re.Match[str]) -> str:
        target = (folder / link[2]).resolve()
        on_site = target.is_relative_to(docs) or (target.is_file() and target.suffix != ".md")
        return link[0] if on_site or not target.exists() else link[1]

    return _OUTSIDE_LINK.sub(kept, page)


def with_docstrings(page: str) -> str:
    """Replace the directives of an API page by the signatures and docstrings that they stand for."""
    return _RST_BLOCK.sub(lambda block: "\n".join(_described(name) for name in _DIRECTIVE.findall(block[1])), page)


def find_object(name: str) -> Any:
    """Import the object with a dotted name, such as ``litehrnet.integrations.rtmlib.Body``."""
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def _described(name: str) -> str:
    thing = find_object(name)
    parts = [f"## {name}\n", f"```\n{inspect.getdoc(thing) or ''}\n```\n"]
    if inspect.isclass(thing):
        for method, function in vars(thing).items():
            is_member = inspect.isfunction(function) or isinstance(function, classmethod | staticmethod | property)
            if is_member and not method.startswith("_") and function.__doc__:
                parts.append(f"### {name}.{method}\n\n```\n{inspect.cleandoc(function.__doc__)}\n```\n")
    return "\n".join(parts)


def _pages(app: Sphinx) -> Iterator[Path]:
    for name in sorted(app.env.found_docs):
        yield app.env.doc2path(name, base=False)


def _add_menu(app: Sphinx, docname: str, content: list[str]) -> None:
    docs = Path(app.srcdir)
    content[0] = without_outside_links(content[0], (docs / docname).parent, docs)
    if docname == app.config.root_doc:
        content[0] += menus(read_sections(content[0]))
    elif posixpath.basename(docname) == "README":
        folder = posixpath.dirname(docname)
        names = sorted(n for n in app.env.found_docs if posixpath.dirname(n) == folder and n != docname)
        content[0] += "\n```{toctree}\n:hidden:\n\n" + "".join(f"/{name}\n" for name in names) + "```\n"


def _add_meta(app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    if pagename not in app.env.found_docs:
        return
    text = description(Path(app.env.doc2path(pagename)).read_text(encoding="utf-8"))
    context["metatags"] = (
        f'<meta name="description" content="{text}">\n<meta name="robots" content="index, follow">\n'
        f'<link rel="alternate" type="text/markdown" href="{posixpath.basename(pagename)}.md">\n'
        + context.get("metatags", "")
    )


def _write_text(app: Sphinx, failure: Exception | None) -> None:
    """Write ``llms.txt`` and every page as Markdown, beside its HTML."""
    if failure is not None or app.builder.format != "html":
        return
    source, target = Path(app.srcdir), Path(app.outdir)
    for page in _pages(app):
        text = (source / page).read_text(encoding="utf-8")
        (target / page).write_text(with_docstrings(text), encoding="utf-8")
    index = (source / f"{app.config.root_doc}.md").read_text(encoding="utf-8")
    (target / "llms.txt").write_text(llms_text(index), encoding="utf-8")
    shutil.copytree(source / "pictures", target / "pictures", dirs_exist_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("source-read", _add_menu)
    app.connect("html-page-context", _add_meta)
    app.connect("build-finished", _write_text)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
