"""Read values from the nested dictionaries of an mmpose config, strictly.

Problems are collected, so that one error names them all. Keys that were not read are unknown.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

_Value = TypeVar("_Value")

REQUIRED = object()


@dataclass
class Remarks:
    """Errors and notes collected while reading a configuration.

    Attributes:
        problems: Reasons why the configuration cannot be used.
        notes: Harmless corrections and omissions.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Section:
    """A dictionary in a configuration; it records which of its keys are known.

    Methods that read a value return ``default`` if the key is missing, and a value of the right type if it is wrong.
    A wrong value, or a missing one without default, becomes a problem.

    Args:
        values: The dictionary; anything else is a problem.
        name: Its dotted key; empty for the whole file.
        remarks: Collects problems and notes.
    """

    def __init__(self, values: Any, name: str, remarks: Remarks) -> None:
        self.name, self.remarks = name, remarks
        self.is_dict = isinstance(values, Mapping)
        self.values: dict[str, Any] = dict(values) if self.is_dict else {}
        if not self.is_dict:
            self.problem("", f"is {short(values)} (expected a dictionary)")
        self._known: set[str] = set()
        self._sections: list[Section] = []

    def problem(self, key: str, text: str) -> None:
        """Add a problem with the value of ``key``, or with the section if ``key`` is empty."""
        self.remarks.problems.append(f"{self.path(key)} {text}")

    def path(self, key: str) -> str:
        """Return the dotted name of a key of this section."""
        return ".".join(part for part in (self.name, key) if part)

    def has(self, key: str) -> bool:
        """Return whether the key exists and is not None, and mark it as known."""
        self._known.add(key)
        return self.values.get(key) is not None

    def section(self, key: str, default: Any = REQUIRED) -> "Section":
        """Read the dictionary at ``key``; None counts as missing."""
        values = self.values[key] if self.has(key) else default
        if values is REQUIRED:
            self._missing(key)
            section = Section({}, self.path(key), self.remarks)
            section.is_dict = False  # its missing keys are not problems of their own
        else:
            section = Section(values, self.path(key), self.remarks)
        self._sections.append(section)
        return section

    def sections(self, key: str) -> list["Section"]:
        """Read the list of dictionaries at ``key``; empty if it is missing or wrong."""
        self._known.add(key)
        values = self.values.get(key)
        if values is None:
            self._missing(key)
        elif not isinstance(values, list | tuple):
            self.problem(key, f"is {short(values)} (expected a list of dictionaries)")
        parts = values if isinstance(values, list | tuple) else ()
        sections = [Section(part, self.path(f"{key}.{index}"), self.remarks) for index, part in enumerate(parts)]
        self._sections += sections
        return sections

    def number(self, key: str, default: Any = REQUIRED) -> float:
        """Read a number."""
        return float(self._take(key, default, 0.0, "a number", lambda v: type(v) in (int, float)))

    def whole(self, key: str, default: Any = REQUIRED, least: int = 0) -> int:
        """Read a whole number, ``least`` or more."""
        wanted = f"a whole number of {least} or more"
        return int(self._take(key, default, least, wanted, lambda v: type(v) is int and v >= least))

    def flag(self, key: str, default: Any = REQUIRED) -> bool:
        """Read True or False."""
        return bool(self._take(key, default, False, "True or False", lambda v: isinstance(v, bool)))

    def text(self, key: str, default: Any = REQUIRED) -> str:
        """Read a string."""
        return str(self._take(key, default, "", "a string", lambda v: isinstance(v, str)))

    def optional_text(self, key: str) -> str | None:
        """Read a string; None if it is missing, None or empty."""
        return self.text(key) or None if self.has(key) else None

    def numbers(self, key: str, count: int, default: Any = REQUIRED) -> tuple[float, ...]:
        """Read ``count`` numbers."""
        value = self._take(key, default, (0.0,) * count, f"{count} numbers", lambda v: _all(v, (int, float), count))
        return tuple(float(number) for number in value)

    def wholes(self, key: str, count: int | None = None) -> tuple[int, ...]:
        """Read ``count`` whole numbers above 0; any number of them if ``count`` is None."""
        wanted = f"{count} whole numbers above 0" if count else "whole numbers above 0"
        value = self._take(
            key, REQUIRED, (1,) * (count or 0), wanted, lambda v: _all(v, (int,), count) and all(n > 0 for n in v)
        )
        return tuple(value)

    def one_of(self, key: str, allowed: tuple[_Value, ...], default: Any = REQUIRED) -> _Value:
        """Read one of some values; a list equals a tuple with the same elements."""
        wanted = " or ".join(repr(value) for value in allowed)
        value = self._take(
            key, default, allowed[0], wanted, lambda v: any(same(v, each) for each in allowed), convert=tupled
        )
        result: _Value = value
        return result

    def fixed(self, **values: Any) -> None:
        """Check keys that must have these values, which are also their defaults."""
        for key, value in values.items():
            self.one_of(key, (value,), value)

    def given(self, **values: Any) -> None:
        """Check keys that must be there and have these values."""
        for key, value in values.items():
            self.one_of(key, (value,))

    def unused(self, *keys: str) -> None:
        """Mark keys that have no effect as known."""
        self._known.update(keys)

    def close(self) -> None:
        """Add a problem for each unknown key, here and in the inner sections."""
        for key in self.values:
            if key not in self._known:
                near = difflib.get_close_matches(str(key), sorted(self._known), n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                self.problem(str(key), f"is unknown{hint}")
        for section in self._sections:
            section.close()

    def _missing(self, key: str) -> None:
        if self.is_dict:
            self.problem(key, "is missing")

    def _take(
        self,
        key: str,
        default: Any,
        instead: Any,
        wanted: str,
        fits: Callable[[Any], bool],
        convert: Callable[[Any], Any] = lambda value: value,
    ) -> Any:
        self._known.add(key)
        if key not in self.values:
            if default is REQUIRED:
                self._missing(key)
                return instead
            return default
        value = self.values[key]
        if fits(value):
            return convert(value)
        self.problem(key, f"is {short(value)} (expected {wanted})")
        return instead


def _all(value: Any, kinds: tuple[type, ...], count: int | None) -> bool:
    """Return whether ``value`` is a sequence of ``count`` values of exactly these types."""
    fits = isinstance(value, list | tuple) and all(type(part) in kinds for part in value)
    return fits and count in (None, len(value))


def tupled(value: Any) -> Any:
    """Convert lists to tuples, also inner ones."""
    return tuple(tupled(part) for part in value) if isinstance(value, list | tuple) else value


def same(first: Any, second: Any) -> bool:
    """Return whether two values are equal; True differs from 1, but 1 equals 1.0 and a list equals a tuple."""
    booleans = isinstance(first, bool), isinstance(second, bool)
    return booleans[0] == booleans[1] and bool(tupled(first) == tupled(second))


def short(value: Any) -> str:
    """Format a value for a message."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
