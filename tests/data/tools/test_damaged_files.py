"""``litehrnet data convert``: broken and damaged files of other tools are refused in one sentence."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.data.tools import layouts

from litehrnet.cli.main import main
from litehrnet.data.annotations import normalized
from litehrnet.data.tools.kinds import read_project
from litehrnet.data.tools.writing import converted
from litehrnet.errors import UserError

Write = Callable[[Path], Path]


def _convert(source: Path, *more: str | Path) -> tuple[int, Path]:
    out = source.parent / "out.json"
    return main(["data", "convert", str(source), "--out", str(out), *map(str, more)]), out


BROKEN = {
    "none": (None, "nowhere: cannot be read (No such file or directory)"),
    "text": (b"hello", "not recognized (expected CVAT's XML for images, "),
    "coco": (
        b'{"images": []}',
        "a JSON object is not converted (COCO's annotations are named in a recipe as they are)",
    ),
    "xml": (b"<annotations><image", "not valid XML in UTF-8"),
    "xml-utf16": ("<annotations/>".encode("utf-16"), "not recognized"),
    "xml-entities": (b'<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>', "declares a document type"),
    "xml-video": (b"<annotations><track id='0'/></annotations>", "is CVAT's format for videos"),
    "xml-empty": (b"<annotations></annotations>", "no object has keypoints"),
    "xml-number": (
        b"<annotations><image name='a' width='x' height='2'/></annotations>",
        "is not laid out as CVAT's XML for images (ValueError: invalid literal",
    ),
    "xml-nan": (
        b"<annotations><image name='a.png' width='9' height='9'><points label='x' points='nan,1'/></image>"
        b"</annotations>",
        "a.png: a place is not finite",
    ),
    "json-min": (b'[{"image": "a.png"}]', "not tasks of Label Studio (expected its export in the format 'JSON'"),
    "json": (b"[{", "not a JSON file"),
    "json-no-photo": (b'[{"id": 7, "data": {}}]', "task 7 names no photo"),
    "json-regions": (b'[{"data": {"image": "a"}, "annotations": [{"result": [{}]}]}]', "(KeyError: 'type')"),
    "csv": (b"scorer,me\nbodyparts,beak\n", "not labels of DeepLabCut (expected the rows scorer, bodyparts and coords"),
    "csv-predictions": (
        b"scorer,n,n,n\nbodyparts,b,b,b\ncoords,x,y,likelihood\n0,1,2,0.5\n",
        "holds predictions of DeepLabCut",
    ),
    "csv-cells": (b"scorer,n,n\nbodyparts,b,b\ncoords,x,y\na.png,1\n", "line 4: has 2 cells (expected 3)"),
    "csv-number": (b"scorer,n,n\nbodyparts,b,b\ncoords,x,y\na.png,1,b\n", "line 4: b is not a number"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(90), "cannot be read as HDF5"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_one_sentence_and_write_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = BROKEN[name]
    source = tmp_path / "nowhere"
    if content is not None:
        source.write_bytes(content)
    code, out = _convert(source)
    said = capsys.readouterr()
    assert code == 2
    assert message in said.err
    assert (said.err.count("\n"), said.out, out.exists()) == (1, "", False)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kpt_shape", "shape", "kpt_shape is None (expected the number of keypoints, and 2 or 3)"),
        ("names:\n  0: bird", "names: {1: bird}", "names is {1: 'bird'} (expected a name for each class, from 0)"),
        ("- 0\n- 2\n- 1", "- 0\n- 2\n- 2", "flip_idx is [0, 2, 2] (expected each of 3 keypoints once)"),
        ("- images", "- nowhere", "nowhere: no such file"),
        ("train:\n- images\nval: list.txt", "", "train, val and test name no photo"),
        (
            "kpt_shape:\n- 3\n- 3",
            "kpt_shape: [3, 2]",
            "one.txt, line 1: has 14 numbers (expected 11, as kpt_shape says)",
        ),
        ("- beak", "- left_wing", "kpt_names is ['left_wing', 'left_wing', 'right_wing'] (expected 3 different names)"),
        ("path", "{", "not valid YAML"),
    ],
)
def test_broken_yolo_sets_are_one_sentence(
    old: str, new: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = layouts.yolo(tmp_path)
    assert old in source.read_text()
    source.write_text(source.read_text().replace(old, new))
    assert _convert(source)[0] == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 bird", "line 1: not numbers (expected a class, a box and keypoints)"),
        ("1" + " 0.5" * 13, "line 1: is of class 1 (expected 0 to 0)"),
        ("0" + " 50" * 13, "line 1: has places beyond 1 (expected fractions of the photo)"),
    ],
)
def test_broken_lines_of_yolo_are_one_sentence(
    line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = layouts.yolo(tmp_path)
    (tmp_path / "labels" / "one.txt").write_text(line)
    assert _convert(source)[0] == 2
    assert message in capsys.readouterr().err


def test_hdf5_of_others_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group("x")
    assert _convert(tmp_path / "x.h5")[0] == 2
    assert "not a file of SLEAP" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("part", "replacement", "message"),
    [
        ("block0_values", "block0_values", "/df_with_missing/block0_values is pickled, and reading that may run code"),
        ("axis0_level1", "axis0_level1", "/df_with_missing/axis0_level1 is pickled, and reading that may run code"),
        ("block0_values", "table", "the list of its columns is pickled, and reading that may run code (expected the"),
    ],
    ids=["values of objects", "names of objects", "table format"],
)
def test_pickled_labels_of_deeplabcut_are_refused(
    part: str, replacement: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = layouts.deeplabcut_hdf5(tmp_path)
    with h5py.File(source, "r+") as file:
        table = file["df_with_missing"]
        del table[part]
        objects = table.create_dataset(replacement, (1,), h5py.vlen_dtype(np.uint8))
        objects[0] = np.frombuffer(pickle.dumps(["beak"]), np.uint8)
    assert _convert(source)[0] == 2
    assert message in capsys.readouterr().err


def test_predictions_of_deeplabcut_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = layouts.deeplabcut_hdf5(tmp_path)
    with h5py.File(source, "r+") as file:
        for name in ("axis0_level3", "block0_items_level3"):
            labels = file["df_with_missing"][name].attrs["name"]
            del file["df_with_missing"][name]
            file["df_with_missing"][name] = np.array(["likelihood", "x"], "S")
            file["df_with_missing"][name].attrs["name"] = labels
    assert _convert(source)[0] == 2
    assert "holds predictions of DeepLabCut" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("filename", "held"), [(".", "holds its frames itself"), ("birds.pkg.slp", "has its frames in birds.pkg.slp")]
)
def test_a_sleap_package_with_its_frames_inside_is_refused(
    filename: str, held: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = layouts.sleap_project(tmp_path)
    with h5py.File(source, "r+") as file:
        del file["videos_json"]
        backend = {"filename": filename, "dataset": "video0/video", "shape": [3, 48, 64, 1]}
        file["videos_json"] = [np.bytes_(json.dumps({"backend": backend}))]
    assert _convert(source)[0] == 2
    assert f"{held} (expected the .slp project that names its photos or videos)" in capsys.readouterr().err


WRITERS: list[Write] = [
    layouts.cvat_skeletons,
    layouts.cvat_points,
    layouts.label_studio,
    layouts.yolo,
    layouts.deeplabcut,
    layouts.deeplabcut_hdf5,
    layouts.sleap_project,
    layouts.sleap_analysis,
]


def _damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Delete, replace or repeat a few bytes, or put another value there."""
    values = [b"null", b"-1", b"nan", b"[]", b"1e999", b'"', b"0"]
    start, length = int(random.integers(len(content))), int(random.integers(1, 20))
    middle = [b"", random.bytes(length), 2 * content[start : start + length], values[random.integers(len(values))]]
    return content[:start] + middle[random.integers(4)] + content[start + length :]


def _refusal(source: Path, content: bytes) -> str | None:
    """Convert a file; return why it is refused, or None."""
    source.write_bytes(content)
    try:
        project = read_project(source)
        for part in converted(project, project.images):
            normalized(source, part.content)
    except UserError as error:
        return str(error)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_damaged_files_are_read_or_refused_in_one_sentence(write: Write, tmp_path: Path) -> None:
    source = write(tmp_path)
    content, random = source.read_bytes(), np.random.default_rng(0)
    messages = [_refusal(source, _damaged(content, random)) for _ in range(300)]
    refused = [message for message in messages if message is not None]
    assert 0 < len(refused) < 300
    assert not any("\n" in message for message in refused)
