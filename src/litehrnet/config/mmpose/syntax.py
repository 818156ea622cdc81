"""Read the Python of mmpose configs without running it (docs/spec/protocol.md, section 5.5).

Such files build nested dictionaries. The supported syntax is: assignments, literals, ``dict(...)``,
``list``, ``tuple`` and ``range``, names, subscripts, f-strings, arithmetic, ``.copy()``, ``copy.deepcopy``,
``x['key'] = value`` and ``x.update(...)``. Other syntax is refused, and so are values that would grow without bounds.
"""

import ast
import copy
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litehrnet.config.overrides import apply_overrides
from litehrnet.errors import UserError

_LONGEST = 10_000  # characters of a string, elements of a list
_LARGEST = 2**63
_MOST_VALUES, _DEEPEST = 100_000, 50

_ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
# %-formats and f-string formats whose result is short.
_PERCENT = re.compile(r"%(?:%|[-+ #0]?\d{0,2}(?:\.\d{1,2})?[sdiefgr])")
_FORMAT = re.compile(r"[-+ 0<>^]{0,2}\d{0,2}(?:\.\d{1,2})?[sdefg%]?")


@dataclass(frozen=True)
class MmposeFile:
    """Values of an mmpose config.

    Attributes:
        values: Values by name, in the order of the file.
        helpers: Names that other assignments of the file refer to.
    """

    values: dict[str, Any]
    helpers: frozenset[str]


def interpret(tree: ast.Module, path: Path, overrides: Mapping[str, Any] | None = None) -> MmposeFile:
    """Build the values of an mmpose config.

    Args:
        tree: Syntax tree of the file.
        path: The file, for messages.
        overrides: New values by dotted key. They take effect where the file assigns the first name of the key, so
            that derived values follow.

    Raises:
        UserError: The file holds something other than the syntax above (named with its line), or builds too much.
    """
    interpreter = _Interpreter(path, overrides or {})
    try:
        for statement in tree.body:
            interpreter.run(statement)
    except RecursionError as error:
        raise UserError(f"{path}: nested too deeply") from error
    check_extent(interpreter.values, path)
    return MmposeFile(interpreter.values, frozenset(interpreter.read))


