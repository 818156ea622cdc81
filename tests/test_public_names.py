"""Every public name is documented: on a page of docs/api, and with an example that ``make doctest`` runs."""

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[1]
EXPORTING = ("litehrnet", "litehrnet.models", "litehrnet.runtimes")
DOCUMENTED = {
    name
    for page in sorted((PROJECT / "docs" / "api").glob("*.md"))
    for name in re.findall(r"^\.\. auto\w+:: ([\w.]+)$", page.read_text(), re.MULTILINE)
}


def _find(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _exported() -> Iterator[str]:
    """Names of the exported classes and functions; constants such as ``__version__`` and unions are neither."""
    for module in EXPORTING:
        for name in importlib.import_module(module).__all__:
            if inspect.isclass(_find(f"{module}.{name}")) or inspect.isfunction(_find(f"{module}.{name}")):
                yield f"{module}.{name}"


def _without_example(thing: Any) -> list[str]:
    """The thing or its public methods that no example shows."""
    document = inspect.getdoc(thing) or ""
    missing = [] if ">>> " in document else [thing.__name__]
    for name, method in vars(thing).items() if inspect.isclass(thing) else ():
        is_method = inspect.isfunction(method) or isinstance(method, classmethod | staticmethod)
        if name.startswith("_") or not is_method or not method.__doc__:
            continue
        if f".{name}(" not in document and ">>> " not in method.__doc__:
            missing.append(f"{thing.__name__}.{name}")
    return missing


def test_exported_names_are_on_a_page() -> None:
    on_pages = {id(_find(name)) for name in DOCUMENTED}
    assert [name for name in _exported() if id(_find(name)) not in on_pages] == []


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_names_have_examples(name: str) -> None:
    assert _without_example(_find(name)) == []


def test_a_missing_example_is_found() -> None:
    class Shown:
        """A class.

        >>> Shown().shown()
        """

        def shown(self) -> None:
            """Is in the class's example."""

        def hidden(self) -> None:
            """Is in no example."""

        def _private(self) -> None:
            """Needs none."""

    assert _without_example(Shown) == ["Shown.hidden"]
    assert _without_example(Shown.hidden) == ["hidden"]
