import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tests.figure import draw_figure

import litehrnet
from litehrnet import read_image, write_image
from litehrnet.bench.subject import write_random_weights
from litehrnet.cli.main import main
from litehrnet.cli.predict_photos import image_ids
from litehrnet.detectors.detections import DetectedBoxes
from litehrnet.keypoints.skeletons import unnamed
from litehrnet.variants import find_variant
from litehrnet.weights.weights_file import read_weights
from litehrnet.weights.zoo import DEFAULT_DETECTOR

PORTRAIT = Path(litehrnet.__file__).parent / "photos" / "astronaut.jpg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two drawn figures, numbered like COCO's photos."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in (1, 2):
        write_image(photos / f"{number:012}.jpg", draw_figure((120, 160), seed=number)[0])
    return photos


def _predict(weights: Path, out: Path, *arguments: str | Path) -> int:
    return main(["predict", *map(str, arguments), "--weights", str(weights), "--out-dir", str(out), "--threads", "1"])


def _predict_whole(weights: Path, out: Path, *arguments: str | Path) -> int:
    return _predict(weights, out, *arguments, "--whole-image")


def _written(out: Path) -> list[str]:
    return sorted(file.name for file in out.iterdir() if not file.name.startswith("."))


class Bundled:
    """Stands for the bundled detector: it finds the boxes (x, y, width, height, score) that it was given."""

    description = "bundled"

    def __init__(self, *found: tuple[float, ...]) -> None:
        self.found = np.array(found, np.float32).reshape(-1, 5)

    def detect(self, image: NDArray[np.uint8]) -> DetectedBoxes:
        return DetectedBoxes(self.found[:, :4], self.found[:, 4])


@pytest.fixture
def bundled(monkeypatch: pytest.MonkeyPatch) -> Bundled:
    """One person in every picture; ``found`` may be replaced."""
    detector = Bundled((10, 10, 60, 120, 0.9))

    def opened(name: str, *, min_score: float = 0.3, threads: int | None = None) -> Bundled:
        assert name == DEFAULT_DETECTOR
        detector.found = detector.found[detector.found[:, 4] >= min_score]
        return detector

    monkeypatch.setattr("litehrnet.inference.estimator.open_detector", opened)
    return detector


def test_folder_gives_pictures_and_coco_results(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bundled: Bundled
) -> None:
    out = tmp_path / "out"
    assert _predict(small_weights, out, folder) == 0
    said = capsys.readouterr().out
    assert "runtime: native" in said
    assert "detector: bundled" in said
    assert f"{out}: keypoints.json and drawn pictures (photos: 2, people: 2)" in said
    assert _written(out) == ["000000000001.jpg", "000000000002.jpg", "keypoints.json"]
    drawn, photo = read_image(out / "000000000001.jpg"), read_image(folder / "000000000001.jpg")
    assert drawn.shape == photo.shape
    assert (np.abs(drawn.astype(int) - photo).max(axis=2) > 100).any()
    results = json.loads((out / "keypoints.json").read_text())
    assert [entry["image_id"] for entry in results] == [1, 2]
    assert all(len(entry["keypoints"]) == 51 for entry in results)