def check_extent(values: Any, path: Path) -> None:
    """Refuse values that are nested too deeply, into themselves, or too many, counted once per reference.

    Raises:
        UserError: They are.
    """
    waiting, count = [(values, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        count += len(parts)
        if count > _MOST_VALUES or depth > _DEEPEST:
            raise UserError(f"{path}: holds too many values, or nested too deeply (expected a configuration)")
        waiting += [(part, depth + 1) for part in parts]


def _root(node: ast.expr) -> str | None:
    """``a`` of ``a['b']['c']``."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


class _Interpreter:
    def __init__(self, path: Path, overrides: Mapping[str, Any]) -> None:
        self.values: dict[str, Any] = {}
        self.read: set[str] = set()
        self._path = path
        self._overrides = overrides

    def run(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign(targets=targets, value=node):
                value = self._value(node)
                for target in targets:
                    self._assign(target, value)
            case ast.Expr(value=ast.Constant(value=str())):
                pass  # a docstring
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=holder, attr="update")) as call):
                self._holder(holder, dict).update(self._dict(call))
                self._override(_root(holder))
            case ast.Import(names=[ast.alias(name="copy", asname=None)]):
                pass  # copy.deepcopy is understood without it
            case ast.ImportFrom(module="copy", level=0, names=[ast.alias(name="deepcopy", asname=None)]):
                pass
            case _:
                raise self._refusal(statement)

    def _assign(self, target: ast.expr, value: Any) -> None:
        match target:
            case ast.Name(id=name):
                self.values[name] = value
                self._override(name)
            case ast.Subscript(value=holder, slice=key):
                self._set_item(target, self._holder(holder, (dict, list)), self._value(key), value)
                self._override(_root(holder))
            case _:
                raise self._refusal(target)

    def _holder(self, node: ast.expr, kind: type | tuple[type, ...]) -> Any:
        """Return the container to change; this does not count as a reference to its name."""
        read = set(self.read)
        value = self._value(node, kind)
        self.read = read
        return value

    def _set_item(self, node: ast.expr, holder: Any, key: Any, value: Any) -> None:
        in_dict = isinstance(holder, dict) and isinstance(key, str)
        if not in_dict and not (isinstance(holder, list) and type(key) is int and -len(holder) <= key < len(holder)):
            raise self._refusal(node)
        holder[key] = value

    def _override(self, name: str | None) -> None:
        mine = {key: value for key, value in self._overrides.items() if key.split(".")[0] == name}
        if name is not None and mine:
            self.values[name] = apply_overrides({name: self.values[name]}, mine)[name]

    def _value(self, node: ast.expr, kind: type | tuple[type, ...] = object) -> Any:
        value = self._any_value(node)
        long = isinstance(value, str | list | tuple) and len(value) > _LONGEST
        if not isinstance(value, kind) or long or (isinstance(value, int) and abs(value) > _LARGEST):
            raise self._refusal(node)
        return value

    def _any_value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None):
                return node.value
            case ast.Name(id=name) if name in self.values:
                self.read.add(name)
                return self.values[name]
            case ast.List(elts=elements):
                return [self._value(element) for element in elements]
            case ast.Tuple(elts=elements):
                return tuple(self._value(element) for element in elements)
            case ast.Dict(keys=keys, values=values):
                return self._display(keys, values)
            case ast.JoinedStr(values=parts):
                return self._joined(parts)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._value(operand, (int, float))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._value(operand, (int, float))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return self._arithmetic(node, type(op), self._value(left), self._value(right))
            case ast.Subscript(value=holder, slice=key):
                return self._item(node, self._value(holder), self._value(key))
            case ast.Call():
                return self._call(node)
        raise self._refusal(node)

    def _display(self, keys: list[ast.expr | None], values: list[ast.expr]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in zip(keys, values, strict=True):
            if key is None:
                result |= self._value(value, dict)
            else:
                result[self._value(key, str)] = self._value(value)
        return result

    def _joined(self, parts: list[ast.expr]) -> str:
        text = ""
        for part in parts:
            text += self._text(part)
            if len(text) > _LONGEST:
                raise self._refusal(part)
        return text

    def _text(self, part: ast.expr) -> str:
        match part:
            case ast.Constant(value=str() as text):
                return text
            case ast.FormattedValue(value=node, conversion=-1, format_spec=None):
                return str(self._value(node, (str, int, float)))
            case ast.FormattedValue(
                value=node, conversion=-1, format_spec=ast.JoinedStr(values=[ast.Constant(value=str() as spec)])
            ) if _FORMAT.fullmatch(spec):
                try:
                    return format(self._value(node, (str, int, float)), spec)
                except ValueError as error:
                    raise self._refusal(node) from error
        raise self._refusal(part)

    def _arithmetic(self, node: ast.expr, op: type[ast.operator], left: Any, right: Any) -> Any:
        if not self._bounded(op, left, right):
            raise self._refusal(node)
        try:
            result = _ARITHMETIC[op](left, right)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise self._refusal(node) from error
        if isinstance(result, complex):
            raise self._refusal(node)
        return result

    @staticmethod
    def _bounded(op: type[ast.operator], left: Any, right: Any) -> bool:
        """Return whether an operation gives a number, or a short string or list, in a short time."""
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if op is ast.Pow:
            return numbers and abs(right) <= 64
        if op is ast.Mod and isinstance(left, str):
            parts = right if isinstance(right, tuple) else (right,)
            plain = all(part is None or isinstance(part, str | int | float) for part in parts)
            longest = max((len(str(part)) for part in parts), default=0) if plain else 0
            return plain and "%" not in _PERCENT.sub("", left) and left.count("%") * longest <= 10 * _LONGEST
        if op is ast.Add and not numbers:
            return type(left) is type(right) and isinstance(left, str | list | tuple)
        if op is ast.Mult and not numbers:
            several, times = (right, left) if isinstance(left, int) else (left, right)
            return isinstance(several, str | list | tuple) and type(times) is int and len(several) * times <= _LONGEST
        return numbers

    def _item(self, node: ast.expr, holder: Any, key: Any) -> Any:
        in_list = isinstance(holder, list | tuple) and type(key) is int
        if not in_list and not (isinstance(holder, dict) and isinstance(key, str)):
            raise self._refusal(node)
        try:
            return holder[key]
        except LookupError as error:
            raise self._refusal(node) from error

    def _call(self, node: ast.Call) -> Any:
        arguments = node.args
        match node.func:
            case ast.Name(id="dict"):
                return self._dict(node)
            case ast.Name(id="list" | "tuple" as name) if len(arguments) <= 1 and not node.keywords:
                elements = self._value(arguments[0], (list, tuple)) if arguments else ()
                return list(elements) if name == "list" else tuple(elements)
            case ast.Name(id="range") if 1 <= len(arguments) <= 3 and not node.keywords:
                limits = [self._value(argument, int) for argument in arguments]
                if len(limits) < 3 or limits[2]:
                    numbers = range(*limits)
                    return list(numbers[: _LONGEST + 1])
            case ast.Attribute(value=holder, attr="copy") if not arguments and not node.keywords:
                return self._value(holder, (dict, list)).copy()
            case ast.Attribute(value=ast.Name(id="copy"), attr="deepcopy" | "copy" as name) if len(arguments) == 1:
                value = self._value(arguments[0])
                return copy.deepcopy(value) if name == "deepcopy" else copy.copy(value)
            case ast.Name(id="deepcopy") if len(arguments) == 1:
                return copy.deepcopy(self._value(arguments[0]))
        raise self._refusal(node)

    def _dict(self, call: ast.Call) -> dict[str, Any]:
        """Evaluate a call of ``dict(...)``."""
        if len(call.args) > 1:
            raise self._refusal(call)
        result: dict[str, Any] = dict(self._value(call.args[0], dict)) if call.args else {}
        for keyword in call.keywords:
            if keyword.arg is None:
                result |= self._value(keyword.value, dict)
            else:
                result[keyword.arg] = self._value(keyword.value)
        return result

    def _refusal(self, node: ast.expr | ast.stmt) -> UserError:
        try:
            text = " ".join(ast.unparse(node).split())[:60]
        except ValueError:
            text = "..."  # a number with more digits than Python prints
        return UserError(
            f"{self._path}, line {node.lineno}: '{text}' is not understood (expected assignments "
            "of dictionaries, lists, strings and numbers; nothing in a configuration is run)"
        )
