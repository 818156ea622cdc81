"""``litehrnet compare``: two networks trained for seconds, their table, and what is refused before the training."""

import json
from pathlib import Path

import pytest

from litehrnet.cli.main import main
from litehrnet.models import create_network
from litehrnet.models.complexity import measure

VARIANTS = ("naive_lite_hrnet_18", "shufflenetv2")


@pytest.fixture
def recipe(dataset: Path) -> Path:
    """A recipe that trains on three drawn people and tests on the same, 64x64 pixels."""
    annotations, images = str(dataset / "annotations.json"), str(dataset / "images")
    data = f"dict(format='coco', annotations={annotations!r}, images={images!r})"
    path = dataset / "small.py"
    path.write_text(
        f"variant = 'lite_hrnet_18'\nkeypoints = 'coco'\ninput_size_wh = (64, 64)\ntrain = ({data},)\ntest = {data}\n"
        "training = dict(batch_size=2, schedule=dict(kind='cosine', warmup_iterations=0))\n"
    )
    return path


def _words(recipe: Path, *more: str) -> list[str]:
    return ["compare", str(recipe), "--minutes", "0.02", "--out", str(recipe.parent / "out"), "--variants", *more]


@pytest.mark.slow
def test_networks_are_trained_once_and_tabulated_in_order(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = recipe.parent / "out"
    assert main(_words(recipe, *VARIANTS)) == 0
    trained = {name: (out / name / "weights.safetensors").stat().st_mtime_ns for name in VARIANTS}
    content = json.loads((out / "comparison.json").read_text())
    assert list(content["networks"]) == list(VARIANTS)
    for name, row in content["networks"].items():
        cost = measure(create_network(name), (64, 64))
        assert (row["parameters"], row["flops"]) == (cost.params, cost.published_flops)
        assert row["samples"] > 0
        assert row["ms"] > 0
        assert set(row["metrics"]) >= {"AP", "AR"}
    assert content["networks"][VARIANTS[0]]["runtime"] in ("native", "onnxruntime", "torch")
    table = (out / "comparison.md").read_text()
    assert table in capsys.readouterr().out.replace("\n\nwritten", "\nwritten")
    (out / "comparison.md").write_text("edited")
    assert main(_words(recipe, *reversed(VARIANTS))) == 0
    assert {name: (out / name / "weights.safetensors").stat().st_mtime_ns for name in VARIANTS} == trained
    assert (out / "comparison.md").read_text() == "edited"
    rows = (out / "comparison-2.md").read_text().splitlines()[4:]
    assert [row.split(" | ")[0] for row in rows] == [f"| {name}" for name in reversed(VARIANTS)]


def _refusal(recipe: Path, capsys: pytest.CaptureFixture[str], variant: str) -> str:
    assert main(_words(recipe, variant)) == 2
    assert not (recipe.parent / "out").exists()
    return capsys.readouterr().err


def test_unknown_networks_are_refused(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "resnet_50: unknown network (expected one of lite_hrnet_18, " in _refusal(recipe, capsys, "resnet_50")


def test_a_recipe_without_a_test_set_is_refused(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(recipe.read_text().replace("\ntest = ", "\n# "))
    assert "has neither test nor validation" in _refusal(recipe, capsys, "shufflenetv2")


def test_missing_photos_are_refused(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recipe.parent / "annotations.json").unlink()
    assert "annotations.json: no such file" in _refusal(recipe, capsys, "shufflenetv2")
