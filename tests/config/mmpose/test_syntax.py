from pathlib import Path
from typing import Any

import pytest

from litehrnet.config.mmpose.syntax import check_extent, interpret
from litehrnet.config.recipes import parse_python
from litehrnet.errors import UserError

FILE = Path("own.py")


def _values(text: str) -> dict[str, Any]:
    return interpret(parse_python(text, FILE), FILE).values


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("dict(a=1, b=dict(c=None))", {"a": 1, "b": {"c": None}}),
        ("{'a': [1, 2.5], **dict(b=(True,))}", {"a": [1, 2.5], "b": (True,)}),
        ("dict(base, kind='x', **{'more': 1})", {"kind": "x", "n": [1, 2], "more": 1}),
        ("base['n'][-1]", 2),
        ("base.copy()", {"kind": "a", "n": [1, 2]}),
        ("copy.deepcopy(base)['n']", [1, 2]),
        ("f'{root}/train/{3}_{0.5:.2f}'", "data/train/3_0.50"),
        ("root + '/' 'x'", "data/x"),
        ("'%s/%03d' % (root, 7)", "data/007"),
        ("list(range(3)) + [9]", [0, 1, 2, 9]),
        ("tuple(range(4, 0, -2))", (4, 2)),
        ("[0] * 3", [0, 0, 0]),
        ("-2e-3 * 4 / 2", -4e-3),
        ("2 ** 5 // 3 % 4", 2),
        ("+1", 1),
    ],
)
def test_expression_has_pythons_value(expression: str, value: Any) -> None:
    text = f"import copy\nroot = 'data'\nbase = dict(kind='a', n=[1, 2])\nx = {expression}\n"
    result = _values(text)["x"]
    assert result == value
    assert type(result) is type(value)


def test_statements_change_what_pythons_would() -> None:
    text = """
'''a docstring'''
from copy import deepcopy
a = b = dict(x=1, y=[1, 2], z=dict(w=1))
c = deepcopy(a)
a['x'] = 2
b['y'][0] = 5
a['z'].update(w=3, v=4)
a.update({'u': 6}, t=7)
"""
    values = _values(text)
    assert values["a"] == values["b"] == {"x": 2, "y": [5, 2], "z": {"w": 3, "v": 4}, "u": 6, "t": 7}
    assert values["c"] == {"x": 1, "y": [1, 2], "z": {"w": 1}}


def test_overridden_name_is_overridden_for_all_that_follows() -> None:
    text = "a = dict(x=1, y=2)\na['x'] = 3\na.update(y=4)\nb = dict(a, z=a['x'])\nc = [a]\n"
    values = interpret(parse_python(text, FILE), FILE, {"a.x": 10, "a.y": 20}).values
    assert values["b"] == {"x": 10, "y": 20, "z": 10}
    assert values["c"] == [{"x": 10, "y": 20}]


def test_helpers_are_the_names_that_are_referred_to() -> None:
    text = "a = 1\nb = dict(x=a)\nc = dict()\nc['x'] = 2\nd = b\n"
    assert interpret(parse_python(text, FILE), FILE).helpers == {"a", "b"}


@pytest.mark.parametrize(
    "statement",
    [
        "x = __import__('os')",
        "x = open('victim', 'w')",
        "x = eval('1')",
        "x = print",
        "x = lambda: 1",
        "x = ().__class__",
        "x = a.keys",
        "x = a.get('b')",
        "x = 'a'.join(['b'])",
        "x = '{}'.format(1)",
        "x = [i for i in range(3)]",
        "x = {i: i for i in range(3)}",
        "x = (i for i in range(3))",
        "x = 1 if True else 2",
        "x = a and a",
        "x = not a",
        "x = 1 < 2",
        "x = {1, 2}",
        "x = {3: 4}",
        "x = [*'abc']",
        "x = b'a'",
        "x = ...",
        "x = 1j",
        "x = (-8) ** 0.5",
        "x = 1 / 0",
        "x = [1][2]",
        "x = [1][:1]",
        "x = a['b']",
        "x = unknown",
        "x = dict([('a', 1)])",
        "x = dict(a, a)",
        "x = 'a' + 1",
        "x = [1] + (2,)",
        "x = 1 << 3",
        "x = f'{a}'",
        "x = f'{1!r}'",
        "x = '%s' % a",
        "x = '%s' % [1]",
        "x = '%*d' % (9, 1)",
        "x = range(0, 9, 0)",
        "x = (y := 1)",
        "x += 1",
        "x: int = 1",
        "x, y = 1, 2",
        "a.x = 1",
        "a[0] = 1",
        "[1][5] = 1",
        "del a",
        "import os",
        "import copy as os",
        "from os import path",
        "from copy import *",
        "for x in [1]: pass",
        "while True: pass",
        "if a: x = 1",
        "with a: pass",
        "def f(): pass",
        "class A: pass",
        "assert a",
        "print('x')",
        "a.clear()",
        "a.update(1)",
    ],
)
def test_anything_else_is_refused_with_its_line(statement: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"own\.py, line 2: '.+' is not understood") as caught:
        interpret(parse_python(f"a = dict()\n{statement}\n", FILE), FILE)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "x = 'a' * 10**9",
        "x = [0] * 10**9",
        "x = 10**9 * (0,)",
        "x = 9 ** 9 ** 9",
        "x = 0x" + "f" * 100_000,
        "x = 10 ** 60",
        "x = list(range(10 ** 12))",
        "x = '%1000000000d' % 1",
        "x = f'{1:1000000000}'",
        "x = f'{1:{1000000000}}'",
        "x = '0123456789'\n" + "x = x + x\n" * 40,
        "x = [0]\n" + "x = x + x\n" * 40,
        "x = 9\n" + "x = x * x\n" * 40,
        "x = 'a' * 9999\ny = f'" + "{x}" * 6_000 + "'",
        "x = 'a' * 9999\ny = '" + "%s" * 6_000 + "' % ((x,) * 6_000)",
        "x = [0, 0]\n" + "x = [x, x]\n" * 45,
        "x = dict()\nx['x'] = x",
        "x = [[]]\nx[0] = x",
        "x = []\n" + "x = [x]\n" * 5000,
        "x = []\n" + "x = [x]\n" * 5000 + "import copy\ny = copy.deepcopy(x)",
        "x = " + "[" * 150 + "]" * 150,
        "x = " + "(" * 5000 + ")" * 5000,
        "x = " + "-" * 50_000 + "1",
        "x = 1" + " + 1" * 30_000,
        "x = a" + "[0]" * 30_000,
    ],
)
def test_what_would_grow_without_bounds_is_refused(text: str) -> None:
    with pytest.raises(UserError) as caught:
        interpret(parse_python(text, FILE), FILE)
    assert len(str(caught.value)) < 400


def test_as_many_values_as_a_configuration_has_are_fine() -> None:
    check_extent({"a": [list(range(100))] * 100}, FILE)


def test_broken_python_is_named() -> None:
    with pytest.raises(UserError, match=r"own\.py: not a recipe"):
        _values("a = dict(")
