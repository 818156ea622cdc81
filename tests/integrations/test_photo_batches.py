"""The work that jobs on Ray and Spark share, and what they do around it, without Ray and Spark."""

import io
import json
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
from tests.figure import draw_figure

from litehrnet import PoseEstimator, UserError
from litehrnet.integrations import ray as on_ray
from litehrnet.integrations import spark as on_spark
from litehrnet.integrations.photo_batches import find_people, open_estimator
from litehrnet.io.images import encode_image
from litehrnet.results.files import to_arrow
from litehrnet.results.rows import to_rows

PHOTO = encode_image(draw_figure((120, 160))[0], ".png", quality=0)
NOBODY = encode_image(np.full((90, 90, 3), 127, np.uint8), ".png", quality=0)


@pytest.fixture(scope="module")
def arguments() -> dict[str, Any]:
    return {"whole_image": True, "flip_test": True}  # the bundled weights


@pytest.fixture(scope="module")
def estimator(arguments: dict[str, Any]) -> PoseEstimator:
    return open_estimator(arguments)


def test_every_photo_has_rows_in_its_place(estimator: PoseEstimator) -> None:
    names = ["a.png", "cut.png", "b.png", "text.jpg", "nothing", "nobody.png"]
    rows = to_rows(find_people(estimator, names, [PHOTO, PHOTO[:50], PHOTO, b"no photo", None, NOBODY]))
    assert [row["image"] for row in rows] == names
    assert [row["person"] for row in rows] == [0, None, 0, None, None, None]
    assert list(rows[0])[:3] == ["image", "error", "person"]
    errors = [row["error"] for row in rows]
    assert [error is None for error in errors] == [True, False, True, False, False, True]
    assert errors[1].startswith("cut.png: ")
    assert errors[3].startswith("text.jpg: ")
    assert errors[4] == "nothing: has no content (expected that of an image file)"
    alone = estimator.predict(PHOTO).to_rows()[0]
    assert {name: rows[2][name] for name in alone} == pytest.approx(alone)
    assert all(row["nose_x"] is None and row["box_x"] is None for row in rows if row["person"] is None)


def test_batches_of_any_content_have_one_schema(estimator: PoseEstimator) -> None:
    batches: list[tuple[list[str], list[bytes | None]]] = [
        ([], []),
        (["a"], [PHOTO]),
        (["a", "b"], [None, b"text"]),
        (["n"], [NOBODY]),
    ]
    tables = [to_arrow(find_people(estimator, *batch)) for batch in batches]
    assert len({str(table.schema) for table in tables}) == 1
    assert [len(table) for table in tables] == [0, 1, 2, 1]
    assert str(tables[0].schema.field("person").type) == "int64"


def test_several_people_in_a_photo_are_several_rows() -> None:
    photo = (Path(__file__).parents[2] / "src" / "litehrnet" / "photos" / "three_people.jpg").read_bytes()
    rows = to_rows(find_people(open_estimator({}), ["three.jpg", "cut.jpg"], [photo, photo[:1000]]))
    assert [(row["image"], row["person"]) for row in rows] == [*(("three.jpg", n) for n in range(3)), ("cut.jpg", None)]


def test_a_worker_of_ray_maps_a_table_to_a_table(estimator: PoseEstimator, arguments: dict[str, Any]) -> None:
    worker = on_ray._Worker("key", "png", arguments)
    rows = worker(pyarrow.table({"key": ["a", "b"], "png": pyarrow.array([PHOTO, None], pyarrow.binary())}))
    assert rows.to_pylist() == to_rows(find_people(estimator, ["a", "b"], [PHOTO, None]))


def test_workers_that_leave_no_cpu_for_reading_are_refused() -> None:
    on_ray.check_workers(7, 8.0)
    with pytest.raises(UserError, match=r"workers 8: the cluster has 8 CPUs \(expected 1 to 7 workers\)"):
        on_ray.check_workers(8, 8.0)
    with pytest.raises(UserError, match="workers 0"):
        on_ray.check_workers(0, 8.0)


def test_a_worker_of_spark_maps_frames_to_frames(estimator: PoseEstimator, arguments: dict[str, Any]) -> None:
    text = json.dumps(arguments)
    frames = [
        pandas.DataFrame({"name": ["a", "b"], "bytes": [PHOTO, None]}),
        pandas.DataFrame({"n": ["c"], "b": [PHOTO]}),
    ]
    found = list(on_spark._frames(text, iter(frames)))
    assert [len(frame) for frame in found] == [2, 1]
    assert str(found[0]["person"].dtype) == "Int64"
    rows = pyarrow.Table.from_pandas(pandas.concat(found), preserve_index=False).to_pylist()
    expected = to_rows(find_people(estimator, ["a", "b", "c"], [PHOTO, None, PHOTO]))
    assert [(row["image"], row["error"], row["person"]) for row in rows] == [
        (row["image"], row["error"], row["person"]) for row in expected
    ]
    assert rows[2]["left_ankle_y"] == pytest.approx(expected[2]["left_ankle_y"])
    assert pickle.loads(pickle.dumps(on_spark._frames)) is on_spark._frames


class _Photos:
    """What ``find_people`` uses of a data frame of Spark."""

    def select(self, *columns: str) -> "_Photos":
        self.columns = columns
        return self

    def mapInPandas(self, function: Any, schema: str) -> "_Photos":  # noqa: N802 (Spark's name)
        self.function, self.schema = function, schema
        return self


def test_the_schema_for_spark_is_that_of_the_rows(estimator: PoseEstimator, arguments: dict[str, Any]) -> None:
    photos = on_spark.find_people(_Photos(), name="key", content="png", **arguments)
    assert photos.columns == ("key", "png")
    fields = dict(field.replace("`", "").split() for field in photos.schema.split(", "))
    assert list(fields) == list(find_people(estimator, [], []))
    assert (fields["image"], fields["error"], fields["person"], fields["nose_x"]) == (
        "string",
        "string",
        "long",
        "float",
    )
    (frame,) = photos.function(iter([pandas.DataFrame({"key": ["a"], "png": [PHOTO]})]))
    assert list(frame) == list(fields)


def _shard(*names: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(PHOTO)
            archive.addfile(entry, io.BytesIO(PHOTO))
    return file.getvalue()


def test_shards_are_unpacked_and_a_damaged_one_is_said() -> None:
    def batches() -> Iterator[pandas.DataFrame]:
        whole = _shard(*(f"{number:03}.jpg" for number in range(70)), "000.json", "x/a.PNG")
        cut = _shard("a.jpg", "b.jpg")[: len(PHOTO) + 1500]
        yield pandas.DataFrame({"path": ["one.tar", "cut.tar", "text.tar"], "content": [whole, cut, b"text"]})

    frames = list(on_spark._unpacked(batches()))
    assert max(len(frame) for frame in frames) == 64
    found = [(row.path, row.content) for frame in frames for row in frame.itertuples()]
    assert [name for name, _ in found[:70]] == [f"one.tar/{number:03}.jpg" for number in range(70)]
    assert [name for name, _ in found[70:]] == ["one.tar/x/a.PNG", "cut.tar/a.jpg", "cut.tar", "text.tar"]
    assert [content == PHOTO for _, content in found[70:]] == [True, True, False, False]
    assert found[-1][1] is None
