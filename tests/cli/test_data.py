import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litehrnet import read_image
from litehrnet.cli.main import main
from litehrnet.data.settings import DataConfig
from litehrnet.keypoints.codec import encode


@pytest.fixture
def recipe(tmp_path: Path, drawn_coco: DataConfig) -> Path:
    path = tmp_path / "drawn.py"
    files = f"annotations={drawn_coco.annotations!r}, images={drawn_coco.images!r}"
    path.write_text(
        'variant = "lite_hrnet_18"\nkeypoints = "coco"\ninput_size_wh = (64, 96)\n'
        f'train = (dict(format="coco", {files}),)\nvalidation = dict(dataset="coco", {files})\n'
        f'test = dict(dataset="coco", {files})\n'
    )
    return path


def _check(recipe: Path, *more: str | Path) -> int:
    sheet = recipe.with_name("sheet.png")
    return main(["data", "check", str(recipe), "--sheet", str(sheet), *map(str, more)])


def test_good_data_are_counted_once_and_drawn(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _check(recipe) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("annotations.json: 3 persons with keypoints, 3 photos, 0 problems")
    assert lines[0].startswith("train, validation, test: ")
    assert lines[1].endswith("sheet.png: 3 of 3 samples as they are trained on")
    assert lines[2:] == ["no problems"]
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
    assert "4 of 4 samples" in said


def test_overrides_reach_the_samples(recipe: Path) -> None:
    assert _check(recipe, "input_size_wh=128,160", "codec.kind=udp") == 0
    assert read_image(recipe.with_name("sheet.png")).shape == (2 * 160 + 16, 3 * 2 * 128, 3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["trian=1"], "unknown key trian"),
        (["--sheet", "sheet.gif"], "sheet.gif: no name for a picture"),
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
