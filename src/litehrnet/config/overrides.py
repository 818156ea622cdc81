"""Overrides from the command line, such as ``training.batch_size=16`` (docs/spec/protocol.md, section 5.5)."""

import ast
import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from litehrnet.errors import UserError

_WORDS = {"true": True, "false": False, "none": None}
# A quoted string, or a run without brackets and commas that does not begin with a quote.
_PART = re.compile(r"""'[^']*'|"[^"]*"|[^\s,()\[\]'"][^,()\[\]]*""")


def parse_overrides(assignments: Sequence[str]) -> dict[str, Any]:
    """Parse ``key=value`` words; the last one wins if a key is repeated.

    A value is a whole number, a number, true, false or none (in any case), or a string. ``a,b``, ``[a,b]`` and
    ``(a,b)`` are sequences, which may be nested. Quotes around a string are removed.

    Raises:
        UserError: A word is not such an assignment, or its value is not a sequence although it begins with a bracket.
    """
    parsed = {}
    for word in assignments:
        key, equals, text = word.partition("=")
        if not equals or not all(part.isidentifier() or part.isdigit() for part in key.split(".")):
            raise UserError(f"{word}: not an override (expected a.b=value, such as training.batch_size=16)")
        parsed[key] = _parse_value(text.strip(), word)
    return parsed


def _parse_value(text: str, word: str) -> Any:
    if _PART.fullmatch(text):
        return _parse_word(text)
    try:
        value = _as_tuples(ast.literal_eval(_PART.sub(lambda match: repr(_parse_word(match[0])), text)))
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        if text.startswith(("[", "(")):
            raise UserError(f"{word}: not a sequence (expected one such as [1,2])") from error
        return text  # such as the name of a file with a bracket in it
    return (value,) if text.startswith("(") and not isinstance(value, tuple) else value  # Python's (1) is 1


def _parse_word(text: str) -> Any:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return _WORDS.get(text.lower(), text)


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value


def apply_overrides(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Replace some values in nested mappings and sequences.

    Args:
        values: Nested values; they are not changed.
        overrides: New values by dotted key; a number in a key is an index of a sequence.

    Raises:
        UserError: A key leads into a value without parts, or beyond the end of a sequence.
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
            raise UserError(f"{key}: there is no element {first} (expected an index within the sequence)")
        items = list(old)
        items[int(first)] = _replaced(items[int(first)], rest, value, key)
        return type(old)(items)
    if old is not None and not isinstance(old, Mapping):
        raise UserError(f"{key}: {old!r} has no parts (expected a key of the configuration)")
    fields = dict(old or {})
    fields[first] = _replaced(fields.get(first), rest, value, key)
    return fields
