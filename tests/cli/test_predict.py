import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.cli.predicting import Bundled, one_line_error, predict, predict_whole, written
from tests.figure import draw_figure

from litehrnet import read_image, write_image


def test_folder_gives_pictures_and_coco_results(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bundled: Bundled
) -> None:
    out = tmp_path / "out"
    assert predict(small_weights, out, folder) == 0
    said = capsys.readouterr().out
    assert "runtime: native" in said
    assert "detector: bundled" in said
    assert f"{out}: keypoints.json and drawn pictures (photos: 2, people: 2)" in said
    assert written(out) == ["000000000001.jpg", "000000000002.jpg", "keypoints.json"]
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
    assert predict(small_weights, out, folder, "--boxes", tmp_path / "boxes.json") == 0
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
    assert predict_whole(small_weights, out, folder) == 1
    said = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("left out: ") for line in said) == 2
    assert any("broken.jpg" in line for line in said)
    assert any("text.jpg: not an image" in line for line in said)
    assert written(out) == ["000000000001.jpg", "000000000002.jpg", "keypoints.json"]


def test_two_photos_of_one_name_do_not_overwrite_each_other_nor_their_source(
    small_weights: Path, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    first = folder / "000000000001.jpg"
    before = first.read_bytes()
    (other / first.name).write_bytes(before)
    assert predict_whole(small_weights, folder, first, other / first.name) == 0
    assert first.read_bytes() == before
    names = sorted(file.name for file in folder.iterdir() if file.stem.startswith("000000000001"))
    assert names == ["000000000001-2.jpg", "000000000001-3.jpg", "000000000001.jpg"]


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
    assert predict_whole(small_weights, out, file) == 2
    assert name in one_line_error(capsys)
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.parametrize(
    "box", [[500, 500, 10, 10], [0, 0, 0, 10], [0, 0, float("nan"), 10], [0, 0, 10], ["a", 0, 1, 1]]
)
def test_bad_box_is_one_line_and_exit_code_2(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], box: list[float]
) -> None:
    (tmp_path / "boxes.json").write_text(json.dumps([{"image_id": 1, "bbox": box, "score": 1}]))
    photo = folder / "000000000001.jpg"
    assert predict(small_weights, tmp_path / "out", photo, "--boxes", tmp_path / "boxes.json") == 2
    assert "box" in one_line_error(capsys)


def test_one_pixel_is_a_photo(small_weights: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), np.full((1, 1, 3), 200, np.uint8))
    assert predict_whole(small_weights, tmp_path / "out", tmp_path / "one.png") == 0


def test_empty_folder_and_glob_without_match_are_errors(
    small_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert predict_whole(small_weights, tmp_path / "out", tmp_path / "empty") == 2
    one_line_error(capsys)
    assert predict_whole(small_weights, tmp_path / "out", tmp_path / "*.jpg") == 2
    one_line_error(capsys)


def test_output_folder_that_cannot_be_made_is_an_error(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert predict_whole(small_weights, tmp_path / "file" / "out", folder) == 2
    assert "cannot be created" in one_line_error(capsys)


def test_missing_weights_are_an_error(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict_whole(tmp_path / "none.onnx", tmp_path / "out", folder) == 2
    assert "none.onnx: no such file" in one_line_error(capsys)


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
    assert predict(small_weights, out, folder, "--detector", _detector(tmp_path / "detector.onnx", 0.75)) == 0
    assert "detector: YOLOv8, end to end, 64x64 (width x height), onnxruntime" in capsys.readouterr().out
    results = json.loads((out / "keypoints.json").read_text())
    assert [(entry["image_id"], entry["bbox"]) for entry in results] == [(1, [20, 0, 40, 80]), (2, [20, 0, 40, 80])]


def test_photos_without_persons_give_their_picture_and_no_results(
    small_weights: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert predict(small_weights, out, folder, "--detector", _detector(tmp_path / "detector.onnx", 0.01)) == 0
    assert json.loads((out / "keypoints.json").read_text()) == []
    assert written(out) == ["000000000001.jpg", "000000000002.jpg", "keypoints.json"]


def test_detector_that_is_none_and_boxes_beside_one_are_one_line_and_exit_code_2(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert predict(small_weights, out, folder, "--detector", small_weights) == 2
    assert "small.safetensors: finds" in one_line_error(capsys)
    assert predict(small_weights, out, folder, "--detector", small_weights, "--boxes", tmp_path / "boxes.json") == 2
    assert "expected one of them" in one_line_error(capsys)
    assert not out.exists()
