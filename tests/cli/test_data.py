import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litehrnet import read_image
from litehrnet.cli.main import main
from litehrnet.config.read import load_config
from litehrnet.data.settings import DataConfig
from litehrnet.keypoints.codec import encode


@pytest.fixture
def recipe(tmp_path: Path, drawn_coco: DataConfig) -> Path:
    path = tmp_path / "drawn.py"
    files = f"annotations={drawn_coco.annotations!r}, images={drawn_coco.images!r}"
    path.write_text(
        'variant = "lite_hrnet_18"\nkeypoints = "coco"\ninput_size_wh = (64, 96)\n'
        f'train = (dict(format="coco", {files}),)\nvalidation = dict(format="coco", {files})\n'
        f'test = dict(format="coco", {files})\n'
    )
    return path


def _check(recipe: Path, *more: str | Path) -> int:
    sheet = recipe.with_name("sheet.png")
    return main(["data", "check", str(recipe), "--sheet", str(sheet), *map(str, more)])


def test_good_data_are_counted_once_and_drawn(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _check(recipe) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("mirroring: ")
    assert lines[0].endswith(" change places")
    assert lines[1].endswith("annotations.json: 3 people with keypoints, 3 photos, 0 problems")
    assert lines[1].startswith("train, validation, test: ")
    assert lines[2].endswith("sheet.png: 3 of 3 training samples")
    assert lines[3:] == ["no problems"]
    sheet = read_image(recipe.with_name("sheet.png"))
    assert sheet.shape == (3 * 96 + 16, 3 * 3 * 64, 3)


def test_everything_wrong_is_listed_and_the_exit_code_is_1(
    recipe: Path, drawn_coco: DataConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(Path(drawn_coco.annotations).read_text())
    content["annotations"][0]["bbox"] = [500, 500, 10, 10]
    Path(drawn_coco.annotations).write_text(json.dumps(content))
    Path(drawn_coco.images, "2.jpg").write_bytes(b"nonsense")
    Path(drawn_coco.images, "3.jpg").unlink()
    assert _check(recipe) == 1
    said = capsys.readouterr().out
    assert "annotation 0 (id 1): bbox is [500, 500, 10, 10]" in said
    assert "annotation 1 (id 2): " in said
    assert "2.jpg: not an image" in said
    assert "3.jpg: no such file" in said
    assert "no contact sheet: " in said
    assert said.splitlines()[-1] == "4 problems"
    assert not recipe.with_name("sheet.png").exists()


def test_a_file_for_training_alone_may_have_other_keypoints(
    recipe: Path, drawn_mpii: DataConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    text = recipe.read_text().replace(
        "train = (",
        f'train = (dict(format="mpii", annotations={drawn_mpii.annotations!r}, images={drawn_mpii.images!r}), ',
    )
    recipe.write_text(text)
    assert _check(recipe) == 0
    said = capsys.readouterr().out
    assert "train.0: " in said
    assert "train.1, validation, test: " in said
    assert "4 of 4 training samples" in said


def test_overrides_reach_the_samples(recipe: Path) -> None:
    assert _check(recipe, "input_size_wh=128,160", "codec.kind=udp") == 0
    assert read_image(recipe.with_name("sheet.png")).shape == (2 * 160 + 16, 3 * 2 * 128, 3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["trian=1"], "unknown key trian"),
        (["--sheet", "sheet.gif"], "sheet.gif: not a name for a picture"),
        (["keypoints=none.toml"], "none.toml: no such file"),
    ],
)
def test_what_cannot_be_started_is_exit_code_2(
    recipe: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _check(recipe, *more) == 2
    assert message in capsys.readouterr().err


def test_the_sheet_shows_the_targets(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without targets the sheet is another picture."""
    _check(recipe)
    with_targets = read_image(recipe.with_name("sheet.png"))

    def nothing(*arguments: Any) -> Any:
        targets, weights = encode(*arguments)
        return targets * 0, weights * 0

    monkeypatch.setattr("litehrnet.data.samples.encode", nothing)
    _check(recipe)
    without = read_image(recipe.with_name("sheet.png"))
    assert with_targets.shape == without.shape
    assert (np.abs(with_targets.astype(int) - without).max(axis=2) > 50).mean() > 0.01


def test_lists_of_photos_are_checked(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (listed := recipe.with_name("list.txt")).write_text("2\n")
    assert _check(recipe, f"train.0.without={listed}", f"validation.only={listed}") == 0
    assert "sheet.png: 2 of 2 training samples" in capsys.readouterr().out
    listed.write_text("two\n")
    assert _check(recipe, f"validation.only={listed}") == 1
    assert "list.txt, line 1: not a number of a photo" in capsys.readouterr().out


def test_packed_recipe_trains_on_the_same_and_is_good(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (listed := tmp_path / "list.txt").write_text("2\n")
    lists = [f"train.0.without={listed}", f"validation.only={listed}", f"load_from={listed}"]
    assert main(["data", "pack", str(recipe), *lists]) == 0
    said = capsys.readouterr().out
    assert "packed/train-0: 2 people with keypoints in 2 pictures, 2 files, " in said
    assert "packed/validation: 1 people with keypoints in 1 pictures, 2 files, " in said
    assert f"not packed, but needed as well: {listed}" in said
    assert said.splitlines()[-1].endswith("litehrnet train packed/drawn.py")
    config = load_config("packed/drawn.py").config
    assert config.test is None
    assert [(data.only, data.without) for data in config.train] == [(None, None)]
    assert main(["data", "check", "packed/drawn.py"]) == 0
    said = capsys.readouterr().out
    assert "train: packed/train-0/annotations.zip/annotations.json: 2 people with keypoints, 2 photos, 0 probl" in said
    assert "2 of 2 training samples" in said


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.0.format=mpii", "annotations in the format mpii are not packed (expected coco)"),
        ("validation.boxes=boxes.json", "a detector's boxes are not packed"),
        ("train=()", "drawn: has no train"),
        ("train.0.images=nowhere", "nowhere/1.jpg: no such file"),
    ],
)
def test_what_cannot_be_packed_is_one_sentence_and_leaves_nothing(
    recipe: Path, capsys: pytest.CaptureFixture[str], override: str, message: str
) -> None:
    out = recipe.with_name("out")
    assert main(["data", "pack", str(recipe), override, "--out", str(out)]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("options", [["--quality", "30"], ["--longer-side", "96", "--quality", "101"]])
def test_a_quality_is_for_crops(
    options: list[str], recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "pack", str(recipe), "--out", str(tmp_path / "out"), *options]) == 2
    assert f"--quality {options[-1]}: " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_packing_into_a_folder_that_exists_is_refused(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "pack", str(recipe), "--out", str(recipe.parent)]) == 2
    assert "exists already (expected the name of a new folder)" in capsys.readouterr().err
    assert recipe.exists()
