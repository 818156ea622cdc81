from typing import Any

import pytest

from litehrnet.config.overrides import apply_overrides, parse_overrides
from litehrnet.errors import UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16", 16),
        ("-3", -3),
        ("2e-3", 2e-3),
        ("inf", float("inf")),
        ("True", True),
        ("false", False),
        ("None", None),
        ("cosine", "cosine"),
        ("'16'", "16"),
        ('"a, b"', "a, b"),
        ("", ""),
        ("170,200", (170, 200)),
        ("170,", (170,)),
        ("[170, 200]", (170, 200)),
        ("(0.75,1,none)", (0.75, 1, None)),
        ("(170)", (170,)),
        ("/data/bob's/anna's/x.pth", "/data/bob's/anna's/x.pth"),
        ("[cosine,'1']", ("cosine", "1")),
        ("[[1,2],[a,b]]", ((1, 2), ("a", "b"))),
        ("[]", ()),
        ("data/photos (1)/list.txt", "data/photos (1)/list.txt"),
        (r"C:\new\train.json", r"C:\new\train.json"),
        ("it's", "it's"),
    ],
)
def test_a_value_is_a_number_a_word_or_a_sequence(text: str, value: Any) -> None:
    parsed = parse_overrides([f"a.b={text}"])["a.b"]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("word", ["a", "a b=1", "=1", "a..b=1"])
def test_a_word_without_key_or_value_is_refused(word: str) -> None:
    with pytest.raises(UserError, match=r"not an override \(expected a\.b=value"):
        parse_overrides([word])


@pytest.mark.parametrize("text", ["[1,2", "(1,2]", "[" * 100_000])
def test_brackets_that_do_not_match_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"not a sequence \(expected one such as"):
        parse_overrides([f"training.schedule.steps={text}"])


def test_overrides_replace_parts_of_nested_values() -> None:
    values = {"a": {"b": 1}, "c": ({"d": 2},)}
    assert apply_overrides(values, {"a.b": 3, "c.0.d": 4, "e.f": 5}) == {
        "a": {"b": 3},
        "c": ({"d": 4},),
        "e": {"f": 5},
    }
    assert values == {"a": {"b": 1}, "c": ({"d": 2},)}


@pytest.mark.parametrize(("key", "message"), [("c.1.d", "no element 1"), ("a.b.c", "1 has no parts")])
def test_a_key_without_a_place_is_refused(key: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        apply_overrides({"a": {"b": 1}, "c": ({"d": 2},)}, {key: 0})
