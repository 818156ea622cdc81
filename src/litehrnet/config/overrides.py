"""Overrides from the command line, such as ``training.batch_size=16`` (docs/spec/protocol.md, section 5.5)."""

from collections.abc import Mapping, Sequence
from typing import Any

from litehrnet.errors import UserError

_BRACKETS = {"[": "]", "(": ")"}
_WORDS = {"true": True, "false": False, "none": None}


def parse_overrides(assignments: Sequence[str]) -> dict[str, Any]:
    """Parse ``key=value`` words; of a repeated key the last one counts.

    A value is a whole number, a number, true, false or none (in any case), otherwise a string; ``a,b``, ``[a,b]`` and
    ``(a,b)`` are sequences, which may be nested. Quotes around a string are removed.

    Raises:
        UserError: A word is no such assignment.
    """
    parsed = {}
    for word in assignments:
        key, equals, text = word.partition("=")
        if not equals or not all(part.isidentifier() or part.isdigit() for part in key.split(".")):
            raise UserError(f"{word}: no override (expected a.b=value, such as training.batch_size=16)")
        parsed[key] = parse_value(text)
    return parsed


def parse_value(text: str) -> Any:
    """One value of an override; see ``parse_overrides``.

    Raises:
        UserError: A bracket is not closed.
    """
    text = text.strip()
    parts = _split(text)
    if len(parts) > 1:
        return tuple(parse_value(part) for part in parts if part.strip())
    if text[:1] in _BRACKETS:
        inner = text[1:-1].strip()
        return tuple(parse_value(part) for part in _split(inner) if part.strip())
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return _WORDS.get(text.lower(), text)


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no bracket; two parts also where a trailing comma makes a sequence."""
    parts, closers = [""], ""
    for letter in text:
        if letter in _BRACKETS:
            closers += _BRACKETS[letter]
        elif closers and letter == closers[-1]:
            closers = closers[:-1]
        elif letter in _BRACKETS.values():
            raise UserError(f"{text}: a bracket is closed that was not opened")
        if letter == "," and not closers:
            parts.append("")
        else:
            parts[-1] += letter
    if closers:
        raise UserError(f"{text}: a bracket is not closed (expected {closers[::-1]} at the end)")
    return parts


def apply_overrides(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings and sequences with some values replaced.

    Args:
        values: Left as they are.
        overrides: New values by dotted key; a number in a key is an index of a sequence.

    Raises:
        UserError: A key goes through a value that has no parts, or beyond the end of a sequence.
    """
    result = dict(values)
    for key, value in overrides.items():
        first, *rest = key.split(".")
        result[first] = _replaced(result.get(first), rest, value, key)
    return result


def _replaced(old: Any, path: list[str], value: Any, key: str) -> Any:
    if not path:
        return value
    first, rest = path[0], path[1:]
    if first.isdigit():
        if not isinstance(old, tuple | list) or int(first) >= len(old):
            raise UserError(f"{key}: there is no element {first} to override")
        items = list(old)
        items[int(first)] = _replaced(items[int(first)], rest, value, key)
        return type(old)(items)
    if old is not None and not isinstance(old, Mapping):
        raise UserError(f"{key}: {old!r} has no parts to override")
    fields = dict(old or {})
    fields[first] = _replaced(fields.get(first), rest, value, key)
    return fields
