import http.client
import itertools
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPResponse

import pytest

from litehrnet.errors import UserError
from litehrnet.serving.http import Document, JpegStream, LatestFrame, Site

PAGE = Document(b"<title>page</title>", "text/html; charset=utf-8")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site({"/": PAGE, "/odd/../name": PAGE}, port=0) as opened:
        yield opened


def _port(site: Site) -> int:
    return int(site.url.rstrip("/").rpartition(":")[2])


def _ask(site: Site, method: str = "GET", path: str = "/", host: str | None = None, body: bytes = b"") -> HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", _port(site), timeout=60)
    connection.putrequest(method, path, skip_host=host is not None)
    if host is not None:
        connection.putheader("Host", host)
    if body:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body or None)
    return connection.getresponse()


def test_a_known_path_is_answered_with_its_document(site: Site) -> None:
    answer = _ask(site, path="/?question=1")
    assert (answer.status, answer.read()) == (200, PAGE.content)
    assert answer.headers["Content-Type"] == PAGE.content_type


def test_head_is_answered_without_the_content(site: Site) -> None:
    answer = _ask(site, "HEAD")
    assert (answer.status, answer.headers["Content-Length"], answer.read()) == (200, str(len(PAGE.content)), b"")


@pytest.mark.parametrize(
    "path",
    ["/absent", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/name", "//etc/passwd", "http://localhost/"],
)
def test_paths_are_looked_up_as_they_are_written_and_never_become_files(site: Site, path: str) -> None:
    answer = _ask(site, path=path)
    assert (answer.status, answer.read()) == (404, b"404 Not Found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_is_taken_in(site: Site, method: str) -> None:
    answer = _ask(site, method, body=b"a photo")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1:80", "[::1]:80", "[::1]"])
def test_loopback_names_are_answered_whatever_port_leads_here(site: Site, host: str) -> None:
    assert _ask(site, host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "10.0.0.1", "", "a:b:c"])
def test_foreign_names_are_refused(site: Site, host: str) -> None:
    answer = _ask(site, host=host)
    assert (answer.status, answer.read()) == (421, b"421 Misdirected Request\n")


@pytest.mark.parametrize("head", [b"", b"Host: localhost\r\nHost: evil.example\r\n"])
def test_a_request_says_one_name(site: Site, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", _port(site)), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + head + b"\r\n")
        assert connection.recv(100).split(b" ", 2)[1] == b"421"


def test_the_address_asked_for_is_answered_under_its_name() -> None:
    with Site({"/": PAGE}, host="127.0.0.2", port=0) as opened:
        connection = http.client.HTTPConnection("127.0.0.2", _port(opened), timeout=60)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200


def test_on_all_addresses_the_one_that_was_reached_is_a_name() -> None:
    with Site({"/": PAGE}, host="0.0.0.0", port=0) as opened:
        assert _ask(opened, host="127.0.0.1").status == 200
        assert _ask(opened, host="127.0.0.3").status == 421
        assert _ask(opened, host="evil.example").status == 421


@pytest.mark.parametrize("path", ["/", "/absent"])
def test_every_answer_isolates_the_page_and_binds_it_to_its_own_files(site: Site, path: str) -> None:
    headers = _ask(site, path=path).headers
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert not [source for source in " ".join(policy.values()).split() if "//" in source or source == "*"]
    assert headers["Server"].strip() == "litehrnet"


def test_a_taken_port_is_said_in_one_sentence(site: Site) -> None:
    with pytest.raises(UserError, match=f"^port {_port(site)}: taken on 127.0.0.1 "):
        Site({"/": PAGE}, port=_port(site))


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 65536), ("192.0.2.1", 0), ("no.such.host.invalid", 0)])
def test_an_address_that_cannot_be_listened_on_is_said_in_one_sentence(host: str, port: int) -> None:
    with pytest.raises(UserError):
        Site({"/": PAGE}, host=host, port=port)


def test_a_closed_site_gives_its_port_back() -> None:
    with Site({"/": PAGE}, port=0) as opened:
        port = _port(opened)
    with Site({"/": PAGE}, port=port):
        pass


def _parts(answer: HTTPResponse, count: int) -> list[bytes]:
    """The next pictures of a stream."""
    pictures = []
    for _ in range(count):
        head = list(iter(lambda: answer.readline().strip(), b""))
        (length,) = [int(line.split(b":")[1]) for line in head if line.startswith(b"Content-Length")]
        pictures.append(answer.read(length))
        assert (answer.readline(), answer.readline()) == (b"\r\n", b"--frame\r\n")
    return pictures


def test_a_stream_sends_each_picture_with_its_end() -> None:
    pictures = [b"first", b"", b"third\r\n--frame\r\n"]
    with Site({"/film": JpegStream(lambda: iter(pictures))}, port=0) as opened:
        for _ in range(2):  # every viewer has an own film
            answer = _ask(opened, path="/film")
            assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
            assert answer.readline() == b"--frame\r\n"
            assert _parts(answer, 3) == pictures
            assert answer.read() == b""


def test_a_viewer_who_leaves_or_a_site_that_closes_ends_an_endless_film() -> None:
    left = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            yield from itertools.repeat(b"x" * 1000)
        finally:
            left.set()

    with Site({"/film": JpegStream(endless)}, port=0) as opened:
        _ask(opened, path="/film").close()
        assert left.wait(10)
        left.clear()
        answer = _ask(opened, path="/film")
        assert answer.readline() == b"--frame\r\n"
    answer.read()  # ends
    assert left.wait(10)


def test_viewers_see_the_newest_picture_and_the_last_one() -> None:
    latest = LatestFrame()
    latest.publish(b"1")
    fast, slow = latest.frames(), latest.frames()
    assert (next(fast), next(slow)) == (b"1", b"1")
    latest.publish(b"2")
    assert next(fast) == b"2"
    latest.publish(b"3")
    latest.end()
    assert list(fast) == [b"3"]
    assert list(slow) == [b"3"]
    assert list(latest.frames()) == [b"3"]


def test_a_viewer_waits_for_the_next_picture() -> None:
    latest = LatestFrame()
    seen: list[bytes] = []
    with Site({"/film": JpegStream(latest.frames)}, port=0) as opened:
        answer = _ask(opened, path="/film")
        assert answer.readline() == b"--frame\r\n"
        for picture in (b"one", b"two"):
            latest.publish(picture)
            seen += _parts(answer, 1)
        latest.end()
        assert (seen, answer.read()) == ([b"one", b"two"], b"")
