import io

import pytest

from litehrnet.cli.options import few, rgb_color, say


def test_names_that_a_terminal_cannot_show_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, shown in (("ascii", rb"caf\xe9 \udcff.jpg"), ("utf-8", "café ".encode() + rb"\udcff.jpg")):
        stream = io.BytesIO()
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(stream, encoding=encoding, write_through=True))
        say("café \udcff.jpg")  # the latter is how Python holds a file name that is not UTF-8
        assert stream.getvalue().rstrip() == shown


def test_long_lists_of_names_are_cut() -> None:
    assert few(["a", "b"]) == "a, b"
    assert few(list("abcd"), most=2) == "a, b, and 2 more"


def test_colors_are_hexadecimal() -> None:
    assert rgb_color("ff8c00") == rgb_color("#FF8C00") == (255, 140, 0)
