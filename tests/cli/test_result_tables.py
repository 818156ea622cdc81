"""Tables of ``litehrnet predict``, and tables as its boxes and for ``litehrnet score``."""

import csv
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.predicting import one_line_error, predict, written
from tests.figure import draw_figure

from litehrnet.cli.main import main
from litehrnet.data.settings import DataConfig
from litehrnet.video.writing import VideoWriter


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_photos_give_a_row_per_person_and_one_for_a_photo_without_people(
    small_weights: Path, folder: Path, tmp_path: Path
) -> None:
    import pyarrow.parquet

    boxes = [{"image_id": 1, "category_id": 1, "bbox": [10, 10, 50, 100], "score": 0.5}]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    out = tmp_path / "out"
    assert predict(small_weights, out, folder, "--boxes", tmp_path / "boxes.json", "--csv", "--parquet") == 0
    rows, results = _rows(out / "keypoints.csv"), json.loads((out / "keypoints.json").read_text())
    assert [(Path(row["image"]).name, row["image_id"], row["person"], row["box_score"]) for row in rows] == [
        ("000000000001.jpg", "1", "0", "0.5"),
        ("000000000002.jpg", "2", "", ""),
    ]
    assert float(rows[0]["left_wrist_x"]) == pytest.approx(results[0]["keypoints"][27], rel=1e-6)
    table = pyarrow.parquet.read_table(out / "keypoints.parquet").to_pylist()
    assert [row["person"] for row in table] == [0, None]
    assert table[0]["left_wrist_x"] == float(rows[0]["left_wrist_x"])
    assert predict(small_weights, out, folder, "--boxes", tmp_path / "boxes.json", "--csv") == 0
    assert "keypoints-2.csv" not in written(out)  # an unchanged file of ours is replaced


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_a_table_of_results_is_a_file_of_boxes(small_weights: Path, folder: Path, tmp_path: Path, end: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    boxes = [{"image_id": n, "category_id": 1, "bbox": [10, 10, 50, 100], "score": 0.3 * n} for n in (1, 2)]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    assert predict(small_weights, first, folder, "--boxes", tmp_path / "boxes.json", f"--{end}") == 0
    assert predict(small_weights, second, folder, "--boxes", first / f"keypoints.{end}") == 0
    before, after = (json.loads((out / "keypoints.json").read_text()) for out in (first, second))
    assert len(before) == 2
    assert after == before


def test_boxes_without_ids_or_scores_name_their_photos(small_weights: Path, folder: Path, tmp_path: Path) -> None:
    header = "image,box_x,box_y,box_width,box_height"
    (tmp_path / "b.csv").write_text(f"{header}\n000000000001.jpg,10,10,50,100\n000000000001.jpg,30,20,60,90\n")
    assert predict(small_weights, tmp_path / "out", folder, "--boxes", tmp_path / "b.csv") == 0
    results = json.loads((tmp_path / "out" / "keypoints.json").read_text())
    assert [(Path(entry["file_name"]).name, entry["bbox"]) for entry in results] == [
        ("000000000001.jpg", [10, 10, 50, 100]),
        ("000000000001.jpg", [30, 20, 60, 90]),
    ]


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_a_table_scores_as_the_json_of_the_same_run(
    small_weights: Path,
    tmp_path: Path,
    coco_content: dict[str, Any],
    save_coco: Callable[[dict[str, Any]], DataConfig],
    capsys: pytest.CaptureFixture[str],
    end: str,
) -> None:
    annotations = Path(save_coco(coco_content).annotations)
    out = tmp_path / "out"
    assert predict(small_weights, out, tmp_path / "photos", "--boxes", annotations, f"--{end}") == 0
    capsys.readouterr()
    said = []
    for suffix in ("json", end):
        assert main(["score", str(out / f"keypoints.{suffix}"), str(annotations), "--json"]) == 0
        said.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    numbers = [{name: value for name, value in one.items() if isinstance(value, float)} for one in said]
    assert numbers[0]
    assert numbers[1] == pytest.approx(numbers[0], rel=1e-5)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Ten frames of the drawn figure, then two of nobody."""
    figure = draw_figure((90, 120))[0]
    with VideoWriter(tmp_path / "film", Fraction(25)) as writer:
        for number in range(12):
            picture = np.full((120, 160, 3), (120, 130, 140), np.uint8)
            if number < 10:
                picture[:, 3 * number : 3 * number + 90] = figure
            writer.write(picture, number / 25)
    return writer.path


def _predict_film(film: Path, out: Path, *more: str) -> int:
    return main(["predict", str(film), *more, "--whole-image", "--out-dir", str(out), "--threads", "1"])


def test_a_video_gives_tables_of_the_records(film: Path, tmp_path: Path) -> None:
    import h5py
    import pandas

    out = tmp_path / "out"
    options = ("--csv", "--parquet", "--deeplabcut-csv", "--deeplabcut-h5", "--sleap", "--smooth")
    assert _predict_film(film, out, *options) == 0
    names = ["film.analysis.h5", "film.csv", "film.jsonl", "film.mp4", "film.parquet", "film_dlc.csv", "film_dlc.h5"]
    assert written(out) == names
    records = [json.loads(line) for line in (out / "film.jsonl").read_text().splitlines()]
    rows = _rows(out / "film.csv")
    assert [int(row["frame"]) for row in rows] == [record["frame"] for record in records] == list(range(12))
    assert [row["id"] for row in rows] == ["0", "0", *["1"] * 8, "", ""]
    person = records[5]["persons"][0]
    assert float(rows[5]["nose_x"]) == pytest.approx(person["keypoints"][0], abs=1e-3)
    assert float(rows[5]["nose_smooth_y"]) == pytest.approx(person["smoothed"][1], abs=1e-3)
    tracked = pandas.read_hdf(out / "film_dlc.h5", key="df_with_missing")
    assert tracked["litehrnet"]["id1"]["nose"]["x"].notna().tolist() == [False] * 2 + [True] * 8 + [False] * 2
    text = pandas.read_csv(out / "film_dlc.csv", header=[0, 1, 2, 3], index_col=0)
    np.testing.assert_allclose(text.to_numpy(float), tracked.to_numpy(float), rtol=1e-6)
    with h5py.File(out / "film.analysis.h5") as file:
        assert file["tracks"][0, 0, 0, 5] == pytest.approx(person["keypoints"][0], abs=1e-3)


def test_tables_of_tracks_are_refused_without_tracking_and_for_photos(
    film: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert _predict_film(film, out, "--sleap", "--no-track") == 2
    assert "--sleap: needs identities (expected no --no-track)" in one_line_error(capsys)
    assert _predict_film(folder, out, "--deeplabcut-csv") == 2
    assert "--deeplabcut-csv: only works with video" in one_line_error(capsys)
    assert not out.exists()


def test_photos_beside_a_video_have_no_table_of_tracks(film: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    photo = str(folder / "000000000001.jpg")
    assert _predict_film(film, out, photo, "--deeplabcut-csv", "--csv") == 0
    tables = [name for name in written(out) if name.endswith(".csv")]
    assert tables == ["film.csv", "film_dlc.csv", "keypoints.csv"]


@pytest.mark.parametrize(
    ("option", "package", "extra"),
    [
        ("--parquet", "pyarrow", "tables"),
        ("--deeplabcut-h5", "pandas", "behavior"),
        ("--sleap", "h5py", "behavior"),
        ("--show", "tornado", "video"),
    ],
)
def test_a_missing_package_is_named_before_anything_is_predicted(
    film: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    package: str,
    extra: str,
) -> None:
    monkeypatch.setattr("litehrnet.optional.is_installed", lambda name: name != package)
    assert _predict_film(film, tmp_path / "out", option) == 2
    said = f"{option} needs {package}, which is not installed (pip install 'litehrnet[{extra}]')"
    assert said in one_line_error(capsys)
    assert not (tmp_path / "out").exists()


def test_several_videos_end_with_a_summary(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = film.with_name("other.mp4")
    other.write_bytes(film.read_bytes())
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    assert _predict_film(film, tmp_path / "out", str(other), str(broken)) == 2
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    rows = lines[lines.index(["video", "frames", "seconds", "poses", "people"]) + 1 :]
    assert [(row[0], row[1], row[3], row[4]) for row in rows] == [
        ("film.mp4", "12", "10", "1"),
        ("other.mp4", "12", "10", "1"),
    ]
