from pathlib import Path

import pytest

from litehrnet.cli.main import main
from litehrnet.config.recipes import read_recipe, recipe_names, recipe_path

NAME = "litehrnet_18_coco_256x192"


def test_every_bundled_recipe_is_listed_with_what_it_finds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(recipe_names())]] == recipe_names()
    (line,) = (line for line in lines if line.startswith(f"{NAME} "))
    assert line.split("  ", 1)[1].split() == ["17", "keypoints", "(coco)", "192x256", "data/coco/train2017"]


def test_a_copied_recipe_is_the_same_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.py"
    assert main(["recipes", "copy", NAME, str(out)]) == 0
    assert out.read_bytes() == recipe_path(NAME).read_bytes()
    assert read_recipe(out).train == read_recipe(NAME).train
    assert f"litehrnet train {out}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "out", "message"),
    [
        (NAME, "taken.py", "taken.py: exists already (expected the name of a new file)"),
        (NAME, "folder.py", "folder.py: exists already"),
        (NAME, "mine.txt", "mine.txt: not a name for a recipe (expected one that ends in .py)"),
        (NAME, "gone/mine.py", "mine.py: cannot be written"),
        ("litehrnet_18_coco_256x19", "mine.py", f"did you mean {NAME}?"),
    ],
)
def test_what_cannot_be_copied_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, out: str, message: str
) -> None:
    (tmp_path / "taken.py").write_text("mine\n")
    (tmp_path / "folder.py").mkdir()
    assert main(["recipes", "copy", name, str(tmp_path / out)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert (tmp_path / "taken.py").read_text() == "mine\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.py", "taken.py"]
