import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.cli.predicting import PORTRAIT, Bundled, one_line_error, predict, predict_whole, written
from tests.figure import draw_figure

from litehrnet import read_image, write_image
from litehrnet.bench.subject import write_random_weights
from litehrnet.cli.main import main
from litehrnet.cli.predict_photos import image_ids
from litehrnet.keypoints.skeletons import unnamed
from litehrnet.variants import find_variant
from litehrnet.weights.weights_file import read_weights


def test_a_first_minute_needs_no_flags(
    bundled: Bundled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_image("photo.jpg", draw_figure((120, 160))[0])
    for folder in ("litehrnet-out", "litehrnet-out-2"):
        assert main(["predict", "photo.jpg"]) == 0
        assert f"{folder}: keypoints.json and drawn pictures (photos: 1, people: 1)\n" in capsys.readouterr().out
        assert written(tmp_path / folder) == ["keypoints.json", "photo.jpg"]


def test_nobody_is_an_answer_and_nothing_is_drawn(
    small_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bundled: Bundled
) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    write_image(tmp_path / "empty.png", photo)
    bundled.found = bundled.found[:0]
    out = tmp_path / "out"
    assert predict(small_weights, out, tmp_path / "empty.png") == 0
    assert "nobody found: " in capsys.readouterr().out
    np.testing.assert_array_equal(read_image(out / "empty.png"), photo)
    assert json.loads((out / "keypoints.json").read_text()) == []


def test_a_whole_image_shows_somebody_only_if_keypoints_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the bundled weights: a portrait, and a smooth picture of nothing."""
    nothing = np.repeat(np.linspace(90, 160, 120).astype(np.uint8)[:, None, None], 100, axis=1).repeat(3, axis=2)
    write_image(tmp_path / "nothing.png", nothing)
    out = tmp_path / "out"
    arguments = ["--whole-image", "--out-dir", str(out), "--threads", "1"]
    assert main(["predict", str(PORTRAIT), str(tmp_path / "nothing.png"), *arguments]) == 0
    said = capsys.readouterr().out
    assert "(photos: 2, people: 1)" in said
    assert f"nobody found in 1 of 2 photos: {tmp_path / 'nothing.png'}\n" in said
    np.testing.assert_array_equal(read_image(out / "nothing.png"), nothing)
    (person,) = json.loads((out / "keypoints.json").read_text())
    assert person["file_name"] == str(PORTRAIT)


def test_photos_of_one_name_keep_apart(
    small_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bundled: Bundled
) -> None:
    photos = [tmp_path / f"cam{number}" / "0001.jpg" for number in (1, 2)]
    for number, photo in enumerate(photos):
        photo.parent.mkdir()
        write_image(photo, draw_figure((120, 160), seed=number)[0])
    out = tmp_path / "out"
    assert predict(small_weights, out, *photos) == 0
    results = json.loads((out / "keypoints.json").read_text())
    assert [(entry["image_id"], entry["file_name"]) for entry in results] == [(1, str(photos[0])), (2, str(photos[1]))]
    assert written(out) == ["0001-2.jpg", "0001.jpg", "keypoints.json"]
    assert f"other names: {out / '0001-2.jpg'} (0001.jpg was taken)\n" in capsys.readouterr().out


def test_boxes_of_photos_of_one_name_are_told_apart_by_their_folders(small_weights: Path, tmp_path: Path) -> None:
    for name in ("cam1", "cam2"):
        (tmp_path / name).mkdir()
        write_image(tmp_path / name / "0001.jpg", draw_figure((120, 160))[0])
    content = {
        "images": [{"id": 7, "file_name": "cam1/0001.jpg"}, {"id": 9, "file_name": "cam2/0001.jpg"}],
        "annotations": [{"image_id": 9, "bbox": [2, 2, 20, 40]}, {"image_id": 7, "bbox": [1, 1, 20, 40]}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    out, boxes = tmp_path / "out", tmp_path / "boxes.json"
    assert predict(small_weights, out, tmp_path / "cam1", tmp_path / "cam2", "--boxes", boxes) == 0
    results = json.loads((out / "keypoints.json").read_text())
    assert [(entry["image_id"], entry["bbox"]) for entry in results] == [(7, [1, 1, 20, 40]), (9, [2, 2, 20, 40])]


def test_files_of_the_users_are_kept(
    small_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bundled: Bundled
) -> None:
    figure = draw_figure((120, 160))[0]
    write_image(tmp_path / "a.jpg", figure)
    (tmp_path / "scan.jfif").write_bytes((tmp_path / "a.jpg").read_bytes())
    users = {name: f"the user's {name}".encode() for name in ("a-2.jpg", "scan.jpg", "keypoints.json")}
    for name, content in users.items():
        (tmp_path / name).write_bytes(content)
    for _ in range(2):  # the second run replaces what the first one wrote
        assert predict(small_weights, tmp_path, tmp_path / "a.jpg", tmp_path / "scan.jfif") == 0
        said = capsys.readouterr().out
        assert "keypoints-2.json and drawn pictures (photos: 2, people: 2)" in said
        names = ["a-2.jpg", "a-3.jpg", "a.jpg", "keypoints-2.json", "keypoints.json", "scan-2.jpg", "scan.jfif"]
        assert written(tmp_path) == [*names, "scan.jpg"]
        assert {name: (tmp_path / name).read_bytes() for name in users} == users
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), read_image(tmp_path / "scan.jfif"))


def test_useless_boxes_are_left_out_and_named_not_their_photo(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = [[10, 10, 50, 100], [10, 10, 0, 100], [-30, 5, 60, 90], [500, 0, 9, 9], [1, 2, 3], [0, 0, 9, None], None]
    entries = [{"image_id": 1, "bbox": box, "score": 0.5} for box in boxes]
    entries.append({"image_id": 1, "bbox": [1, 1, 9, 9], "score": float("nan")})
    (tmp_path / "boxes.json").write_text(json.dumps(entries))
    out = tmp_path / "out"
    assert predict(small_weights, out, folder / "000000000001.jpg", "--boxes", tmp_path / "boxes.json") == 1
    said = capsys.readouterr().out
    assert [entry["bbox"] for entry in json.loads((out / "keypoints.json").read_text())] == [boxes[0], boxes[2]]
    left_out = [line for line in said.splitlines() if line.startswith("left out: ")]
    assert [line.partition("jpg: box ")[2][:1] for line in left_out] == ["1", "3", "4", "5", "6", "7"]


def test_boxes_of_another_category_are_said(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "boxes.json", tmp_path / "out"
    path.write_text(json.dumps([{"image_id": 1, "category_id": 0, "bbox": [1, 1, 9, 9], "score": 1}] * 3))
    assert predict(small_weights, out, folder, "--boxes", path) == 2
    assert "none of 3 boxes belongs to category 1 (expected people; it has category 0)" in one_line_error(capsys)
    path.write_text(json.dumps([{"image_id": 1, "category_id": "1", "bbox": [1, 1, 9, 9], "score": 0.002}]))
    assert predict(small_weights, out, folder, "--boxes", path) == 0
    said = capsys.readouterr().out
    assert "boxes.json: 1 of 1 boxes have a score under 0.3 (--min-box-score 0.3 leaves them out)" in said
    assert "people: 1)" in said
    assert predict(small_weights, out, folder, "--boxes", path, "--min-box-score", "0.3") == 0
    assert "people: 0)" in capsys.readouterr().out


def test_scores_and_numbers_choose_the_people(
    small_weights: Path, folder: Path, tmp_path: Path, bundled: Bundled
) -> None:
    bundled.found = np.array([[60, 9, 50, 90, 0.9], [0, 0, 40, 60, 0.6], [5, 70, 90, 80, 0.4]], np.float32)
    out, photo = tmp_path / "out", folder / "000000000001.jpg"
    for options, count in (
        (["--min-box-score", "0.1"], 3),
        (["--min-box-score", "0.5"], 2),
        (["--max-persons", "1"], 1),
    ):
        assert predict(small_weights, out, photo, *options) == 0
        assert len(json.loads((out / "keypoints.json").read_text())) == count


def test_files_of_other_kinds_are_counted(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bundled: Bundled
) -> None:
    for name in ("1.XCF", "2.xcf", "notes.txt", ".hidden"):
        (folder / name).write_bytes(b"gimp xcf")
    assert predict(small_weights, tmp_path / "out", folder) == 0
    assert "skipped: 1 .txt, 2 .xcf\n" in capsys.readouterr().out
    assert predict(small_weights, tmp_path / "out", folder / "1.XCF") == 2
    assert "1.XCF: not an image (expected JPEG, PNG" in one_line_error(capsys)


def test_drawing_options_change_the_picture_and_not_the_results(
    small_weights: Path, folder: Path, tmp_path: Path, bundled: Bundled
) -> None:
    photo, pictures, results = folder / "000000000001.jpg", [], []
    for number, options in enumerate(
        ([], ["--line-width", "9"], ["--colors", "00ff00", "00ff00", "00ff00"], ["--min-keypoint-score", "1"])
    ):
        out = tmp_path / str(number)
        assert predict(small_weights, out, photo, *options) == 0
        pictures.append((out / photo.name).read_bytes())
        results.append((out / "keypoints.json").read_bytes())
    assert len(set(pictures)) == 4
    assert len(set(results)) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--whole-image", "--detector", "x"], "--detector and --whole-image: both state where the people are"),
        (["--whole-image", "--min-box-score", "0.5"], "--min-box-score: does not work with --whole-image"),
    ],
)
def test_options_that_contradict_each_other_are_one_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert main(["predict", str(folder), "--out-dir", str(tmp_path / "out"), *options]) == 2
    assert said in one_line_error(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words", [["--min-box-score", "2"], ["--colors", "red", "00ff00", "00ff00"], ["--max-persons", "0"]]
)
def test_values_out_of_range_are_refused(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(["predict", "photo.jpg", *words])
    assert words[0] in capsys.readouterr().err


def test_weights_that_find_no_people_take_the_whole_picture_and_say_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bundled: Bundled
) -> None:
    """Keypoints of a user's own: the bundled detector would find people, not what these weights are for."""
    weights, birds = tmp_path / "birds.safetensors", unnamed(3)
    write_random_weights(weights, find_variant("naive_lite_hrnet_18"), (64, 64), birds)
    assert predict(weights, tmp_path / "out", folder) == 0
    said = capsys.readouterr().out
    assert "no detector: each picture is one object's box (the bundled detector finds people, and" in said
    assert "detector: bundled" not in said


def test_photos_of_every_size_and_sort_are_taken(small_weights: Path, tmp_path: Path, bundled: Bundled) -> None:
    bundled.found[:, :4] = (-20, -20, 60, 60)  # partly outside
    figure = draw_figure((120, 160))[0]
    cv2.imwrite(str(tmp_path / "one.png"), np.full((1, 1, 3), 200, np.uint8))
    cv2.imwrite(str(tmp_path / "wide.png"), np.full((3, 10_000, 3), 200, np.uint8))
    cv2.imwrite(str(tmp_path / "gray.png"), figure[..., 0])
    write_image(tmp_path / "turned.jpg", figure)
    stored = (tmp_path / "turned.jpg").read_bytes()
    quarter = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # orientation 6
    exif = b"\xff\xe1" + (len(quarter) + 2).to_bytes(2, "big") + quarter
    (tmp_path / "turned.jpg").write_bytes(stored[:2] + exif + stored[2:])
    out = tmp_path / "out"
    assert predict(small_weights, out, tmp_path) == 0
    for name, size in (("one", (1, 1)), ("wide", (3, 10_000)), ("gray", figure.shape[:2])):
        assert read_image(out / f"{name}.png").shape == (*size, 3)
    assert read_image(out / "turned.jpg").shape == (*figure.shape[1::-1], 3)  # upright


def test_ids_are_those_of_the_names_where_these_tell_photos_apart() -> None:
    numbers: dict[Path, int | str | None] = {
        Path("a.jpg"): None,
        Path("2.jpg"): 2,
        Path("x/1.jpg"): 1,
        Path("y/1.jpg"): 1,
        Path("b.jpg"): None,
    }
    assert list(image_ids(numbers).values()) == [3, 2, 4, 5, 6]
    assert list(image_ids({Path("a.jpg"): None, Path("b.jpg"): "b"}).values()) == [1, "b"]


def test_weights_are_read_once(
    small_weights: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path) -> Any:
        read.append(path)
        return read_weights(path)

    monkeypatch.setattr("litehrnet.runtimes.native.read_weights", counted)
    monkeypatch.setattr("litehrnet.runtimes.open.read_weights", counted)
    assert predict_whole(small_weights, tmp_path / "out", folder) == 0
    assert read == [small_weights]
