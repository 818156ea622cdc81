"""``POST /predict`` and the paths beside it, on loopback: answers, limits, and clients that mean no good."""

import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.service_load import png_bomb
from tests.simcc_models import SPOT_PIPELINE, write_spot_finder

import litehrnet.cli.serve
from litehrnet import PoseEstimator
from litehrnet.cli.demo import PHOTO
from litehrnet.cli.main import main
from litehrnet.cli.serve import TOKEN
from litehrnet.io.images import encode_image
from litehrnet.serving import service
from litehrnet.serving.http import Site
from litehrnet.serving.photos import MOST_SCANS, Limits, PhotoPool
from litehrnet.serving.service import open_service

LIMITS = Limits(body_bytes=200_000, pixels=2_000_000, waiting=4, seconds=60)
SECRET = "sixteen-letters-or-more"
Answer = tuple[int, Any, http.client.HTTPMessage]


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator(threads=1)


@pytest.fixture(scope="module")
def site(estimator: PoseEstimator) -> Iterator[Site]:
    with open_service([estimator], LIMITS, port=0) as opened:
        yield opened


def _port(site: Site) -> int:
    return int(site.url.rstrip("/").rpartition(":")[2])


def _ask(site: Site, path: str = "/predict", body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    """Status, content and headers of the answer; with a body, the request is a POST."""
    connection = http.client.HTTPConnection("127.0.0.1", _port(site), timeout=60)
    method = "GET" if body is None else "POST"
    connection.request(method, path, body=body, headers={"Connection": "close", **(headers or {})})
    answer = connection.getresponse()
    content = answer.read()
    is_json = answer.headers["Content-Type"].startswith("application/json")
    return answer.status, json.loads(content) if is_json else content.decode(), answer.headers


def _error(answer: Answer) -> tuple[int, str]:
    status, content, _ = answer
    assert list(content) == ["error"]
    assert "\n" not in content["error"]
    return status, content["error"]


def _form(*files: tuple[str, bytes], boundary: str = "edge") -> tuple[bytes, dict[str, str]]:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in files
    ]
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def _raw(site: Site, *pieces: bytes) -> bytes:
    """Send bytes as they are and read until the server closes."""
    with socket.create_connection(("127.0.0.1", _port(site)), timeout=60) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"


def test_a_photo_gets_what_predict_writes(site: Site, tmp_path: Path) -> None:
    assert main(["predict", str(PHOTO), "--threads", "1", "--out-dir", str(tmp_path / "out")]) == 0
    expected = json.loads((tmp_path / "out" / "keypoints.json").read_text())
    assert len(expected) == 3
    body, headers = _form((str(PHOTO), PHOTO.read_bytes()))
    status, people, _ = _ask(site, body=body, headers=headers)
    assert (status, people) == (200, expected)
    status, people, _ = _ask(site, body=PHOTO.read_bytes(), headers={"Content-Type": "image/jpeg"})
    assert (status, people) == (200, [{**person, "file_name": "image"} for person in expected])


def test_a_body_in_chunks_is_read(site: Site) -> None:
    content = PHOTO.read_bytes()
    pieces = iter([content[:10], content[10:11], content[11:]])
    assert len(_ask(site, body=pieces)[1]) == 3


def test_a_photo_of_nobody_gets_an_empty_list(site: Site) -> None:
    gray = encode_image(np.full((64, 64, 3), 128, np.uint8), ".png", 0)
    assert _ask(site, body=gray)[:2] == (200, [])


def test_without_a_detector_a_picture_of_nobody_gets_an_empty_list() -> None:
    with open_service([PoseEstimator(threads=1, whole_image=True)], LIMITS, port=0) as opened:
        gray = encode_image(np.full((64, 64, 3), 128, np.uint8), ".png", 0)
        assert _ask(opened, body=gray)[:2] == (200, [])


@pytest.mark.parametrize(
    ("body", "headers", "sentence"),
    [
        (b"", {}, "image: is empty (expected"),
        (b"no image", {}, "image: not an image (expected"),
        (PHOTO.read_bytes()[:50_000], {}, "image: is cut short or damaged (expected a whole JPEG file)"),
        (*_form(), "the form holds 0 files (expected one photo)"),
        (*_form(("a.jpg", b"1"), ("b.jpg", b"2")), "the form holds 2 files (expected one photo)"),
        (b"--edge\r\nno end", _form()[1], "the form is damaged (expected multipart/form-data)"),
        (b"photo", {"Content-Type": "multipart/form-data"}, "the form is damaged (expected multipart/form-data)"),
        (b"photo", {"Content-Type": "multipart/mixed; boundary=edge"}, "the form holds 0 files"),
    ],
)
def test_what_is_not_a_photo_is_said(site: Site, body: bytes, headers: dict[str, str], sentence: str) -> None:
    status, error = _error(_ask(site, body=body, headers=headers))
    assert status == 400
    assert error.startswith(sentence)


