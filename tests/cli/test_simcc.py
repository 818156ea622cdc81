"""SimCC networks of others in ``predict``, ``test``, ``score`` and on videos."""

import json
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.cli.predicting import Bundled
from tests.simcc_models import write_rows

from litehrnet import read_image
from litehrnet.cli.main import main
from litehrnet.keypoints.boxes import centers_and_scales, clean_box
from litehrnet.video.writing import VideoWriter

SIZE_WH = (192, 256)


@pytest.fixture
def one_person(dataset: Path) -> Path:
    """A data set of one drawn person, and a SimCC network that finds their true joints in the crop of their box."""
    content = json.loads((dataset / "annotations.json").read_text())
    content["images"], content["annotations"] = content["images"][:1], content["annotations"][:1]
    (dataset / "annotations.json").write_text(json.dumps(content))
    (person,) = content["annotations"]
    image = content["images"][0]
    box = clean_box(person["bbox"], (image["width"], image["height"]))
    centers, scales = centers_and_scales(np.array([box]), SIZE_WH)
    joints = np.array(person["keypoints"], float).reshape(17, 3)[:, :2]
    bins = np.rint(2 * (joints - centers[0] + scales[0] * 100) / (scales[0] * 200) * SIZE_WH).astype(int)
    rows = [np.zeros((1, 17, 2 * pixels), np.float32) for pixels in SIZE_WH]
    for row, places in zip(rows, bins.T, strict=True):
        row[0, np.arange(17), places] = 0.9
    write_rows(dataset / "person.onnx", *rows, image=("batch", 3, *SIZE_WH[::-1]))
    return dataset


def _metrics(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, float]:
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == 0
    metrics: dict[str, float] = json.loads(capsys.readouterr().out)
    return metrics


def test_joints_that_are_found_exactly_have_ap_1(one_person: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files: list[str | Path] = ["--annotations", one_person / "annotations.json", "--images", one_person / "images"]
    test: list[str | Path] = ["test", one_person / "person.onnx", *files, "--no-flip", "--threads", "1"]
    out = one_person / "results.json"
    assert _metrics(capsys, *test, "--out", out)["AP"] == pytest.approx(1)
    assert json.loads(out.read_text())[0]["keypoints"][2::3] == pytest.approx([0.9] * 17)
    assert _metrics(capsys, "score", out, one_person / "annotations.json")["AP"] == pytest.approx(1)
    mirrored = [argument for argument in test if argument != "--no-flip"]
    assert _metrics(capsys, *mirrored)["AP"] < 0.95  # a network that does not see the mirror image finds others


def test_a_configuration_names_the_data_and_the_network_its_own_decoding(
    one_person: Path, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = published.read_text().replace("image_size=[64, 64]", "image_size=[192, 256]")
    published.write_text(config.replace("heatmap_size=[16, 16]", "heatmap_size=[48, 64]"))
    assert main(["test", "person.onnx", "--config", str(published), "--no-flip", "--threads", "1"]) == 0
    said = capsys.readouterr().out
    assert "192x256 (width x height)" in said
    assert "1.000" in said


def test_whole_bodies_are_drawn_and_written(
    folder: Path, tmp_path: Path, bundled: Bundled, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    rows = [np.zeros((1, 133, bins), np.float32) for bins in (384, 512)]
    for row in rows:
        row[0, np.arange(133), rng.integers(0, row.shape[2], 133)] = 0.8
    model = write_rows(tmp_path / "end2end.onnx", *rows, image=("batch", 3, 256, 192))
    with zipfile.ZipFile(tmp_path / "dwpose.zip", "w") as archive:
        archive.write(model, "some/folder/end2end.onnx")
    out = tmp_path / "out"
    arguments = ["predict", folder, "--weights", tmp_path / "dwpose.zip", "--out-dir", out, "--threads", "1"]
    assert main([str(argument) for argument in arguments]) == 0
    assert "detector: bundled" in capsys.readouterr().out
    results = json.loads((out / "keypoints.json").read_text())
    assert [len(entry["keypoints"]) for entry in results] == [3 * 133] * 2
    drawn, photo = (read_image(each / "000000000001.jpg").astype(int) for each in (out, folder))
    assert 500 < (np.abs(drawn - photo).max(axis=2) > 100).sum() < 0.9 * photo[..., 0].size


@pytest.mark.parametrize("count", [26, 21])
def test_people_in_videos_are_tracked(tmp_path: Path, bundled: Bundled, count: int) -> None:
    """Also with keypoints without limbs, such as those of hands."""
    with VideoWriter(tmp_path / "film", Fraction(25)) as writer:
        for number in range(5):
            writer.write(np.full((120, 160, 3), 90, np.uint8), number / 25)
    rows = [np.zeros((1, count, 2 * pixels), np.float32) for pixels in SIZE_WH]
    for row, across in zip(rows, (np.tile([0.19, 0.81], count)[:count], np.linspace(0.19, 0.81, count)), strict=True):
        row[0, np.arange(count), (across * row.shape[2]).astype(int)] = 1
    model = write_rows(tmp_path / "zigzag.onnx", *rows, image=("batch", 3, *SIZE_WH[::-1]))
    out = tmp_path / "out"
    arguments = ["predict", writer.path, "--weights", model, "--out-dir", out, "--threads", "1"]
    assert main([str(argument) for argument in [*arguments, *(["--whole-image"] if count == 21 else [])]]) == 0
    records = [json.loads(line) for line in (out / "film.jsonl").read_text().splitlines()]
    assert [len(person["keypoints"]) for record in records for person in record["persons"]] == [3 * count] * 5
    assert len({person["id"] for record in records[2:] for person in record["persons"]}) == 1
