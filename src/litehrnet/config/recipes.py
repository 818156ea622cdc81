"""Read recipes: files in Python syntax with plain values, of which nothing is executed.

A recipe consists of assignments ``name = value``, with the fields of ``RunConfig`` as names. A value is a number, a
string, True, False, None, a tuple, a list, or ``dict(field=value, ...)``.
"""

import ast
import difflib
import types
import typing
import warnings
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from litehrnet.config.fitting import left_out
from litehrnet.config.overrides import apply_overrides
from litehrnet.config.ranges import check_numbers
from litehrnet.config.schema import SET_BY_READER, RunConfig, with_outputs
from litehrnet.config.tasks import check_task
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.variants import check_input_size, find_variant
from litehrnet.weights.zoo import bundled_files

_Dataclass = TypeVar("_Dataclass")

_LONGEST_FILE = 200_000

_OLD_NAMES = {"validation.dataset": "validation.format", "test.dataset": "test.format"}
"""Names of settings in older recipes."""


def read_recipe(target: str | Path, overrides: Mapping[str, Any] | None = None) -> RunConfig:
    """Read a recipe from a file, or a bundled one by name.

    Args:
        target: Path of a ``.py`` file, or a name such as ``litehrnet_18_coco_256x192``.
        overrides: Values that replace the recipe's, by dotted key, such as ``{"training.batch_size": 16}``.

    Raises:
        UserError: The recipe is missing or invalid.
    """
    path = recipe_path(target)
    values = read_assignments(parse_python(read_text(path), path), path)
    return with_outputs(make_recipe(values, path, overrides or {}))


def make_recipe(assignments: Mapping[str, Any], path: Path, overrides: Mapping[str, Any]) -> RunConfig:
    """Make the configuration of a recipe; its keypoints or classes are not resolved yet.

    Args:
        assignments: Values in the recipe, see ``read_assignments``.
        path: The recipe's file, for its name and for messages.
        overrides: Values that replace the recipe's, by dotted key.

    Raises:
        UserError: A setting is unknown, missing, of the wrong type or out of range.
    """
    renamed = {_OLD_NAMES.get(key, key): value for key, value in overrides.items()}
    values = apply_overrides({"name": path.stem, **_with_new_names(assignments)}, renamed)
    config = build(RunConfig, values, str(path))
    check_numbers(config, str(path))
    find_variant(config.variant)
    check_input_size(*config.input_size_wh)
    check_task(config, path)
    _check_augmentation(config, path)
    return _for_own_keypoints(config, values) if config.has_own_keypoints else config


def _for_own_keypoints(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """Complete a recipe for own keypoints: start from bundled weights, and note the settings to choose by the data."""
    has_weights = config.variant in {path.stem for path in bundled_files()}
    start = config.variant if has_weights and "load_from" not in values else config.load_from
    return replace(config, load_from=start, fitted=left_out(values.get("training", {})))


def _with_new_names(assignments: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the settings of an older recipe."""
    values = dict(assignments)
    for old, new in _OLD_NAMES.items():
        (section, old_name), (_, new_name) = old.split("."), new.split(".")
        own = values.get(section)
        if isinstance(own, dict) and old_name in own:
            values[section] = {new_name if key == old_name else key: value for key, value in own.items()}
    return values


def _check_augmentation(config: RunConfig, path: Path) -> None:
    """Refuse samples without labels."""
    anywhere = config.augmentation.anywhere_probability
    if anywhere > 0 and config.distill is None:
        raise UserError(
            f"{path}: augmentation.anywhere_probability is {anywhere:g}, but such crops have no labels (expected "
            "distill.teacher as well)"
        )


def recipe_path(target: str | Path) -> Path:
    """Resolve a path, or the name of a bundled recipe, to a file.

    Raises:
        UserError: There is no recipe of that name.
    """
    path = Path(target)
    return path if path.suffix else _find_recipe(str(target))


def recipe_names() -> list[str]:
    """List the names of the bundled recipes."""
    return sorted(path.stem for path in _recipe_folder().rglob("*.py"))


def _recipe_folder() -> Path:
    package = Path(__file__).resolve().parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parents[1] / "configs"


def _find_recipe(name: str) -> Path:
    for path in _recipe_folder().rglob("*.py"):
        if path.stem == name:
            return path
    raise UserError(f"{name}: unknown recipe{_suggestion(name, recipe_names())}")


def _suggestion(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else f" (expected one of {', '.join(known)})"


def read_text(path: Path) -> str:
    """Read a configuration file.

    Raises:
        UserError: The file is missing, not text, or too long for a configuration.
    """
    content = read_bytes(path)
    if len(content) > _LONGEST_FILE:
        raise UserError(
            f"{path}: {len(content):,} bytes, too long for a configuration (expected up to {_LONGEST_FILE:,})"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a recipe (not text in UTF-8)") from error


def parse_python(text: str, path: Path) -> ast.Module:
    """Parse a configuration file to a syntax tree; nothing is executed.

    Raises:
        UserError: ``text`` is not Python, or nested too deeply.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in strings, which readers of the file cannot change
            return ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path}: not a recipe ({error})") from error
    except (RecursionError, MemoryError) as error:
        raise UserError(f"{path}: not a recipe (nested too deeply)") from error


def read_assignments(tree: ast.Module, path: Path) -> dict[str, Any]:
    """Read the values that a recipe assigns.

    Raises:
        UserError: The recipe holds anything but assignments of plain values.
    """
    values: dict[str, Any] = {}
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                values[name] = _plain_value(value, path)
            case ast.Expr(value=ast.Constant(value=str())):
                pass  # a docstring
            case _:
                raise _not_plain(statement, path)
    return values


def _plain_value(node: ast.expr, path: Path) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None):
            return node.value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return tuple(_plain_value(element, path) for element in elements)
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
            if all(keyword.arg for keyword in keywords):
                return {str(k.arg): _plain_value(k.value, path) for k in keywords}
    raise _not_plain(node, path)


