"""Write a configuration as a recipe file, and list what differs from the recipe it came from."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from litehrnet.config.schema import SET_BY_READER, RunConfig


def recipe_text(config: RunConfig, changes: list[str]) -> str:
    """Write a recipe that ``read_recipe`` reads as ``config``, with all settings but those still to be fitted.

    Args:
        config: Any configuration.
        changes: Lines for the comment at the top, from ``differences``.
    """
    head = "\n".join(f"#   {line}" for line in changes) or "#   nothing"
    named = [f.name for f in fields(config) if f.name not in ("name", *SET_BY_READER)]
    lines = [f"{name} = {_text(getattr(config, name), '', name, config.fitted)}" for name in named]
    return f"# {config.name}, all settings. Changed against the recipe:\n{head}\n\n" + "\n".join(lines) + "\n"


def differences(config: RunConfig, recipe: RunConfig) -> list[str]:
    """List the values of ``config`` that differ from ``recipe``, each as ``key: old -> new``."""
    old, new = dict(settings(recipe)), dict(settings(config))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return [f"{key}: {old.get(key)!r} -> {new.get(key)!r}" for key in keys]


def settings(config: RunConfig) -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of every setting that recipes state."""
    for f in fields(config):
        if f.name not in SET_BY_READER:
            yield from _flat(getattr(config, f.name), f.name)


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if is_dataclass(value) and not isinstance(value, type):
        for f in fields(value):
            yield from _flat(getattr(value, f.name), f"{key}.{f.name}" if key else f.name)
    elif isinstance(value, tuple) and any(is_dataclass(item) for item in value):
        for index, item in enumerate(value):
            yield from _flat(item, f"{key}.{index}")
    else:
        yield key, value


def _text(value: Any, indent: str, key: str = "", left_out: tuple[str, ...] = ()) -> str:
    inside = indent + "    "
    if is_dataclass(value) and not isinstance(value, type):
        below = {f.name: f"{key}.{f.name}" for f in fields(value)}
        parts = [
            f"{inside}{name}={_text(getattr(value, name), inside, path, left_out)},\n"
            for name, path in below.items()
            if path.removeprefix("training.") not in left_out
        ]
        return f"dict(\n{''.join(parts)}{indent})"
    if isinstance(value, tuple) and any(is_dataclass(item) for item in value):
        return "(\n" + "".join(f"{inside}{_text(item, inside)},\n" for item in value) + f"{indent})"
    return repr(value)
