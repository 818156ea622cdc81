import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.random_poses import random_poses

from litehrnet import UserError
from litehrnet.keypoints.likelihood import CURVE
from litehrnet.results.files import read_people, write_csv, write_parquet
from litehrnet.results.rows import Columns, Found, to_columns, to_dataframe, to_rows

COLUMNS = [
    *("image", "image_id", "person", "box_x", "box_y", "box_width", "box_height", "box_score", "score"),
    *("left_eye_x", "left_eye_y", "left_eye_score", "left_eye_likelihood"),
    *("right_eye_x", "right_eye_y", "right_eye_score", "right_eye_likelihood"),
]


@pytest.fixture
def table() -> Columns:
    """Photos with two people, with nobody, and with one person."""
    return to_columns([Found(random_poses(n), {"image": f"{n},ä.jpg", "image_id": n}) for n in (2, 0, 1)])


def test_a_table_has_a_row_per_person_and_one_where_there_is_nobody(table: Columns) -> None:
    rows = to_rows(table)
    assert list(table) == COLUMNS
    assert [(row["image_id"], row["person"]) for row in rows] == [(2, 0), (2, 1), (0, None), (1, 0)]
    assert set(list(rows[2].values())[2:]) == {None}
    poses = random_poses(2)
    assert rows[1]["right_eye_x"] == poses.keypoints[1, 1, 0]
    assert rows[1]["box_height"] == poses.boxes[1, 3]
    assert rows[1]["score"] == poses.pose_scores[1]
    assert rows[1]["left_eye_likelihood"] == pytest.approx(CURVE(poses.scores)[1, 0], rel=1e-6)
    json.dumps(rows)


def test_a_table_of_frames_has_identities_and_smoothed_keypoints() -> None:
    poses, steady = random_poses(2), np.full((2, 2, 2), 7, np.float32)
    nobody = Found(random_poses(0), {"frame": 1}, np.empty(0, np.intp), np.empty((0, 2, 2), np.float32))
    rows = to_rows(to_columns([Found(poses, {"frame": 0}, np.array([4, 0]), steady), nobody]))
    assert [(row["frame"], row["id"], row["left_eye_smooth_y"]) for row in rows] == [
        (0, 4, 7),
        (0, 0, 7),
        (1, None, None),
    ]


def test_csv_and_parquet_hold_exactly_the_rows(table: Columns, tmp_path: Path) -> None:
    import pandas
    import pyarrow.parquet

    write_csv(tmp_path / "t.csv", table)
    write_parquet(tmp_path / "t.parquet", table)
    rows = to_rows(table)
    assert pyarrow.parquet.read_table(tmp_path / "t.parquet").to_pylist() == rows
    frame = pandas.read_csv(tmp_path / "t.csv", dtype=dict.fromkeys(COLUMNS[3:], np.float32))
    for name in COLUMNS[3:]:
        np.testing.assert_array_equal(frame[name], table[name].filled(np.nan))
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        assert [(row["image"], row["person"]) for row in csv.DictReader(file)][1:3] == [
            (rows[1]["image"], "1"),
            (rows[2]["image"], ""),
        ]


def test_a_long_csv_has_every_row_once(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", to_columns([Found(random_poses(1), {"frame": n}) for n in range(2500)]))
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["frame", *map(str, range(2500))]


def test_a_data_frame_is_of_pandas_or_else_of_polars(table: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas
    import polars

    frame = to_dataframe(table)
    assert isinstance(frame, pandas.DataFrame)
    assert frame["person"].tolist()[:2] == [0, 1]
    assert frame["left_eye_x"].isna().tolist() == [False, False, True, False]
    monkeypatch.setattr("litehrnet.optional.is_installed", lambda package: package == "polars")
    other = to_dataframe(table)
    assert isinstance(other, polars.DataFrame)
    assert other.to_dicts() == to_rows(table)
    monkeypatch.setattr("litehrnet.optional.is_installed", lambda package: False)
    with pytest.raises(UserError, match=r"a data frame needs pandas, .*litehrnet\[tables\]"):
        to_dataframe(table)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_people_of_a_table_are_read_back(table: Columns, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    (write_csv if suffix == ".csv" else write_parquet)(path, table)
    boxes, people = read_people(path, boxes=True), read_people(path, boxes=False)
    poses = random_poses(2)
    assert [str(entry["image_id"]) for entry in boxes] == ["2", "2", "1"]
    assert boxes[1]["bbox"] == pytest.approx(poses.boxes[1].tolist(), rel=1e-6)
    assert boxes[1]["score"] == pytest.approx(float(poses.box_scores[1]), rel=1e-6)
    expected = poses.to_coco(2)[1]
    assert people[1]["keypoints"] == pytest.approx(expected["keypoints"], rel=1e-6)
    assert people[1]["score"] == pytest.approx(expected["score"], rel=1e-5)


def test_names_of_photos_may_contain_line_breaks_and_quotes(tmp_path: Path) -> None:
    name = 'two\nlines, "quoted"\x85.jpg'
    write_csv(tmp_path / "t.csv", to_columns([Found(random_poses(1), {"image": name})]))
    assert [entry["file_name"] for entry in read_people(tmp_path / "t.csv", boxes=True)] == [name]


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_boxes_of_a_users_data_frame_are_read(tmp_path: Path, package: str) -> None:
    import pandas
    import polars

    rows = {"image": ["a.jpg", "b.jpg"], "box_x": [1.0, None], "box_y": [2.0, None]}
    rows = {**rows, "box_width": [3.0, None], "box_height": [4.0, None]}
    for end in ("csv", "parquet"):
        path = tmp_path / f"boxes.{end}"
        if package == "pandas":
            frame = pandas.DataFrame(rows)
            frame.to_csv(path, index=False) if end == "csv" else frame.to_parquet(path)
        else:
            other = polars.DataFrame(rows)
            other.write_csv(path) if end == "csv" else other.write_parquet(path)
        expected = {"category_id": 1, "file_name": "a.jpg", "image_id": "a.jpg", "bbox": [1, 2, 3, 4]}
        assert read_people(path, boxes=True) == [expected]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("frame,box_x\n1,2\n", "has no column image or image_id"),
        ("image,box_x\na,2\n", "has no column box_y"),
        ("image,box_x,box_y,box_width,box_height\na,1,2,x,4\n", "row 1: box_width is 'x'"),
        ("image,box_x,box_y,box_width,box_height\na,1,2,,4\n", "row 1: box_width is empty"),
        ("image,box_x,box_y,box_width,box_height\na,1,2\n", "row 1: box_width is empty"),
        ("image,box_x,box_y,box_width,box_height\n,1,2,3,4\n", "row 1: names no photo"),
        ("", "has no column image or image_id"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_people(path, boxes=True)


@pytest.mark.parametrize(("name", "said"), [("t.csv", "not CSV in UTF-8"), ("t.parquet", "not a Parquet file")])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=said):
        read_people(tmp_path / name, boxes=True)


def test_a_table_without_keypoints_has_no_people_to_score(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,box_x,box_y,box_width,box_height,box_score\na,1,2,3,4,1\n")
    with pytest.raises(UserError, match="has no keypoints"):
        read_people(tmp_path / "t.csv", boxes=False)


def test_parquet_without_pyarrow_is_an_error(table: Columns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("litehrnet.optional.is_installed", lambda package: False)
    with pytest.raises(UserError, match=r"writing Parquet needs pyarrow, .*litehrnet\[tables\]"):
        write_parquet(tmp_path / "t.parquet", table)
    assert not list(tmp_path.iterdir())
