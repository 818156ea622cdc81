"""Downloads from local servers that behave like real ones, and worse."""

import hashlib
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from litehrnet.errors import UserError
from litehrnet.io import downloads
from litehrnet.io.downloads import fetch

CONTENT = bytes(range(256)) * 1200
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Handler that records the requested ranges and sends the answers of the test."""

    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append(self.headers.get("Range"))
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, *_: object) -> None:
        pass

    def head(self, status: int, length: int | None, **more: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    @property
    def start(self) -> int:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(found[1]) if found else 0


class Server(ThreadingHTTPServer):
    daemon_threads = True
    answers: list[Answer]
    asked: list[str | None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights-1234.pth"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloads, "_PAUSE_S", 0.0)
    monkeypatch.setenv("no_proxy", "*")
    server = Server(("127.0.0.1", 0), Handler)
    server.answers, server.asked = [honest], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def honest(handler: Handler) -> None:
    start = handler.start
    if start >= len(CONTENT):
        handler.head(416, 0, Content_Range=f"bytes */{len(CONTENT)}")
        return
    ranges = {"Content_Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"} if start else {}
    handler.head(206 if start else 200, len(CONTENT) - start, **ranges)
    handler.wfile.write(CONTENT[start:])


def without_ranges(handler: Handler) -> None:
    handler.head(200, len(CONTENT))
    handler.wfile.write(CONTENT)


def slow(handler: Handler) -> None:
    handler.head(200, len(CONTENT))
    for start in range(0, len(CONTENT), 100_000):
        handler.wfile.write(CONTENT[start : start + 100_000])
        handler.wfile.flush()
        time.sleep(0.02)


def dropped_after(sent: int) -> Answer:
    """Promises the rest of the file, sends so many bytes of it, and closes."""

    def answer(handler: Handler) -> None:
        start = handler.start
        ranges = {"Content_Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"} if start else {}
        handler.head(206 if start else 200, len(CONTENT) - start, **ranges)
        handler.wfile.write(CONTENT[start : start + sent])

    return answer


def says_length(length: int | None, content: bytes = CONTENT) -> Answer:
    """Return an answer that ignores ranges and reports a length that may be wrong."""

    def answer(handler: Handler) -> None:
        handler.head(200, length)
        handler.wfile.write(content)

    return answer


def status(code: int) -> Answer:
    return lambda handler: handler.head(code, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "weights.pth"


def _left(path: Path) -> list[str]:
    """List the files in the cache folder except the lock."""
    return sorted(each.name for each in path.parent.iterdir() if each.suffix != ".lock")


@pytest.mark.parametrize("answer", [honest, slow, without_ranges, says_length(None)])
@pytest.mark.parametrize("digits", [8, 64])
def test_whole_files_arrive(server: Server, path: Path, answer: Answer, digits: int) -> None:
    server.answers = [answer]
    fetch(server.url, path, SHA256[:digits])
    assert path.read_bytes() == CONTENT
    assert _left(path) == ["weights.pth"]


def test_a_file_that_is_there_is_not_fetched_again_and_a_damaged_one_is(server: Server, path: Path) -> None:
    fetch(server.url, path, SHA256)
    fetch(server.url, path, SHA256)
    assert len(server.asked) == 1
    path.write_bytes(CONTENT[:-1] + b"?")
    fetch(server.url, path, SHA256)
    assert path.read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_dropped_connections_are_gone_on_with(server: Server, path: Path) -> None:
    server.answers = [dropped_after(100_000), dropped_after(1), dropped_after(0), honest]
    fetch(server.url, path, SHA256)
    assert server.asked == [None, "bytes=100000-", "bytes=100001-", "bytes=100001-"]
    assert path.read_bytes() == CONTENT


def test_a_later_call_goes_on_where_an_earlier_one_ended(server: Server, path: Path) -> None:
    server.answers = [dropped_after(70_000), dropped_after(0)]
    with pytest.raises(UserError, match=r"stopped after 70,000 bytes \(.*; the same command resumes it\)"):
        fetch(server.url, path, SHA256)
    assert _left(path) == ["weights.pth.part"]
    server.answers, server.asked = [honest], []
    fetch(server.url, path, SHA256)
    assert server.asked == ["bytes=70000-"]
    assert _left(path) == ["weights.pth"]


def test_a_server_without_ranges_begins_anew(server: Server, path: Path) -> None:
    server.answers = [dropped_after(100_000), without_ranges]
    fetch(server.url, path, SHA256)
    assert path.read_bytes() == CONTENT


def test_a_server_that_always_drops_is_given_up(server: Server, path: Path) -> None:
    server.answers = [says_length(len(CONTENT), b"abc")]
    with pytest.raises(UserError, match="stopped after 3 bytes"):
        fetch(server.url, path, SHA256)
    assert not path.exists()


def test_a_length_that_is_too_long_is_not_believed_once_the_range_says_otherwise(server: Server, path: Path) -> None:
    server.answers = [says_length(len(CONTENT) + 50), honest]
    fetch(server.url, path, SHA256)
    assert server.asked == [None, f"bytes={len(CONTENT)}-"]
    assert path.read_bytes() == CONTENT


def test_a_length_that_stays_too_long_is_an_error(server: Server, path: Path) -> None:
    server.answers = [says_length(len(CONTENT) + 50)]
    with pytest.raises(UserError, match="stopped after 307,200 bytes"):
        fetch(server.url, path, SHA256)
    assert not path.exists()


@pytest.mark.parametrize(
    "answer",
    [
        says_length(1000),  # the rest is not looked at
        says_length(None, CONTENT[:5000]),
        says_length(3, b"404"),
        says_length(len(CONTENT), bytes(len(CONTENT))),
        says_length(len(CONTENT) + 1, CONTENT + b"?"),
    ],
)
def test_wrong_bytes_are_thrown_away(server: Server, path: Path, answer: Answer) -> None:
    server.answers = [answer]
    with pytest.raises(UserError, match=rf"the download has another SHA-256 \(expected {SHA256[:8]}\.\.\.\)"):
        fetch(server.url, path, SHA256[:8])
    assert _left(path) == []


def test_what_is_longer_than_the_file_is_no_part_of_it(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.with_name("weights.pth.part").write_bytes(CONTENT + b"more")
    fetch(server.url, path, SHA256)
    assert server.asked == [f"bytes={len(CONTENT) + 4}-", None]
    assert path.read_bytes() == CONTENT


def test_another_range_than_asked_for_is_not_taken(server: Server, path: Path) -> None:
    def another(handler: Handler) -> None:
        handler.head(206, 10, Content_Range=f"bytes 0-9/{len(CONTENT)}")
        handler.wfile.write(CONTENT[:10])

    server.answers = [dropped_after(50_000), another, honest]
    fetch(server.url, path, SHA256)
    assert server.asked == [None, "bytes=50000-", None]
    assert path.read_bytes() == CONTENT


def test_files_without_end_are_stopped(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "LARGEST", 1000)
    server.answers = [says_length(None)]
    with pytest.raises(UserError, match="is larger than 1,000 bytes"):
        fetch(server.url, path, SHA256)
    assert not path.exists()


@pytest.mark.parametrize(("code", "words"), [(404, "404 Not Found"), (503, "503 Service Unavailable")])
def test_refusals_are_one_sentence(server: Server, path: Path, code: int, words: str) -> None:
    server.answers = [status(code)]
    with pytest.raises(UserError, match=rf"the server refuses the download \({words}\)"):
        fetch(server.url, path, SHA256)
    assert _left(path) == []


def test_a_silent_server_is_given_up(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_TIMEOUT_S", 0.2)
    done = threading.Event()

    def silent(handler: Handler) -> None:
        handler.head(200, len(CONTENT))
        done.wait(10)

    server.answers = [silent]
    with pytest.raises(UserError, match=r"stopped after 0 bytes|cannot be reached \(timed out"):
        fetch(server.url, path, SHA256)
    done.set()
    assert not path.exists()


def test_offline_is_one_sentence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/weights.pth"
        with pytest.raises(UserError, match=r"weights\.pth: cannot be reached \(.*\)"):
            fetch(url, path, SHA256)
    assert _left(path) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="the folder cannot be created"):
        fetch(server.url, tmp_path / "file" / "weights.pth", SHA256)
    (tmp_path / "weights.pth.part").mkdir()
    with pytest.raises(UserError, match=r"weights\.pth: cannot be written"):
        fetch(server.url, tmp_path / "weights.pth", SHA256)


def test_of_two_processes_one_fetches_and_the_other_waits(server: Server, path: Path) -> None:
    begun = threading.Event()

    def slowly(handler: Handler) -> None:
        begun.set()
        time.sleep(0.3)
        honest(handler)

    server.answers = [slowly]
    code = (
        "import sys; from pathlib import Path; from litehrnet.io.downloads import fetch; "
        "fetch(sys.argv[1], Path(sys.argv[2]), sys.argv[3])"
    )
    command = [sys.executable, "-c", code, server.url, str(path), SHA256]
    with subprocess.Popen(command) as first, subprocess.Popen(command) as second:
        assert begun.wait(60)
        while not path.exists() and first.poll() is None and second.poll() is None:
            assert set(_left(path)) <= {"weights.pth", "weights.pth.part"}
            time.sleep(0.01)
    assert (first.returncode, second.returncode) == (0, 0)
    assert server.asked == [None]
    assert path.read_bytes() == CONTENT


def test_the_final_name_is_never_a_part_of_the_file(server: Server, path: Path) -> None:
    seen: list[int] = []
    server.answers = [slow]
    fetching_thread = threading.Thread(target=fetch, args=(server.url, path, SHA256))
    fetching_thread.start()
    while fetching_thread.is_alive():
        if path.exists():
            seen.append(path.stat().st_size)
        time.sleep(0.001)
    fetching_thread.join()
    assert set(seen) <= {len(CONTENT)}
    assert path.read_bytes() == CONTENT
