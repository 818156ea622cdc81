"""Overrides of an mmpose config's helper names, such as ``data_cfg.image_size`` (docs/spec/protocol.md, trap 22).

mmpose overrides a helper after evaluating the file, when all values derived from it exist already: nothing changes.
Here the override takes effect where the file assigns the helper, and a note names the settings that it changes.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from litehrnet.config.overrides import apply_overrides
from litehrnet.errors import UserError

_SAID = 3


def helper_notes(
    values: Mapping[str, Any],
    overrides: Mapping[str, Any],
    known_names: frozenset[str],
    evaluate: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    source: str,
) -> list[str]:
    """Make one note for each override of a helper: the settings that it changes.

    Args:
        values: The file's values without overrides.
        overrides: New values of helpers, by dotted key.
        known_names: Names that mmpose reads.
        evaluate: Returns the file's values with some overrides.
        source: Name of the file, for messages.

    Raises:
        UserError: An override would change only unused values.
    """
    before = dict(_flat({name: value for name, value in values.items() if name in known_names}))
    notes = []
    for key, value in overrides.items():
        changed = evaluate({key: value})
        after = dict(_flat({name: each for name, each in changed.items() if name in known_names}))
        reached = [name for name in after if name not in before or before[name] != after[name]]
        if reached:
            notes.append(_note(key, reached))
        elif apply_overrides(dict(values), {key: value}) != values:
            known = [f"{name}{'.' if inner else ''}{inner}" for name in values for inner, _ in _flat(values[name])]
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" (did you mean {near[0]}?)" if near and near[0] != key else ""
            raise UserError(f"{source}: nothing in the file uses {key}{hint}")
    return notes


def _note(key: str, reached: list[str]) -> str:
    others = len(reached) - _SAID
    listed = ", ".join(reached[:_SAID]) + (f" and {others} more" if others > 0 else "")
    return f"{key} is set where the file assigns {key.split('.')[0]}, so it changes {listed}"


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of all values except dictionaries and lists of dictionaries."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _flat(part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(part, Mapping) for part in value):
        for index, part in enumerate(value):
            yield from _flat(part, f"{key}.{index}" if key else str(index))
    else:
        yield key, value
