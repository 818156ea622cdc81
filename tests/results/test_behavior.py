from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from litehrnet import UserError
from litehrnet.data.tools.sleap import read_sleap
from litehrnet.keypoints.likelihood import CURVE
from litehrnet.poses import KeypointSet, Poses
from litehrnet.results.behavior import to_tracks, write_deeplabcut_csv, write_deeplabcut_h5, write_sleap
from litehrnet.results.rows import Columns, Found, to_columns

PAIR = KeypointSet("pair", ("nose", "tail"), (), ((0, 1),), (0.025, 0.025))


def _found(frame: int, *identities: int) -> Found:
    """People at x = 10 * identity + frame, with a score of 0.5."""
    count = len(identities)
    xy = np.zeros((count, 2, 2), np.float32)
    xy[..., 0], xy[:, 1, 1] = np.array(identities, np.float32)[:, None] * 10 + frame, 3
    half, ones = np.full((count, 2), 0.5, np.float32), np.ones(count, np.float32)
    poses = Poses(xy, half, np.ones((count, 4), np.float32), ones, PAIR)
    return Found(poses, {"frame": frame, "time": frame / 25}, np.array(identities, np.intp))


@pytest.fixture
def table() -> Columns:
    """Frames 0, 1, 2 and 4: an unknown person, then the identities 1 and 3, nobody, and 3."""
    return to_columns([_found(0, 0), _found(1, 3, 1), _found(2), _found(4, 3)])


def test_people_have_one_place_in_every_frame_from_0_to_the_last(table: Columns) -> None:
    tracks = to_tracks(table)
    assert (tracks.people, tracks.keypoint_names, tracks.values.shape) == (
        ["id1", "id3"],
        ["nose", "tail"],
        (5, 2, 2, 3),
    )
    nan = np.nan
    np.testing.assert_array_equal(tracks.values[:, :, 0, 0], [[nan, nan], [11, 31], [nan, nan], [nan, nan], [nan, 34]])
    assert tracks.values[1, 0, 1, 2] == pytest.approx(CURVE(np.array(0.5)), rel=1e-6)


@pytest.mark.parametrize("write", [write_deeplabcut_csv, write_deeplabcut_h5])
def test_pandas_reads_deeplabcuts_table(table: Columns, tmp_path: Path, write: Callable[[Path, Columns], None]) -> None:
    import pandas

    path = tmp_path / ("t.csv" if write is write_deeplabcut_csv else "t.h5")
    write(path, table)
    if path.suffix == ".csv":
        frame = pandas.read_csv(path, header=[0, 1, 2, 3], index_col=0)
    else:
        frame = pandas.read_hdf(path, key="df_with_missing")
    assert list(frame.columns.names) == ["scorer", "individuals", "bodyparts", "coords"]
    assert [*frame.columns[:3], frame.columns[-1]] == [
        *(("litehrnet", "id1", "nose", coord) for coord in ("x", "y", "likelihood")),
        ("litehrnet", "id3", "tail", "likelihood"),
    ]
    np.testing.assert_allclose(frame.to_numpy(float), to_tracks(table).values.reshape(5, -1), rtol=1e-6)


def test_our_reader_of_sleaps_analysis_files_reads_what_is_written(table: Columns, tmp_path: Path) -> None:
    path = tmp_path / "t.analysis.h5"
    write_sleap(path, table)
    photos = read_sleap(path).photos
    assert [photo.file_name for photo in photos] == ["t/000001.png", "t/000004.png"]
    assert photos[1].objects[0].keypoints == {"nose": (34, 0, 2), "tail": (34, 3, 2)}
    with h5py.File(path) as file:
        assert file["tracks"].shape == (2, 2, 2, 5)
        assert file["track_occupancy"][()].tolist() == [[0, 0], [1, 1], [0, 0], [0, 0], [0, 1]]
        assert [name.decode() for name in file["track_names"]] == ["id1", "id3"]


def test_a_video_without_identities_gives_files_without_people(tmp_path: Path) -> None:
    table = to_columns([_found(0, 0), _found(1)])
    write_deeplabcut_csv(tmp_path / "t.csv", table)
    assert (tmp_path / "t.csv").read_text() == "scorer\nindividuals\nbodyparts\ncoords\n0\n1\n"
    write_sleap(tmp_path / "t.h5", table)
    with h5py.File(tmp_path / "t.h5") as file:
        assert file["tracks"].shape == (0, 2, 2, 2)


def test_a_missing_package_is_named_with_its_extra(
    table: Columns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("litehrnet.optional.is_installed", lambda package: package != "tables")
    with pytest.raises(UserError, match=r"needs tables, .*litehrnet\[behavior\]"):
        write_deeplabcut_h5(tmp_path / "t.h5", table)
