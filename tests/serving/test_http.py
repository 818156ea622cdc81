import contextlib
import gzip
import http.client
import socket
import threading
from collections.abc import Iterator
from email.message import Message
from http.client import HTTPResponse

import pytest

from litehrnet.errors import UserError
from litehrnet.serving import http as serving
from litehrnet.serving.content import Document, LatestFrame
from litehrnet.serving.http import MOST_CONNECTIONS, Site

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
    connection.putheader("Connection", "close")
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


def _get(site: Site, path: str, **headers: str) -> tuple[int, Message, bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", _port(site), timeout=60)) as connection:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def test_what_the_client_has_already_is_not_sent_again() -> None:
    with Site({"/": PAGE, "/other": Document(b"other", "text/plain")}, port=0) as site:
        tag = _get(site, "/")[1]["ETag"]
        status, headers, content = _get(site, "/", If_None_Match=tag)
        assert (status, content, headers["ETag"]) == (304, b"", tag)
        assert _get(site, "/other", If_None_Match=tag)[0] == 200


def test_documents_are_compressed_for_clients_that_accept_it_if_that_makes_them_smaller() -> None:
    long = Document(b"a long text " * 100, "text/plain")
    with Site({"/": PAGE, "/long": long}, port=0) as site:
        _, headers, content = _get(site, "/long", Accept_Encoding="br, gzip;q=0.9")
        assert (headers["Content-Encoding"], headers["Vary"]) == ("gzip", "Accept-Encoding")
        assert (len(content) < 100, gzip.decompress(content)) == (True, long.content)
        assert _get(site, "/long")[2] == long.content
        assert _get(site, "/", Accept_Encoding="gzip")[1]["Content-Encoding"] is None


@pytest.mark.parametrize(
    "path",
    ["/absent", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/name", "//etc/passwd", "http://localhost/"],
)
def test_paths_are_looked_up_as_they_are_written_and_never_become_files(site: Site, path: str) -> None:
    answer = _ask(site, path=path)
    assert (answer.status, answer.read()) == (404, b'{"error": "no such path"}\n')


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_is_taken_in(site: Site, method: str) -> None:
    answer = _ask(site, method, body=b"a photo")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert b"not allowed here (expected GET, HEAD)" in answer.read()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1:80", "[::1]:80", "[::1]"])
def test_loopback_names_are_answered_whatever_port_leads_here(site: Site, host: str) -> None:
    assert _ask(site, host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "10.0.0.1"])
def test_foreign_names_are_refused(site: Site, host: str) -> None:
    answer = _ask(site, host=host)
    assert answer.status == 421
    assert b"the request names another host" in answer.read()


@pytest.mark.parametrize("head", [b"", b"Host: \r\n", b"Host: a:b:c\r\n", b"Host: localhost\r\nHost: evil.example\r\n"])
def test_a_request_says_one_name(site: Site, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", _port(site)), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + head + b"\r\n")
        assert connection.recv(100).split(b" ", 2)[1] in (b"400", b"421")


def test_the_address_asked_for_is_answered_under_its_name() -> None:
    with Site({"/": PAGE}, host="127.0.0.2", port=0) as opened:
        connection = http.client.HTTPConnection("127.0.0.2", _port(opened), timeout=60)
        connection.request("GET", "/", headers={"Connection": "close"})
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


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 65536), ("192.0.2.1", 0), ("no.such.host.invalid", 0), (70 * "ä", 0)]
)
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


def _film(site: Site) -> HTTPResponse:
    answer = _ask(site, path="/film")
    assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
    assert answer.readline() == b"--frame\r\n"
    return answer


def test_every_viewer_gets_each_picture_with_its_end() -> None:
    film = LatestFrame()
    pictures = [b"first", b"", b"third\r\n--frame\r\n"]
    with Site({"/film": film}, port=0) as opened:
        viewers = [_film(opened), _film(opened)]
        for picture in pictures:
            film.publish(picture)
            assert [_parts(viewer, 1) for viewer in viewers] == [[picture], [picture]]
        film.end()
        assert [viewer.read() for viewer in viewers] == [b"", b""]


def test_viewers_see_the_newest_picture_and_the_last_one() -> None:
    film = LatestFrame()
    film.publish(b"1")
    film.publish(b"2")
    assert film.newer_than(0) == film.newer_than(1) == (2, b"2")
    assert film.newer_than(2) is None
    film.end()
    with Site({"/film": film}, port=0) as opened:
        answer = _film(opened)
        assert _parts(answer, 1) == [b"2"]
        assert answer.read() == b""


def test_a_site_that_closes_ends_an_endless_film() -> None:
    film = LatestFrame()
    film.publish(b"picture")
    with Site({"/film": film}, port=0) as opened:
        answer = _film(opened)
        assert _parts(answer, 1) == [b"picture"]
    assert answer.read() == b""


def _closed_without_an_answer(connection: socket.socket) -> bool:
    connection.settimeout(60)
    return connection.recv(1000) == b""


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: local", b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000])
def test_unfinished_headers_end_the_connection(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(serving, "PATIENCE", 0.3)
    with Site({"/": PAGE}, port=0) as opened:
        with socket.create_connection(("127.0.0.1", _port(opened))) as connection:
            connection.sendall(sent)
            assert _closed_without_an_answer(connection)
        assert _ask(opened).status == 200


def test_headers_that_drip_end_the_connection_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "PATIENCE", 0.3)
    with Site({"/": PAGE}, port=0) as opened, socket.create_connection(("127.0.0.1", _port(opened))) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        with pytest.raises(OSError, match=r"Broken pipe|reset"):  # noqa: PT012 (the first byte after the end is sent)
            while True:
                connection.sendall(b"x")
                threading.Event().wait(0.05)


def test_a_body_without_end_for_a_page_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "PATIENCE", 0.3)
    with Site({"/": PAGE}, port=0) as opened, socket.create_connection(("127.0.0.1", _port(opened))) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\n\r\nbody")
        assert _closed_without_an_answer(connection)


def test_a_client_that_reads_nothing_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "PATIENCE", 0.3)
    film = LatestFrame()
    film.publish(bytes(50_000_000))  # more than the system buffers
    with (
        Site({"/film": film}, port=0) as opened,
        socket.create_connection(("127.0.0.1", _port(opened))) as connection,
    ):
        connection.sendall(b"GET /film HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(1)
        for _ in range(600):
            if not opened.is_asked():
                break
            threading.Event().wait(0.1)
        assert not opened.is_asked()


def test_garbage_after_a_request_gets_a_bare_error(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", _port(site)), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nno HTTP at all\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(1000), b""))
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert received.endswith(PAGE.content + b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_idle_connections_give_way_to_new_ones(site: Site) -> None:
    idle = [socket.create_connection(("127.0.0.1", _port(site)), timeout=60) for _ in range(MOST_CONNECTIONS)]
    try:
        assert _ask(site).status == 200
        assert _closed_without_an_answer(idle[0])
    finally:
        for connection in idle:
            connection.close()