def test_boxes_from_a_detector_name_the_persons(small_weights: Path, folder: Path, tmp_path: Path) -> None:
    boxes = [
        {"image_id": 1, "category_id": 1, "bbox": [10, 10, 50, 100], "score": 0.5},
        {"image_id": 1, "category_id": 1, "bbox": [30, 20, 60, 90], "score": 0.25},
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    out = tmp_path / "out"
    assert _predict(small_weights, out, folder, "--boxes", tmp_path / "boxes.json") == 0
    results = json.loads((out / "keypoints.json").read_text())
    assert [(entry["image_id"], entry["bbox"]) for entry in results] == [(1, b["bbox"]) for b in boxes]
    # A photo without persons is drawn as it is.
    assert read_image(out / "000000000002.jpg").shape == read_image(folder / "000000000002.jpg").shape


def test_bad_picture_in_a_folder_is_reported_and_does_not_stop_the_rest(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (folder / "000000000001.jpg").read_bytes()
    (folder / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("not a picture")
    out = tmp_path / "out"
    assert _predict_whole(small_weights, out, folder) == 1
    said = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("left out: ") for line in said) == 2
    assert any("broken.jpg" in line for line in said)
    assert any("text.jpg: not an image" in line for line in said)
    assert _written(out) == ["000000000001.jpg", "000000000002.jpg", "keypoints.json"]


def test_two_photos_of_one_name_do_not_overwrite_each_other_nor_their_source(
    small_weights: Path, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    first = folder / "000000000001.jpg"
    before = first.read_bytes()
    (other / first.name).write_bytes(before)
    assert _predict_whole(small_weights, folder, first, other / first.name) == 0
    assert first.read_bytes() == before
    names = sorted(file.name for file in folder.iterdir() if file.stem.startswith("000000000001"))
    assert names == ["000000000001-2.jpg", "000000000001-3.jpg", "000000000001.jpg"]


def _one_line_error(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "Traceback" not in error
    return error


def _bad_files(tmp_path: Path) -> dict[str, Path]:
    figure = draw_figure((60, 80))[0]
    write_image(tmp_path / "good.jpg", figure)
    whole = (tmp_path / "good.jpg").read_bytes()
    png = cv2.imencode(".png", figure)[1].tobytes()
    # The size stands in bytes 16 to 24 of a PNG, checked by the CRC behind it: a header that claims 60,000 x 60,000.
    huge = bytearray(png)
    huge[16:24] = (60000).to_bytes(4, "big") * 2
    import zlib

    huge[29:33] = zlib.crc32(bytes(huge[12:29])).to_bytes(4, "big")
    contents = {
        "empty.jpg": b"",
        "text.jpg": b"hello world, this is no picture",
        "cut.jpg": whole[:-100],
        "cut.png": png[:-30],
        "huge.png": bytes(huge),
        "animated.gif": b"GIF89a" + bytes(40),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in [*contents, "missing.jpg"]}


@pytest.mark.parametrize(
    "name", ["empty.jpg", "text.jpg", "cut.jpg", "cut.png", "huge.png", "animated.gif", "missing.jpg"]
)
def test_bad_photo_is_one_line_and_exit_code_2(
    small_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = _bad_files(tmp_path)[name]
    out = tmp_path / "out"
    assert _predict_whole(small_weights, out, file) == 2
    assert name in _one_line_error(capsys)
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.parametrize(
    "box", [[500, 500, 10, 10], [0, 0, 0, 10], [0, 0, float("nan"), 10], [0, 0, 10], ["a", 0, 1, 1]]
)
def test_bad_box_is_one_line_and_exit_code_2(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], box: list[float]
) -> None:
    (tmp_path / "boxes.json").write_text(json.dumps([{"image_id": 1, "bbox": box, "score": 1}]))
    photo = folder / "000000000001.jpg"
    assert _predict(small_weights, tmp_path / "out", photo, "--boxes", tmp_path / "boxes.json") == 2
    assert "box" in _one_line_error(capsys)


def test_one_pixel_is_a_photo(small_weights: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), np.full((1, 1, 3), 200, np.uint8))
    assert _predict_whole(small_weights, tmp_path / "out", tmp_path / "one.png") == 0


def test_empty_folder_and_glob_without_match_are_errors(
    small_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert _predict_whole(small_weights, tmp_path / "out", tmp_path / "empty") == 2
    _one_line_error(capsys)
    assert _predict_whole(small_weights, tmp_path / "out", tmp_path / "*.jpg") == 2
    _one_line_error(capsys)


def test_output_folder_that_cannot_be_made_is_an_error(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert _predict_whole(small_weights, tmp_path / "file" / "out", folder) == 2
    assert "cannot be created" in _one_line_error(capsys)


def test_missing_weights_are_an_error(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _predict_whole(tmp_path / "none.onnx", tmp_path / "out", folder) == 2
    assert "none.onnx: no such file" in _one_line_error(capsys)


def _detector(path: Path, score: float) -> Path:
    """A YOLOv8-style network, end to end, that sees one person in any picture.

    Its input has 64x64 pixels; a photo of 120x160 (width x height) is 48 of them wide, in the middle.
    """
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 0] = (
        16,
        0,
        32,
        32,
        score,
        0,
    )
    constant = numpy_helper.from_array(rows, "rows")
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, 64, 64))
    output = helper.make_tensor_value_info("output0", TensorProto.FLOAT, rows.shape)
    node = helper.make_node("Identity", ["rows"], ["output0"])
    graph = helper.make_graph([node], "detector", [image], [output], [constant])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_detector_finds_the_persons(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert _predict(small_weights, out, folder, "--detector", _detector(tmp_path / "detector.onnx", 0.75)) == 0
    assert "detector: YOLOv8, end to end, 64x64 (width x height), onnxruntime" in capsys.readouterr().out
    results = json.loads((out / "keypoints.json").read_text())
    assert [(entry["image_id"], entry["bbox"]) for entry in results] == [(1, [20, 0, 40, 80]), (2, [20, 0, 40, 80])]


def test_photos_without_persons_give_their_picture_and_no_results(
    small_weights: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert _predict(small_weights, out, folder, "--detector", _detector(tmp_path / "detector.onnx", 0.01)) == 0
    assert json.loads((out / "keypoints.json").read_text()) == []
    assert _written(out) == ["000000000001.jpg", "000000000002.jpg", "keypoints.json"]


def test_detector_that_is_none_and_boxes_beside_one_are_one_line_and_exit_code_2(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert _predict(small_weights, out, folder, "--detector", small_weights) == 2
    assert "small.safetensors: finds" in _one_line_error(capsys)
    assert _predict(small_weights, out, folder, "--detector", small_weights, "--boxes", tmp_path / "boxes.json") == 2
    assert "expected one of them" in _one_line_error(capsys)
    assert not out.exists()


def test_a_first_minute_needs_no_flags(
    bundled: Bundled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_image("photo.jpg", draw_figure((120, 160))[0])
    for folder in ("litehrnet-out", "litehrnet-out-2"):
        assert main(["predict", "photo.jpg"]) == 0
        assert f"{folder}: keypoints.json and drawn pictures (photos: 1, people: 1)\n" in capsys.readouterr().out
        assert _written(tmp_path / folder) == ["keypoints.json", "photo.jpg"]


def test_nobody_is_an_answer_and_nothing_is_drawn(
    small_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bundled: Bundled
) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    write_image(tmp_path / "empty.png", photo)
    bundled.found = bundled.found[:0]
    out = tmp_path / "out"
    assert _predict(small_weights, out, tmp_path / "empty.png") == 0
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
    assert _predict(small_weights, out, *photos) == 0
    results = json.loads((out / "keypoints.json").read_text())
    assert [(entry["image_id"], entry["file_name"]) for entry in results] == [(1, str(photos[0])), (2, str(photos[1]))]
    assert _written(out) == ["0001-2.jpg", "0001.jpg", "keypoints.json"]
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
    assert _predict(small_weights, out, tmp_path / "cam1", tmp_path / "cam2", "--boxes", boxes) == 0
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
        assert _predict(small_weights, tmp_path, tmp_path / "a.jpg", tmp_path / "scan.jfif") == 0
        said = capsys.readouterr().out
        assert "keypoints-2.json and drawn pictures (photos: 2, people: 2)" in said
        names = ["a-2.jpg", "a-3.jpg", "a.jpg", "keypoints-2.json", "keypoints.json", "scan-2.jpg", "scan.jfif"]
        assert _written(tmp_path) == [*names, "scan.jpg"]
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
    assert _predict(small_weights, out, folder / "000000000001.jpg", "--boxes", tmp_path / "boxes.json") == 1
    said = capsys.readouterr().out
    assert [entry["bbox"] for entry in json.loads((out / "keypoints.json").read_text())] == [boxes[0], boxes[2]]
    left_out = [line for line in said.splitlines() if line.startswith("left out: ")]
    assert [line.partition("jpg: box ")[2][:1] for line in left_out] == ["1", "3", "4", "5", "6", "7"]


def test_boxes_of_another_category_are_said(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "boxes.json", tmp_path / "out"
    path.write_text(json.dumps([{"image_id": 1, "category_id": 0, "bbox": [1, 1, 9, 9], "score": 1}] * 3))
    assert _predict(small_weights, out, folder, "--boxes", path) == 2
    assert "none of 3 boxes belongs to category 1 (expected people; it has category 0)" in _one_line_error(capsys)
    path.write_text(json.dumps([{"image_id": 1, "category_id": "1", "bbox": [1, 1, 9, 9], "score": 0.002}]))
    assert _predict(small_weights, out, folder, "--boxes", path) == 0
    said = capsys.readouterr().out
    assert "boxes.json: 1 of 1 boxes have a score under 0.3 (--min-box-score 0.3 leaves them out)" in said
    assert "people: 1)" in said
    assert _predict(small_weights, out, folder, "--boxes", path, "--min-box-score", "0.3") == 0
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
        assert _predict(small_weights, out, photo, *options) == 0
        assert len(json.loads((out / "keypoints.json").read_text())) == count


def test_files_of_other_kinds_are_counted(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bundled: Bundled
) -> None:
    for name in ("IMG_1.HEIC", "IMG_2.HEIC", "notes.txt", ".hidden"):
        (folder / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(12))
    assert _predict(small_weights, tmp_path / "out", folder) == 0
    assert "skipped, not in a supported photo format: 2 .heic, 1 .txt\n" in capsys.readouterr().out
    assert _predict(small_weights, tmp_path / "out", folder / "IMG_1.HEIC") == 2
    assert "IMG_1.HEIC: is HEIC, which is not supported (expected JPEG, PNG" in _one_line_error(capsys)


def test_drawing_options_change_the_picture_and_not_the_results(
    small_weights: Path, folder: Path, tmp_path: Path, bundled: Bundled
) -> None:
    photo, pictures, results = folder / "000000000001.jpg", [], []
    for number, options in enumerate(
        ([], ["--line-width", "9"], ["--colors", "00ff00", "00ff00", "00ff00"], ["--min-keypoint-score", "1"])
    ):
        out = tmp_path / str(number)
        assert _predict(small_weights, out, photo, *options) == 0
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
    assert said in _one_line_error(capsys)
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
    assert _predict(weights, tmp_path / "out", folder) == 0
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
    assert _predict(small_weights, out, tmp_path) == 0
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
    assert _predict_whole(small_weights, tmp_path / "out", folder) == 0
    assert read == [small_weights]
