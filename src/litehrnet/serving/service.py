"""The prediction service: ``POST /predict``, and paths for those who watch and call it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

from litehrnet.inference.estimator import PoseEstimator
from litehrnet.serving import DEFAULT_PORT, LOOPBACK
from litehrnet.serving.content import Document, LatestFrame
from litehrnet.serving.http import LINGER, Handler, RequestError, Site
from litehrnet.serving.metrics import Metrics
from litehrnet.serving.openapi import describe_service
from litehrnet.serving.photos import Limits, PhotoPool, PhotoResult

_PREDICT, _METRICS, _HEALTH, _DESCRIPTION = "/predict", "/metrics", "/healthz", "/openapi.json"
_HELD_BODIES = 16
"""Uploads of the largest size that may be held at once, before the slowest is refused."""


class Service:
    """State that all requests share: limits, counters, the pool and held uploads. Only the site's thread uses it.

    Args:
        estimators: See ``PhotoPool``.
        limits: See ``Limits``.
    """

    def __init__(self, estimators: Sequence[PoseEstimator], limits: Limits) -> None:
        self.limits, self.metrics = limits, Metrics()
        self.pool = PhotoPool(estimators, limits)
        self.requests: set[_Predict] = set()
        """Requests that hold a body, or a part of one."""

    def held_bytes(self) -> int:
        """Return the size of all bodies that are held."""
        return sum(len(request.body) for request in self.requests)

    def make_room(self) -> None:
        """Refuse the slowest uploads while all of them hold too much."""
        while self.held_bytes() > _HELD_BODIES * self.limits.body_bytes:
            uploads = [request for request in self.requests if not request.is_complete]
            if not uploads:
                return
            slowest = min(uploads, key=lambda request: request.began)
            slowest.refuse_now(RequestError(503, "too many uploads at once, and this one was the slowest"))
            slowest.forget()

    def count(self, handler: Handler) -> None:
        """Count an answered request."""
        known = handler.request.path if isinstance(handler, _Predict | _Watch) else "other"
        self.metrics.requests[known, handler.get_status()] += 1


class _Predict(Handler):
    methods: ClassVar[tuple[str, ...]] = ("POST",)
    needs_token: ClassVar[bool] = True

    def initialize(self, service: Service) -> None:
        self._service = service
        self._job: asyncio.Future[PhotoResult] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self.is_complete, self.began = False, asyncio.get_running_loop().time()
        self.body: bytearray | bytes = bytearray()

    def check(self) -> None:
        super().check()
        limits = self._service.limits
        declared = self.request.headers.get("Content-Length", "")
        if declared.isdigit() and int(declared) > limits.body_bytes:
            raise self._too_large()
        self.connection.set_body_timeout(limits.seconds + 2 * LINGER)
        self._deadline = asyncio.get_running_loop().call_later(limits.seconds, self._too_late)
        self._service.requests.add(self)

    def _too_large(self) -> RequestError:
        return RequestError(
            413, f"the body is too large (expected at most {self._service.limits.body_bytes / 1e6:g} MB)"
        )

    def _too_late(self) -> None:
        if not (self.is_complete or self.refused or self.is_gone):
            seconds = self._service.limits.seconds
            self.refuse_now(RequestError(408, f"the upload took too long (expected at most {seconds:g} s)"))
            self.forget()

    def data_received(self, chunk: bytes) -> None:
        if self.refused:
            return
        self.body += chunk
        if len(self.body) > self._service.limits.body_bytes:
            self.refuse_now(self._too_large())
            self.forget()
        self._service.make_room()

    async def answer(self) -> None:
        self.is_complete, self.body = True, bytes(self.body)
        limits, content_type = self._service.limits, self.request.headers.get("Content-Type", "")
        try:
            async with asyncio.timeout_at(self.began + limits.seconds):
                job = asyncio.wrap_future(self._service.pool.submit(self.body, content_type))
                self._job = job
                found = await job
        except TimeoutError as error:
            sentence = f"the photo was not computed within {limits.seconds:g} s (expected you to try again later)"
            raise RequestError(503, sentence, {"Retry-After": "1"}) from error
        except asyncio.CancelledError:
            if not self.is_gone:
                raise
            self.set_status(499)  # as nginx counts clients that leave
            return
        self._service.metrics.count_prediction(found.seconds, found.people)
        self.set_header("Content-Type", "application/json")
        self.write(found.content)

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self._job is not None:
            self._job.cancel()  # so that nobody waits behind it

    def on_finish(self) -> None:
        super().on_finish()
        self.forget()

    def forget(self) -> None:
        """Free the body."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._service.requests.discard(self)
        self.body = b""


class _Watch(Handler):
    def initialize(self, service: Service) -> None:
        self._service = service


class _Health(_Watch):
    async def answer(self) -> None:
        self.write({"status": "ok"})


class _Numbers(_Watch):
    needs_token: ClassVar[bool] = True

    async def answer(self) -> None:
        service = self._service
        gauges: dict[str, tuple[str, float]] = {
            "litehrnet_photos_in_progress": ("Photos that wait or are computed.", service.pool.jobs()),
            "litehrnet_upload_bytes": ("Size of all bodies that are held.", service.held_bytes()),
        }
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.write(service.metrics.text(gauges))


class _Served(Site):
    """A site that closes the service, too."""

    def __init__(
        self,
        service: Service,
        answers: Mapping[str, Document | LatestFrame],
        host: str,
        port: int,
        token: str | None,
    ) -> None:
        self._service = service
        description = describe_service(service.limits, with_token=token is not None)
        answers = {**answers, _DESCRIPTION: Document(json.dumps(description).encode(), "application/json")}
        arguments = {"service": service}
        routes: list[tuple[str, type[Handler], dict[str, Service]]] = [
            (_PREDICT, _Predict, arguments),
            (_HEALTH, _Health, arguments),
            (_METRICS, _Numbers, arguments),
        ]
        super().__init__(answers, host, port, routes=routes, token=token, on_answer=service.count)

    def close(self) -> None:
        super().close()
        self._service.pool.close()


def open_service(
    estimators: Sequence[PoseEstimator],
    limits: Limits | None = None,
    answers: Mapping[str, Document | LatestFrame] | None = None,
    host: str = LOOPBACK,
    port: int = DEFAULT_PORT,
    token: str | None = None,
) -> Site:
    """Answer photos with keypoints, until the site is closed.

    Args:
        estimators: Each of them computes one photo at a time.
        limits: See ``Limits``; None for its defaults.
        answers: Further documents of the site, by path.
        host: See ``Site``.
        port: See ``Site``.
        token: Required for ``/predict`` and ``/metrics``; None for no token.

    Raises:
        UserError: See ``Site``.
    """
    return _Served(Service(estimators, limits or Limits()), answers or {}, host, port, token)
