"""A web server for this machine's own browser: answers a fixed table of paths and takes nothing in.

No path of an address ever becomes one of the file system. Requests under foreign names are refused, so that no page of
the web can reach it through a name of its own that points here (DNS rebinding).
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
from types import TracebackType
from typing import Any

from litehrnet.errors import UserError

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8018
_LOOPBACK_NAMES = {"localhost", LOOPBACK, "::1"}
_PATIENCE = 10.0
"""Seconds after which a connection that neither sends nor takes anything is closed."""

# The first three isolate the page, which is what browsers ask for before they give WebAssembly threads.
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
    """What a path answers with.

    Attributes:
        content: The bytes.
        content_type: Such as ``text/html; charset=utf-8``.
    """

    content: bytes
    content_type: str


@dataclass(frozen=True)
class JpegStream:
    """A path that goes on sending pictures, each in the place of the one before: ``<img>`` shows them as a film.

    Attributes:
        open: Called once per viewer, in the viewer's own thread; gives JPEG files until the film ends.
    """

    open: Callable[[], Iterator[bytes]]


class LatestFrame:
    """The newest picture of a film for any number of viewers: who is slow misses some, and nobody is waited for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jpeg = b""
        self._number = 0
        self._ended = False

    def publish(self, jpeg: bytes) -> None:
        """Replace the picture by a newer one, a whole JPEG file."""
        with self._changed:
            self._jpeg, self._number = jpeg, self._number + 1
            self._changed.notify_all()

    def end(self) -> None:
        """Let the viewers go once they have the last picture."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def frames(self) -> Iterator[bytes]:
        """The newest picture, again and again as soon as there is a newer one; for ``JpegStream``."""
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
    """A running server; as a context manager it ends with the block.

    Args:
        answers: Path -> what it answers with; all others are not found.
        host: Name or address to listen on.
        port: 0 for any free one.

    Attributes:
        url: Where its path ``/`` is.

    Raises:
        UserError: The port is taken, or there is no such address here.
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
        """Stop listening; pictures that are on their way are the last ones."""
        self._server.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> "Site":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
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
        TCPServer.server_bind(self)  # without HTTPServer's look-up of the machine's name, which may take seconds

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # whoever closes a page in the middle of an answer is none
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
        arrived_at = self.connection.getsockname()[0]  # of use where the server listens on all addresses
        own = _LOOPBACK_NAMES | {self.server.host.lower(), arrived_at}
        return len(hosts) == 1 and _without_port(hosts[0]).lower() in own

    def _send_head(self, status: HTTPStatus, content_type: str, further: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for header, value in {"Content-Type": content_type, **_HEADERS, **(further or {})}.items():
            self.send_header(header, value)
        self.end_headers()

    def _send_frames(self, stream: JpegStream) -> None:
        # The boundary follows each picture at once, for readers who wait for it. Chromium shows a picture when the next
        # one begins or the film ends: it is one behind.
        self.wfile.write(b"--frame\r\n")
        for jpeg in stream.open():
            if self.server.closing.is_set():
                break
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n--frame\r\n")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer in one line of text, with the same headers as everything else."""
        # What the base class does not implement are methods that send something: nothing here takes anything.
        status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        content = f"{status.value} {status.phrase}\n".encode()
        further = {"Content-Length": str(len(content)), "Connection": "close"}
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            further["Allow"] = "GET, HEAD"
        self._send_head(status, "text/plain; charset=utf-8", further)
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing: what was asked for is nobody's business."""


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).removeprefix("[").removesuffix("]")


def _listen(answers: Mapping[str, Document | JpegStream], host: str, port: int) -> _Server:
    try:
        return _Server(answers, host, port)
    except OverflowError as error:
        raise UserError(f"port {port}: no such port (expected 0 to 65535)") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port}: taken on {host} (expected a free one; 0 takes any)") from error
        raise UserError(f"{host}, port {port}: cannot be listened on ({error.strerror})") from error
