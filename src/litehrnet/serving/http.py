"""A web server with fixed paths, on Tornado: documents, streams of pictures, and handlers of other modules.

Paths of requests are never used in the file system. Requests under other host names are refused. Otherwise a
web page could reach the server by a name of its own that points to this machine (DNS rebinding).

Clients have deadlines for headers, bodies and answers. So slow ones cost one connection each and delay nobody.
"""

import asyncio
import contextlib
import errno
import hmac
import json
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import Application, RequestHandler, stream_request_body

from litehrnet.errors import UserError
from litehrnet.serving import DEFAULT_PORT, LOOPBACK
from litehrnet.serving.content import Document, LatestFrame

_LOOPBACK_NAMES = {"localhost", LOOPBACK, "::1"}

PATIENCE = 10.0
"""Seconds that a client has for its headers, and for each piece of an answer."""
LINGER = 2.0
"""Seconds that a refused upload is still read. If the connection closed at once, the answer could be lost."""
_GRACE = 8.0
"""Seconds that requests in progress have when the site is closed."""
MOST_CONNECTIONS = 500
"""Connections at once, as a process may often open about 1000 files. Above it, the oldest idle one is closed."""
_PIECE = 1 << 16
_LONGEST_HEADERS = 1 << 14

# The first three isolate the page from windows and pages of other sites.
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
    "Server": "litehrnet",
}


class RequestError(Exception):
    """A request that is answered with an error.

    Args:
        status: HTTP status, 400 or more.
        sentence: Error message.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.headers = status, headers or {}


@stream_request_body
class Handler(RequestHandler):
    """One request: checks who asks, then calls ``answer`` once the body has arrived; errors are a sentence in JSON.

    Attributes:
        methods: HTTP methods that are answered.
        needs_token: Whether the site's token is required, if it has one.
        refused: Whether an error was sent before the body arrived; the rest of the body is thrown away.
        is_gone: Whether the client has disconnected.
    """

    methods: ClassVar[tuple[str, ...]] = ("GET", "HEAD")
    needs_token: ClassVar[bool] = False
    refused = False
    is_gone = False

    async def answer(self) -> None:
        """Send the answer; ``RequestError`` is sent as an error."""
        raise NotImplementedError

    @property
    def connection(self) -> HTTP1Connection:
        """The client's connection."""
        connection = self.request.connection
        assert isinstance(connection, HTTP1Connection)
        return connection

    def set_default_headers(self) -> None:
        """Set the headers of every answer."""
        for header, value in _HEADERS.items():
            self.set_header(header, value)

    def prepare(self) -> None:
        """Check the headers, before the body arrives."""
        self.settings["active"].add(self)
        try:
            self.check()
        except RequestError as error:
            self.refuse_now(error)

    def check(self) -> None:
        """Check the headers of the request; ``RequestError`` is sent as an error."""
        token = self.settings["token"]
        given = self.request.headers.get("Authorization", "").encode()
        is_known = token is not None and hmac.compare_digest(given, f"Bearer {token}".encode())
        if not is_known and not self._is_asked_by_its_name():
            raise RequestError(
                421, "the request names another host (expected the address that litehrnet serve printed)"
            )
        if self.request.method not in self.methods:
            allowed = ", ".join(self.methods)
            raise RequestError(405, f"{self.request.method}: not allowed here (expected {allowed})", {"Allow": allowed})
        if self.needs_token and token is not None and not is_known:
            sentence = "the token is missing or wrong (expected the header Authorization: Bearer TOKEN)"
            raise RequestError(401, sentence, {"WWW-Authenticate": "Bearer"})

    def _is_asked_by_its_name(self) -> bool:
        hosts = self.request.headers.get_list("Host")
        if self.connection.stream.closed():
            return False
        arrived_at = self.connection.stream.socket.getsockname()[0]  # not the host if that is all addresses
        own = _LOOPBACK_NAMES | {self.settings["host"].lower(), arrived_at}
        return len(hosts) == 1 and _without_port(hosts[0]).lower() in own

    async def _answer(self) -> None:
        if self.refused:  # and now the body has ended
            return
        try:
            await self.answer()
        except RequestError as error:
            self._write_refusal(error)

    get = head = post = _answer

    def refuse_now(self, error: RequestError) -> None:
        """Send an error before the body has arrived, and throw the rest of it away for a while."""
        self.refused = True
        self._write_refusal(error)
        self.set_header("Connection", "close")
        if "Expect" in self.request.headers:  # the client waits with its body
            self.finish()
            return
        self.flush()
        asyncio.get_running_loop().call_later(LINGER, lambda: None if self._finished else self.finish())

    def _write_refusal(self, error: RequestError) -> None:
        self.clear()
        self.set_status(error.status)
        content = json.dumps({"error": str(error)}).encode() + b"\n"
        headers = {"Content-Type": "application/json", "Content-Length": str(len(content)), **error.headers}
        for header, value in headers.items():
            self.set_header(header, value)
        self.write(content)

    def write_error(self, status_code: int, **details: Any) -> None:
        """Send what Tornado refuses, and exceptions, in the same form."""
        sentences = {403: "requests of other web pages are refused", 405: "this method is not allowed"}
        self._write_refusal(
            RequestError(status_code, sentences.get(status_code, "an error of the server; its log has more"))
        )

    async def send_piece(self, piece: bytes) -> None:
        """Send a part of an answer; disconnect a client that does not read it in time."""
        self.write(piece)
        try:
            async with asyncio.timeout(PATIENCE):
                await self.flush()
        except TimeoutError:
            self.connection.close()
            self.is_gone = True
        except StreamClosedError:
            self.is_gone = True

    def data_received(self, chunk: bytes) -> None:
        """Throw a part of the body away."""

    def on_connection_close(self) -> None:
        """Note that the client has disconnected."""
        self.is_gone = True
        self.on_finish()

    def on_finish(self) -> None:
        """Note that the request is answered."""
        self.settings["active"].discard(self)

    def compute_etag(self) -> None:
        """Send an ETag only with documents, which have their own."""


