"""A web server for the browser on this machine: it answers a fixed table of paths and accepts no data.

Paths of requests are never used in the file system. Requests under other host names are refused. Otherwise a
web page could reach the server by a name of its own that points to this machine (DNS rebinding).
"""

import errno
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from litehrnet.errors import UserError

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8018
_LOOPBACK_NAMES = {"localhost", LOOPBACK, "::1"}
_PATIENCE = 10.0
"""Seconds without data after which a connection is closed."""

# The first three isolate the page: browsers require this for WebAssembly threads.
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class Document:
    """Content of a path.

    Attributes:
        content: Content as bytes.
        content_type: Value of the Content-Type header, such as ``text/html; charset=utf-8``.
    """

    content: bytes
    content_type: str


@dataclass(frozen=True)
class JpegStream:
    """Stream of pictures, each of which replaces the previous one; ``<img>`` shows it as a video.

    Attributes:
        open: Called once per viewer, in the viewer's thread; yields JPEG files until the stream ends.
    """

    open: Callable[[], Iterator[bytes]]


class LatestFrame:
    """Newest picture of a stream for any number of viewers; slow viewers miss pictures and delay nobody."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jpeg = b""
        self._number = 0
        self._ended = False

    def publish(self, jpeg: bytes) -> None:
        """Replace the picture by a newer one, a complete JPEG file."""
        with self._changed:
            self._jpeg, self._number = jpeg, self._number + 1
            self._changed.notify_all()

    def end(self) -> None:
        """End the stream; viewers still receive the last picture."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def frames(self) -> Iterator[bytes]:
        """Yield the newest picture whenever there is a newer one, for ``JpegStream``."""
        seen = 0
        while True:
            with self._changed:
                while self._number == seen and not self._ended:
                    self._changed.wait()
                if self._number == seen:
                    return
                seen, jpeg = self._number, self._jpeg
            yield jpeg


class Site:
    """Running server; as a context manager it stops at the end of the block.

    Args:
        answers: Content by path; other paths are not found.
        host: Name or address to listen on.
        port: Port to listen on; 0 for any free port.

    Attributes:
        url: URL of the path ``/``.

    Raises:
        UserError: The port is taken, or this machine does not have the address.
    """

    def __init__(
        self, answers: Mapping[str, Document | JpegStream], host: str = LOOPBACK, port: int = DEFAULT_PORT
    ) -> None:
        self._server = _listen(answers, host, port)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; streams end after the current picture."""
        self._server.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> "Site":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = os.name == "posix"  # elsewhere it would share a port that is taken

    def __init__(self, answers: Mapping[str, Document | JpegStream], host: str, port: int) -> None:
        self.answers, self.host, self.closing = dict(answers), host, threading.Event()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer would also look up the machine's name, which may take seconds

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that disconnects is not an error
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _PATIENCE
    server_version, sys_version = "litehrnet", ""

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def _answer(self, with_content: bool) -> None:
        if not self._is_asked_by_its_name():
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return
        answer = self.server.answers.get(self.path.partition("?")[0])
        if answer is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif isinstance(answer, Document):
            self._send_head(HTTPStatus.OK, answer.content_type, {"Content-Length": str(len(answer.content))})
            if with_content:
                self.wfile.write(answer.content)
        else:
            self._send_head(HTTPStatus.OK, "multipart/x-mixed-replace; boundary=frame")
            if with_content:
                self._send_frames(answer)

    def _is_asked_by_its_name(self) -> bool:
        hosts = self.headers.get_all("Host") or []
        arrived_at = self.connection.getsockname()[0]  # differs from the host if the server listens on all addresses
        own = _LOOPBACK_NAMES | {self.server.host.lower(), arrived_at}
        return len(hosts) == 1 and _without_port(hosts[0]).lower() in own

    def _send_head(self, status: HTTPStatus, content_type: str, further: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for header, value in {"Content-Type": content_type, **_HEADERS, **(further or {})}.items():
            self.send_header(header, value)
        self.end_headers()

    def _send_frames(self, stream: JpegStream) -> None:
        # The boundary follows each picture at once, for clients that wait for it. Chromium shows a picture only when
        # the next one begins or the stream ends: it is one behind.
        self.wfile.write(b"--frame\r\n")
        for jpeg in stream.open():
            if self.server.closing.is_set():
                break
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n--frame\r\n")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer in one line of text, with the same headers as everything else."""
        # The base class reports methods that send data as not implemented; here they are not allowed.
        status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        content = f"{status.value} {status.phrase}\n".encode()
        further = {"Content-Length": str(len(content)), "Connection": "close"}
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            further["Allow"] = "GET, HEAD"
        self._send_head(status, "text/plain; charset=utf-8", further)
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing: requests are not logged."""


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).removeprefix("[").removesuffix("]")


def _listen(answers: Mapping[str, Document | JpegStream], host: str, port: int) -> _Server:
    try:
        return _Server(answers, host, port)
    except OverflowError as error:
        raise UserError(f"port {port}: not a port (expected 0 to 65535)") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port}: taken on {host} (expected a free port, or 0 for any)") from error
        raise UserError(f"{host}, port {port}: cannot listen ({error.strerror})") from error
