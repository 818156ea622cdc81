"""``litehrnet predict``: parts of videos, trails, raw beside smoothed, pictures of people, OpenPose's JSON, the Hub."""

import csv
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.cli.predicting import one_line_error, predict, predict_whole, written
from tests.figure import draw_figure

from litehrnet import read_frames, read_image
from litehrnet.cli.main import main
from litehrnet.cli.options import seconds
from litehrnet.video.writing import VideoWriter


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """The drawn figure moves to the right for ten frames."""
    figure = draw_figure((90, 120))[0]
    with VideoWriter(tmp_path / "film", Fraction(25)) as writer:
        for number in range(10):
            picture = np.full((120, 160, 3), (120, 130, 140), np.uint8)
            picture[:, 6 * number : 6 * number + 90] = figure
            writer.write(picture, number / 25)
    return writer.path


def _predict_film(film: Path, out: Path, *more: str) -> int:
    return main(["predict", str(film), *more, "--whole-image", "--out-dir", str(out), "--threads", "1"])


@pytest.mark.parametrize(
    ("text", "value"),
    [("90", 90), ("0.25", 0.25), ("1:30", 90), ("01:30.5", 90.5), ("1:02:03", 3723), ("100:00:00.5", 360000.5)],
)
def test_times_are_written_as_for_ffmpeg(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["-1", "1:60", "1:75:00", "1:2:3:4", ":30", "1:", "inf", "nan", "1:-5"])
def test_other_times_are_refused(film: Path, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        _predict_film(film, tmp_path / "out", f"--start={text}")
    assert end.value.code == 2
    assert "--start" in capsys.readouterr().err


def test_trim_is_start_and_end(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert _predict_film(film, out, "--trim", "0:00.08", "00:00:00.2") == 0
    records = [json.loads(line) for line in (out / "film.jsonl").read_text().splitlines()]
    assert [record["time"] for record in records] == [0.08, 0.12, 0.16]
    capsys.readouterr()
    assert _predict_film(film, out, "--trim", "1", "2", "--end", "3") == 2
    assert "--trim: states both ends" in one_line_error(capsys)


def test_side_by_side_draws_raw_and_smoothed_keypoints(film: Path, tmp_path: Path) -> None:
    alone, both = tmp_path / "alone", tmp_path / "both"
    assert _predict_film(film, alone) == 0
    assert _predict_film(film, both, "--side-by-side") == 0
    raw, pair = (list(read_frames(out / "film.mp4")) for out in (alone, both))
    assert pair[9].image.shape == (120, 320, 3)
    assert pair[9].time == raw[9].time
    below = np.s_[40:]  # the titles are above
    difference = np.abs(pair[9].image[below, :160].astype(int) - raw[9].image[below])
    assert difference.mean() < 4  # left: what is drawn without smoothing, encoded anew
    assert np.abs(pair[9].image[below, 160:].astype(int) - raw[9].image[below]).mean() > 2 * difference.mean()
    assert "smoothed" in json.loads((both / "film.jsonl").read_text().splitlines()[5])["persons"][0]


def test_trails_add_lines_behind_people_with_an_id(film: Path, tmp_path: Path) -> None:
    without, trails = tmp_path / "without", tmp_path / "trails"
    assert _predict_film(film, without) == 0
    assert _predict_film(film, trails, "--trails") == 0
    plain, drawn = (list(read_frames(out / "film.mp4")) for out in (without, trails))
    changed = [
        int((np.abs(d.image.astype(int) - p.image).max(axis=2) > 60).sum()) for d, p in zip(drawn, plain, strict=True)
    ]
    assert changed[2] < 20  # the id comes with the third frame, a trail with the fourth
    assert changed[9] > 100
    assert (trails / "film.jsonl").read_bytes() == (without / "film.jsonl").read_bytes()


def test_crops_of_a_video_are_the_best_picture_of_each_track(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert _predict_film(film, out, "--save-crops", "--trails") == 0
    assert [path.name for path in (out / "crops").iterdir()] == ["film_id1.jpg"]
    people = [json.loads(line)["persons"][0] for line in (out / "film.jsonl").read_text().splitlines()]
    best = max(range(2, 10), key=lambda number: people[number]["score"])  # the id comes with the third frame
    crop = read_image(out / "crops" / "film_id1.jpg")
    x, y, width, height = people[best]["bbox"]
    left, top = max(round(x - width / 10), 0), max(round(y - height / 10), 0)
    given = list(read_frames(film))[best].image[top:, left:][: crop.shape[0], : crop.shape[1]]
    assert crop.shape[1] > 60
    assert np.abs(crop.astype(int) - given).mean() < 4  # undrawn


def test_crops_of_photos_are_one_per_person(small_weights: Path, folder: Path, tmp_path: Path) -> None:
    header = "image_id,box_x,box_y,box_width,box_height"
    (tmp_path / "boxes.csv").write_text(f"{header}\n1,10,10,60,120\n1,70,20,40,60\n")
    out, photo_file = tmp_path / "out", folder / "000000000001.jpg"
    for _ in range(2):  # the second run replaces what the first one wrote
        assert predict(small_weights, out, photo_file, "--boxes", tmp_path / "boxes.csv", "--save-crops") == 0
        assert written(out / "crops") == ["000000000001_0.jpg", "000000000001_1.jpg"]
    photo = read_image(photo_file)
    crop = read_image(out / "crops" / "000000000001_0.jpg")
    assert crop.shape == (142, 72, 3)  # a tenth of 60 and 120 on each side, as far as the photo reaches
    assert np.abs(crop.astype(int) - photo[: crop.shape[0], 4:76]).mean() < 6


def test_openpose_files_of_photos_and_frames_have_the_rows_of_the_table(
    film: Path, folder: Path, small_weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert predict_whole(small_weights, out, folder, film, "--openpose", "--csv") == 0
    assert written(out / "openpose") == [f"{number:012}_keypoints.json" for number in (1, 2)]
    assert written(out / "film_openpose") == [f"film_{number:012}_keypoints.json" for number in range(10)]
    with (out / "film.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        content = json.loads((out / "film_openpose" / f"film_{int(row['frame']):012}_keypoints.json").read_text())
        assert len(content["people"]) == (row["person"] != "")
        for person in content["people"]:
            assert person["person_id"] == [int(row["id"]) or -1]
            assert person["pose_keypoints_2d"][0] == pytest.approx(float(row["nose_x"]), rel=1e-5)
            assert person["pose_keypoints_2d"][2] == pytest.approx(float(row["nose_likelihood"]), abs=1e-6)
    assert predict_whole(small_weights, out, film, "--openpose", "--end", "0.1") == 0
    assert written(out / "film-2_openpose") == [f"film_{number:012}_keypoints.json" for number in range(3)]


@pytest.mark.parametrize("option", ["--trails", "--save-crops"])
def test_what_needs_identities_is_refused_without_them(
    film: Path, tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _predict_film(film, tmp_path / "out", option, "--no-track") == 2
    assert f"{option}: needs identities (expected no --no-track)" in one_line_error(capsys)
    assert not (tmp_path / "out").exists()


def test_weights_may_be_an_address_on_the_hub(
    small_weights: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = []

    def download(repository: str, file: str, revision: str | None) -> str:
        asked.append((repository, file, revision))
        return str(small_weights)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    address = "hf://ours/poses@v1/small.safetensors"
    photo = str(folder / "000000000001.jpg")
    words = [
        "predict",
        photo,
        "--weights",
        address,
        "--whole-image",
        "--out-dir",
        str(tmp_path / "out"),
        "--threads",
        "1",
    ]
    assert main(words) == 0
    assert main(["demo", "--weights", address, "--photo", photo, "--out-dir", str(tmp_path / "demo")]) == 0
    assert asked == [("ours/poses", "small.safetensors", "v1")] * 2
    capsys.readouterr()
    assert main(["predict", photo, "--weights", "hf://ours/poses", "--out-dir", str(tmp_path / "none")]) == 2
    assert "hf://ours/poses: not weights on the Hub" in one_line_error(capsys)
    assert not (tmp_path / "none").exists()
