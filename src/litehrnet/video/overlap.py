"""Stages that work at the same time, each in a thread of its own, with little waiting between them."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import Full, Queue
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

DEPTH = 3
"""Items that wait between two stages: enough to smooth over slow frames; more would only take memory."""

_BLINK = 0.1  # seconds, after which who waits looks whether the other side has gone

T = TypeVar("T")


@dataclass(frozen=True)
class _End:
    """The last item in a queue, with what the stage before ended in."""

    error: BaseException | None = None


def read_ahead(items: Iterable[T], *, depth: int = DEPTH, skip: bool = False) -> Iterator[T]:
    """The same items, made in a thread of their own while the last ones are worked on.

    Args:
        items: Iterated in the thread, and closed there.
        depth: How many may wait.
        skip: Leave out items while as many wait, instead of letting the source wait: for cameras, which would fall
            behind more and more.

    Yields:
        The items; after the last one, what was raised by ``items`` is raised here.
    """
    queue: Queue[T | _End] = Queue(depth)
    gone = threading.Event()

    def put(item: T | _End, patient: bool) -> None:
        while not gone.is_set():
            with contextlib.suppress(Full):
                queue.put(item, timeout=_BLINK if patient else 0)
                return
            if not patient:
                return

    def fill() -> None:
        error: BaseException | None = None
        iterator = iter(items)
        try:
            for item in iterator:
                put(item, not skip)
                if gone.is_set():
                    break
        except BaseException as raised:
            error = raised
        finally:
            close: Callable[[], Any] = getattr(iterator, "close", lambda: None)
            close()
            put(_End(error), True)

    thread = threading.Thread(target=fill, name="read ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        gone.set()
        thread.join(1.0)  # one that waits for a camera is left behind


class Background(Generic[T]):
    """Works off what it is given in a thread of its own, in order.

    Used as a context: at its end all that was given is worked off, whatever happened in between.

    Args:
        work: Called with each item.
        depth: How many may wait before ``put`` waits.
    """

    def __init__(self, work: Callable[[T], object], *, depth: int = DEPTH) -> None:
        self._work = work
        self._queue: Queue[T | _End] = Queue(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def put(self, item: T) -> None:
        """Hand over an item.

        Raises:
            Exception: What ``work`` raised for an earlier one; nothing is worked off after that.
        """
        if self._error is not None:
            raise self._error
        self._queue.put(item)

    def _run(self) -> None:
        while not isinstance(item := self._queue.get(), _End):
            if self._error is None:
                try:
                    self._work(item)
                except BaseException as error:
                    self._error = error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(_End())
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error