class _Answer(Handler):
    async def answer(self) -> None:
        answer = self.settings["answers"].get(self.request.path)
        if answer is None:
            raise RequestError(404, "no such path")
        if isinstance(answer, LatestFrame):
            await self._send_frames(answer)
            return
        await self._send_document(answer)

    async def _send_document(self, document: Document) -> None:
        self.set_header("ETag", document.etag)
        self.set_header("Vary", "Accept-Encoding")
        if self.check_etag_header():
            self.set_status(304)
            return
        content = document.content
        accepted = [
            part.partition(";")[0].strip() for part in self.request.headers.get("Accept-Encoding", "").split(",")
        ]
        if "gzip" in accepted and document.compressed is not None:
            content = document.compressed
            self.set_header("Content-Encoding", "gzip")
        self.set_header("Content-Type", document.content_type)
        self.set_header("Content-Length", str(len(content)))
        if self.request.method == "HEAD":
            return
        for start in range(0, len(content), _PIECE):
            await self.send_piece(content[start : start + _PIECE])
            if self.is_gone:
                return

    async def _send_frames(self, frames: LatestFrame) -> None:
        self.set_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        if self.request.method == "HEAD":
            return
        # The boundary follows each picture at once, for clients that wait for it. Chromium shows a picture only when
        # the next one begins or the stream ends: it is one behind.
        await self.send_piece(b"--frame\r\n")
        number = 0
        while not self.is_gone and not self.settings["closing"].is_set():
            ended, newest = frames.ended, frames.newer_than(number)
            if newest is not None:
                number, jpeg = newest
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                await self.send_piece(head.encode() + jpeg + b"\r\n--frame\r\n")
            elif ended:
                return
            else:
                await asyncio.sleep(0.01)


class _Server(HTTPServer):
    def initialize(self, *arguments: Any, **settings: Any) -> None:
        super().initialize(*arguments, **settings)
        self._streams: list[IOStream] = []

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        self._streams = [*(other for other in self._streams if not other.closed()), stream]
        if len(self._streams) > MOST_CONNECTIONS:
            assert isinstance(self.request_callback, Application)
            busy = {handler.connection.stream for handler in self.request_callback.settings["active"]}
            next((other for other in self._streams if other not in busy), self._streams[0]).close()
        if not stream.closed():
            super().handle_stream(stream, address)


class Site:
    """Running server; as a context manager it stops at the end of the block.

    Args:
        answers: Content by path; other paths are not found.
        host: Name or address to listen on.
        port: Port to listen on; 0 for any free port.
        routes: Further paths: a pattern, its handler, and the arguments of the handler's ``initialize``.
        token: Required by handlers with ``needs_token``, and makes any host name acceptable; None for no token.
        on_answer: Called after each request.

    Attributes:
        url: URL of the path ``/``.

    Raises:
        UserError: The port is taken, or this machine does not have the address.
    """

    def __init__(
        self,
        answers: Mapping[str, Document | LatestFrame],
        host: str = LOOPBACK,
        port: int = DEFAULT_PORT,
        *,
        routes: Sequence[tuple[str, type[Handler], dict[str, Any]]] = (),
        token: str | None = None,
        on_answer: Any = lambda handler: None,
    ) -> None:
        listening = _listen(host, port)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{listening.getsockname()[1]}/"
        self._closing = asyncio.Event()
        self._application = Application(
            [*routes, (".*", _Answer)],
            answers=answers,
            host=host,
            token=token,
            active=set(),
            closing=self._closing,
            log_function=on_answer,
            cross_origin_protection=True,
        )
        self._runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._run, args=(listening,), daemon=True)
        self._thread.start()

    def _run(self, listening: socket.socket) -> None:
        with self._runner as runner:
            runner.run(self._serve(listening))

    async def _serve(self, listening: socket.socket) -> None:
        server = _Server(
            self._application,
            idle_connection_timeout=PATIENCE,
            body_timeout=PATIENCE,
            max_header_size=_LONGEST_HEADERS,
            max_buffer_size=16 * _PIECE,
            max_body_size=1 << 62,  # handlers throw bodies away, or count them
        )
        server.add_socket(listening)
        await self._closing.wait()
        server.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                while self.is_asked():
                    await asyncio.sleep(0.02)
        await server.close_all_connections()

    def is_asked(self) -> bool:
        """Return whether requests are in progress, such as viewers of a stream."""
        return bool(self._application.settings["active"])

    def close(self) -> None:
        """Stop listening; requests in progress are answered, and streams end after the current picture."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()

    def __enter__(self) -> "Site":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).removeprefix("[").removesuffix("]")


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise UserError(f"port {port}: not a port (expected 0 to 65535)")
    try:
        host.encode("idna")  # Python does the same in create_server, but raises TypeError and leaves a socket open
    except UnicodeError as error:
        raise UserError(f"{host}: not a host (expected a name or an address, {error})") from error
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port}: taken on {host} (expected a free port, or 0 for any)") from error
        raise UserError(f"{host}, port {port}: cannot listen ({error.strerror})") from error
    listening.setblocking(False)
    return listening
