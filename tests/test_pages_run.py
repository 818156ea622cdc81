"""Programs in the pages for beginners run as they are, on the bundled photo and a film made from it."""

import re
import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from litehrnet import read_image
from litehrnet.video.writing import VideoWriter

PROJECT = Path(__file__).resolve().parents[1]
PHOTO = PROJECT / "src" / "litehrnet" / "photos" / "three_people.jpg"
PAGES = [PROJECT / "docs" / "index.md", PROJECT / "docs" / "first_minute.md"]
PAGES += sorted((PROJECT / "docs" / "coming_from").glob("[!R]*.md"))


def programs(page: str) -> list[str]:
    """Python blocks of a page, without those under a heading ``With`` another package."""
    ours = re.sub(r"^## With (?!litehrnet).*?(?=^## )", "", page, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^```python\n(.*?)^```$", ours, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``photo.jpg`` and ``movie.mp4``."""
    folder = tmp_path_factory.mktemp("beginner")
    shutil.copy(PHOTO, folder / "photo.jpg")
    with VideoWriter(folder / "movie", Fraction(10)) as writer:
        for number in range(3):
            writer.write(read_image(PHOTO)[::2, ::2].copy(), number / 10)
    return folder


def test_programs_of_others_are_left_out() -> None:
    page = "## With other\n\n```python\nno\n```\n\n## With litehrnet\n\n```python\nyes\n```\n## More\n```sh\nno\n```\n"
    assert programs(page) == ["yes\n"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_programs_run(page: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("photo.jpg", "movie.mp4"):
        (tmp_path / name).symlink_to(folder / name)
    monkeypatch.chdir(tmp_path)
    blocks = programs(page.read_text())
    assert blocks
    for block in blocks:
        for drawn in tmp_path.glob("drawn.*"):  # each block is a program of its own, and replaces no file
            drawn.unlink()
        exec(compile(block, page.name, "exec"), {"__name__": "__main__"})
