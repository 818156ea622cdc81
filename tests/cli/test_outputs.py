import json
import os
from pathlib import Path

import pytest

from litehrnet.cli.outputs import DEFAULT_FOLDER, RECORD, OutputFolder, output_folder
from litehrnet.errors import UserError


def _write(out: OutputFolder, stem: str, *patterns: str, content: str = "ours") -> list[str]:
    """Choose, write and record, as commands do; gives the names."""
    paths = out.choose(stem, *patterns)
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    out.record(*paths)
    return [path.relative_to(out.path).as_posix() for path in paths]


def test_a_file_of_the_users_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("mine")
    (tmp_path / "a-2.jpg").write_text("mine too")
    out = OutputFolder(tmp_path)
    assert _write(out, "a", "{}.jpg") == ["a-3.jpg"]
    assert (tmp_path / "a.jpg").read_text() == "mine"
    assert (tmp_path / "a-2.jpg").read_text() == "mine too"
    assert out.moved == {tmp_path / "a.jpg": tmp_path / "a-3.jpg"}


def test_files_of_an_earlier_run_are_replaced(tmp_path: Path) -> None:
    assert _write(OutputFolder(tmp_path), "a", "{}.jpg", "labels/{}.png") == ["a.jpg", "labels/a.png"]
    out = OutputFolder(tmp_path)
    assert _write(out, "a", "{}.jpg", "labels/{}.png", content="newer") == ["a.jpg", "labels/a.png"]
    assert (tmp_path / "a.jpg").read_text() == "newer"
    assert not out.moved


def test_a_file_that_was_changed_since_is_the_users(tmp_path: Path) -> None:
    _write(OutputFolder(tmp_path), "a", "{}.jpg")
    (tmp_path / "a.jpg").write_text("mine, of another size")
    assert _write(OutputFolder(tmp_path), "a", "{}.jpg") == ["a-2.jpg"]
    status = (tmp_path / "a-2.jpg").stat()
    os.utime(tmp_path / "a-2.jpg", ns=(status.st_atime_ns, status.st_mtime_ns + 1))  # the same size, another time
    assert _write(OutputFolder(tmp_path), "a", "{}.jpg") == ["a-3.jpg"]


def test_a_link_is_the_users_even_where_it_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(tmp_path / "nothing")
    assert _write(OutputFolder(tmp_path), "a", "{}.jpg") == ["a-2.jpg"]
    assert not (tmp_path / "nothing").exists()


def test_names_that_belong_together_get_one_number(tmp_path: Path) -> None:
    (tmp_path / "film.mkv").write_text("mine")
    assert _write(OutputFolder(tmp_path), "film", "{}.jsonl", "{}.mp4", "{}.mkv") == [
        "film-2.jsonl",
        "film-2.mp4",
        "film-2.mkv",
    ]


def test_names_of_one_run_keep_apart_whatever_their_case(tmp_path: Path) -> None:
    out = OutputFolder(tmp_path)
    assert [_write(out, stem, "{}.jpg")[0] for stem in ("a", "a", "A")] == ["a.jpg", "a-2.jpg", "A-3.jpg"]
    again = OutputFolder(tmp_path)
    assert [_write(again, stem, "{}.jpg")[0] for stem in ("a", "a", "A")] == ["a.jpg", "a-2.jpg", "A-3.jpg"]


def test_an_input_is_never_replaced_even_if_an_earlier_run_wrote_it(tmp_path: Path) -> None:
    _write(OutputFolder(tmp_path), "a", "{}.jpg")
    assert _write(OutputFolder(tmp_path, [tmp_path / "a.jpg"]), "a", "{}.jpg") == ["a-2.jpg"]


def test_a_stem_with_braces_is_a_name_like_any_other(tmp_path: Path) -> None:
    assert _write(OutputFolder(tmp_path), "{0}{x}", "{}.jpg") == ["{0}{x}.jpg"]


@pytest.mark.parametrize("content", ["", "mine\n", '{"name": "a.jpg"}\n', "[]\n", "\xff"])
def test_a_file_of_the_users_in_the_place_of_the_record_is_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / RECORD).write_text(content, encoding="latin-1")
    assert _write(OutputFolder(tmp_path), "a", "{}.jpg") == ["a.jpg"]
    assert _write(OutputFolder(tmp_path), "a", "{}.jpg") == ["a-2.jpg"]  # nothing is recorded, so nothing is replaced
    assert (tmp_path / RECORD).read_text(encoding="latin-1") == content


def test_half_a_line_in_the_record_counts_as_none(tmp_path: Path) -> None:
    _write(OutputFolder(tmp_path), "a", "{}.jpg")
    _write(OutputFolder(tmp_path), "b", "{}.jpg")
    record = (tmp_path / RECORD).read_text()
    (tmp_path / RECORD).write_text(record[:-10])
    out = OutputFolder(tmp_path)
    assert [_write(out, stem, "{}.jpg")[0] for stem in ("a", "b")] == ["a.jpg", "b-2.jpg"]
    assert json.loads(record.splitlines()[1])["name"] == "a.jpg"


def test_without_a_name_the_folder_is_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{DEFAULT_FOLDER}-2").write_text("a file of the user's")
    for expected in (DEFAULT_FOLDER, f"{DEFAULT_FOLDER}-3", f"{DEFAULT_FOLDER}-4"):
        with output_folder(None) as out:
            assert out.path == Path(expected)
            _write(out, "a", "{}.jpg")


def test_a_new_folder_that_stays_empty_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for path in (None, Path("new"), Path("mine")):
        with pytest.raises(UserError), output_folder(path):
            raise UserError("no photo can be used")
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(UserError, match=r"file.out: the folder cannot be created"),
        output_folder(tmp_path / "file" / "out"),
    ):
        pass