def _not_plain(node: ast.stmt | ast.expr, path: Path) -> UserError:
    return UserError(
        f"{path}, line {node.lineno}: '{ast.unparse(node)[:60]}' is not a plain value (expected "
        "assignments of numbers, strings, tuples and dict(...))"
    )


def build(kind: type[_Dataclass], values: Mapping[str, Any], source: str, inside: str = "") -> _Dataclass:
    """Make a dataclass from plain values, strictly.

    Args:
        kind: A frozen dataclass.
        values: Values by field; nested dataclasses are mappings.
        source: Name of the file, for the message.
        inside: Dotted name of the field that holds this dataclass, for the message.

    Raises:
        UserError: A field is missing, unknown (the message suggests a name), or of the wrong type.
    """
    hints = typing.get_type_hints(kind)
    known = {f.name: f for f in fields(kind) if f.name not in SET_BY_READER}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UserError(f"{source}: unknown key {inside}{name}{_suggestion(name, list(known))}")
    for name, f in known.items():
        if name not in values and f.default is MISSING and f.default_factory is MISSING:
            raise UserError(f"{source}: {inside}{name} is missing")
    return kind(**{name: _typed(hints[name], value, source, inside + name) for name, value in values.items()})


def _typed(hint: Any, value: Any, source: str, name: str) -> Any:
    """Return ``value`` as the type ``hint``, or raise a UserError that names the field ``name``."""
    if is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return build(hint, value, source, f"{name}.")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType and value is None and types.NoneType in arguments:
        return None
    if origin is types.UnionType:
        (hint,) = (choice for choice in arguments if choice is not types.NoneType)
        return _typed(hint, value, source, name)
    if origin is typing.Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, tuple) and arguments[-1] is Ellipsis:
        return tuple(_typed(arguments[0], v, source, f"{name}.{i}") for i, v in enumerate(value))
    if origin is tuple and isinstance(value, tuple) and len(value) == len(arguments):
        return tuple(_typed(h, v, source, name) for h, v in zip(arguments, value, strict=True))
    if hint is float and _fits(int, value):
        return float(value)
    if origin is None and _fits(hint, value):
        return value
    if origin is tuple and arguments[-1] is Ellipsis and not isinstance(value, tuple):
        raise UserError(f"{source}: {name} is {value!r} (expected several in brackets, or one and a comma: (...,))")
    wanted = " or ".join(map(repr, arguments)) if origin is typing.Literal else _hint_text(hint)
    raise UserError(f"{source}: {name} is {value!r} (expected {wanted})")


def _fits(hint: Any, value: Any) -> bool:
    # bool is a subclass of int, but True is not a number of pixels.
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _hint_text(hint: Any) -> str:
    if is_dataclass(hint) and isinstance(hint, type):
        return f"dict({', '.join(f.name + '=...' for f in fields(hint))})"
    return str(hint) if typing.get_origin(hint) else hint.__name__