def test_photos_with_too_many_pixels_are_refused_before_they_are_decoded(site: Site) -> None:
    status, error = _error(_ask(site, body=png_bomb(50_000, 50_000)))
    assert (status, error) == (413, "image: 50000 x 50000 pixels are too many (expected at most 2 million)")


def test_a_jpeg_with_thousands_of_scans_is_refused(site: Site) -> None:
    content = encode_image(np.zeros((8, 8, 3), np.uint8), ".jpg", 90)
    scan = content[content.index(b"\xff\xda") : -2]
    many = content[:-2] + scan * MOST_SCANS + content[-2:]
    assert _error(_ask(site, body=many)) == (413, "image: a JPEG with too many scans (expected at most 100)")


def test_a_large_body_is_refused_however_it_is_declared(site: Site) -> None:
    sentence = "the body is too large (expected at most 0.2 MB)"
    body = bytes(LIMITS.body_bytes + 1)
    assert _error(_ask(site, body=body)) == (413, sentence)
    pieces = iter([body[:100_000], body[100_000:]])
    assert _error(_ask(site, body=pieces)) == (413, sentence)
    answer = _raw(site, HEAD + b"Content-Length: 99999999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert sentence.encode() in answer


def test_a_client_that_asks_first_sends_no_large_body(site: Site) -> None:
    answer = _raw(site, HEAD + b"Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 (Continue)" not in answer


@pytest.mark.parametrize(
    "sent", [b"Content-Length: 1000\r\n\r\nshort", b"Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"]
)
def test_an_upload_without_end_is_refused_in_time(estimator: PoseEstimator, sent: bytes) -> None:
    with open_service([estimator], Limits(seconds=0.3), port=0) as opened:
        answer = _raw(opened, HEAD + sent)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(b'{"error": "the upload took too long (expected at most 0.3 s)"}\n')


@pytest.mark.parametrize(
    "sent",
    [
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: many\r\n\r\n",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nnot a size\r\n",
        b"no header\r\n\r\n",
    ],
)
def test_what_is_not_http_gets_a_bare_error_and_the_connection_ends(site: Site, sent: bytes) -> None:
    assert _raw(site, HEAD + sent) == b"HTTP/1.1 400 Bad Request\r\n\r\n"


def test_what_follows_a_body_that_lied_about_its_length_is_no_request(site: Site) -> None:
    answer = _raw(site, HEAD + b"Content-Length: 2\r\n\r\n", PHOTO.read_bytes()[:100] + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\nServer: litehrnet")
    assert answer.endswith(b"HTTP/1.1 400 Bad Request\r\n\r\n")


class _Slow:
    """An estimator that waits until it is told to go on."""

    def __init__(self, estimator: PoseEstimator) -> None:
        self.detector, self._estimator = estimator.detector, estimator
        self.entered, self.go_on = threading.Semaphore(0), threading.Event()

    def predict(self, image: Any) -> Any:
        self.entered.release()
        assert self.go_on.wait(60)
        return self._estimator.predict(image)


def _with(slow: _Slow, limits: Limits) -> Site:
    return open_service([slow], limits, port=0)  # type: ignore[list-item]


def _upload(site: Site) -> socket.socket:
    """A connection that has sent a photo and did not read the answer."""
    connection = socket.create_connection(("127.0.0.1", _port(site)), timeout=60)
    photo = PHOTO.read_bytes()
    connection.sendall(HEAD + f"Content-Length: {len(photo)}\r\n\r\n".encode() + photo)
    return connection


def _wait_for(fact: Callable[[], bool]) -> None:
    while not fact():
        time.sleep(0.01)


def _in_progress(site: Site) -> int:
    lines = _ask(site, "/metrics")[1].splitlines()
    return int(next(line for line in lines if line.startswith("litehrnet_photos_in_progress ")).split()[1])


def test_while_photos_are_computed_checks_are_answered_and_the_line_has_an_end(estimator: PoseEstimator) -> None:
    slow = _Slow(estimator)
    with _with(slow, Limits(waiting=3)) as opened, ThreadPoolExecutor(3) as clients:
        waiting = [clients.submit(_ask, opened, body=PHOTO.read_bytes()) for _ in range(3)]
        _wait_for(lambda: _in_progress(opened) == 3)
        assert _ask(opened, "/healthz")[:2] == (200, {"status": "ok"})
        answer = _ask(opened, body=PHOTO.read_bytes())
        assert _error(answer) == (503, "3 photos are waiting already (expected you to try again later)")
        assert answer[2]["Retry-After"] == "1"
        slow.go_on.set()
        assert [len(job.result()[1]) for job in waiting] == [3, 3, 3]
        assert _in_progress(opened) == 0


def test_a_photo_that_takes_too_long_is_said_and_keeps_its_place(estimator: PoseEstimator) -> None:
    slow = _Slow(estimator)
    with _with(slow, Limits(waiting=1, seconds=0.5)) as opened:
        answer = _ask(opened, body=PHOTO.read_bytes())
        assert _error(answer) == (503, "the photo was not computed within 0.5 s (expected you to try again later)")
        assert _error(_ask(opened, body=PHOTO.read_bytes()))[1].startswith("1 photos are waiting already")
        slow.go_on.set()
        _wait_for(lambda: _in_progress(opened) == 0)


def test_clients_that_leave_give_their_place_in_the_line_away(estimator: PoseEstimator) -> None:
    slow = _Slow(estimator)
    with _with(slow, Limits(waiting=2)) as opened:
        first = _upload(opened)
        assert slow.entered.acquire(timeout=60)
        second = _upload(opened)
        _wait_for(lambda: _in_progress(opened) == 2)
        second.close()
        _wait_for(lambda: _in_progress(opened) == 1)
        slow.go_on.set()
        assert first.recv(100).startswith(b"HTTP/1.1 200 OK")
        first.close()
        _wait_for(lambda: 'path="/predict",status="499"} 1' in _ask(opened, "/metrics")[1])


def test_a_photo_that_left_the_line_is_not_kept(estimator: PoseEstimator) -> None:
    slow = _Slow(estimator)
    pool = PhotoPool([slow], Limits())  # type: ignore[list-item]
    pool.submit(PHOTO.read_bytes(), "image/jpeg")
    assert slow.entered.acquire(timeout=60)
    body = bytes(1000)
    references = sys.getrefcount(body)
    job = pool.submit(body, "image/jpeg")
    assert sys.getrefcount(body) > references
    assert job.cancel()
    assert sys.getrefcount(body) == references
    slow.go_on.set()
    pool.close()


def test_a_photo_in_progress_is_answered_when_the_site_closes(estimator: PoseEstimator) -> None:
    slow = _Slow(estimator)
    opened = _with(slow, Limits())
    connection = _upload(opened)
    assert slow.entered.acquire(timeout=60)
    threading.Timer(0.2, slow.go_on.set).start()
    opened.close()
    with connection:
        assert b"".join(iter(lambda: connection.recv(1 << 16), b"")).startswith(b"HTTP/1.1 200 OK")


def test_of_too_many_uploads_the_slowest_is_refused(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    monkeypatch.setattr(service, "_HELD_BODIES", 1)
    half = HEAD + b"Content-Length: 190000\r\n\r\n" + bytes(150_000)
    with (
        socket.create_connection(("127.0.0.1", _port(site)), timeout=60) as first,
        socket.create_connection(("127.0.0.1", _port(site)), timeout=60) as second,
    ):
        first.sendall(half)
        _wait_for(lambda: "litehrnet_upload_bytes 150000" in _ask(site, "/metrics")[1])
        second.sendall(half)
        answer = first.recv(2000)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"this one was the slowest" in answer
        _wait_for(lambda: "litehrnet_upload_bytes 150000" in _ask(site, "/metrics")[1])


def test_a_hundred_stalled_uploads_stop_nobody(site: Site) -> None:
    stalled = [socket.create_connection(("127.0.0.1", _port(site)), timeout=60) for _ in range(100)]
    try:
        for connection in stalled:
            connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\nstalled")
        with ThreadPoolExecutor(4) as clients:
            answers = list(clients.map(lambda _: _ask(site, body=PHOTO.read_bytes()), range(12)))
        assert [(status, len(people)) for status, people, _ in answers] == [(200, 3)] * 12
    finally:
        for connection in stalled:
            connection.close()


def test_numbers_count_requests_photos_and_people(estimator: PoseEstimator) -> None:
    with open_service([estimator], LIMITS, port=0) as opened:
        for body in (PHOTO.read_bytes(), b"no image"):
            _ask(opened, body=body)
        _ask(opened, "/unknown/secret")
        status, text, headers = _ask(opened, "/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    lines = text.splitlines()
    for line in (
        'litehrnet_requests_total{path="/predict",status="200"} 1',
        'litehrnet_requests_total{path="/predict",status="400"} 1',
        'litehrnet_requests_total{path="other",status="404"} 1',
        'litehrnet_prediction_seconds_bucket{le="+Inf"} 1',
        "litehrnet_prediction_seconds_count 1",
        "litehrnet_people_total 3",
        "litehrnet_photos_in_progress 0",
        "litehrnet_upload_bytes 0",
    ):
        assert lines.count(line) == 1, line
    assert "secret" not in text
    samples = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    assert all(float(value) >= 0 for _, _, value in samples)
    declared = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {name.split("{")[0].removesuffix("_bucket").removesuffix("_sum") for name, _, _ in samples} - declared == {
        "litehrnet_prediction_seconds_count"
    }


def test_the_description_names_what_is_answered_and_the_limits(site: Site) -> None:
    status, description, _ = _ask(site, "/openapi.json")
    assert (status, description["openapi"]) == (200, "3.1.0")
    assert set(description["paths"]) == {"/predict", "/healthz", "/metrics"}
    assert all(_ask(site, path)[0] == (405 if path == "/predict" else 200) for path in description["paths"])
    answers = description["paths"]["/predict"]["post"]["responses"]
    assert set(answers) == {"200", "400", "401", "408", "413", "421", "503"}
    assert "200000 bytes" in answers["413"]["description"]
    person = description["components"]["schemas"]["Person"]
    assert set(person["required"]) == set(_ask(site, body=PHOTO.read_bytes())[1][0])
    assert "security" not in description["paths"]["/predict"]["post"]


def test_other_web_pages_cannot_send_photos(site: Site) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert _error(_ask(site, body=b"x", headers=headers)) == (403, "requests of other web pages are refused")
    own = {"Origin": site.url.rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    assert _ask(site, body=PHOTO.read_bytes(), headers=own)[0] == 200


def test_a_site_with_a_token_wants_it_for_photos_and_numbers(estimator: PoseEstimator) -> None:
    with open_service([estimator], LIMITS, port=0, token=SECRET) as opened:
        for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": SECRET}, {"Authorization": "Bearer "}):
            answer = _ask(opened, body=PHOTO.read_bytes(), headers=wrong)
            assert _error(answer)[0] == _ask(opened, "/metrics", headers=wrong)[0] == 401
            assert answer[2]["WWW-Authenticate"] == "Bearer"
        right = {"Authorization": f"Bearer {SECRET}"}
        assert _ask(opened, body=PHOTO.read_bytes(), headers=right)[0] == 200
        # Under the name of a container or behind a proxy.
        assert _ask(opened, "/metrics", headers={**right, "Host": "pose.internal:80"})[0] == 200
        assert _ask(opened, "/metrics", headers={"Host": "pose.internal:80"})[0] == 421
        assert _ask(opened, "/healthz")[0] == 200
        predict = _ask(opened, "/openapi.json")[1]["paths"]["/predict"]["post"]
        assert predict["security"] == [{"token": []}]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "machine.example"])
def test_other_machines_are_answered_with_a_token_only(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    assert main(["serve", "--no-page", "--host", host]) == 2
    assert capsys.readouterr().err == (
        f"error: {host}: other machines may reach it, and LITEHRNET_TOKEN is not set (expected a secret in it)\n"
    )


@pytest.mark.parametrize(
    "token", ["", "short", "sixteen-letters-é", "sixteen letters or more", "sixteen-letters-or-more\n"]
)
def test_a_weak_token_is_refused(
    token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(TOKEN, token)
    assert main(["serve", "--no-page"]) == 2
    assert "LITEHRNET_TOKEN: not a token (expected at least 16 letters and digits)" in capsys.readouterr().err


def test_the_command_opens_an_estimator_per_thread_and_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    statuses: list[int] = []

    def ask() -> None:
        address = capsys.readouterr().out.partition("http://127.0.0.1:")[2].partition("/")[0]
        connection = http.client.HTTPConnection("127.0.0.1", int(address), timeout=60)
        connection.request("POST", "/predict", body=PHOTO.read_bytes(), headers={"Connection": "close"})
        answer = connection.getresponse()
        statuses.append(answer.status)
        answer.read()

    monkeypatch.setattr(litehrnet.cli.serve, "wait_for_interrupt", ask)
    assert main(["serve", "--no-page", "--port", "0", "--threads", "2"]) == 0
    assert statuses == [200]


def test_keypoints_of_other_things_need_no_option_and_the_message_names_no_other_commands_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = write_spot_finder(tmp_path / "spots.onnx")
    (tmp_path / "pipeline.json").write_text(json.dumps(SPOT_PIPELINE))
    monkeypatch.setattr(litehrnet.cli.serve, "wait_for_interrupt", lambda: None)
    assert main(["serve", str(model), "--no-page", "--port", "0", "--threads", "1"]) == 0
    said = capsys.readouterr().out
    assert "no detector: each picture is one object's box" in said
    assert "use --detector with a detector that you trained)" in said
