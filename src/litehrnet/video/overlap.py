"""Run stages of a pipeline at the same time, each in its own thread."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import Full, Queue
from typing import Any, Generic, Self, TypeVar

DEPTH = 3
"""Number of items that wait between two stages: enough for slow frames; more would only use memory."""

_BLINK = 0.1  # seconds after which a waiting stage checks whether the other one has stopped

T = TypeVar("T")


@dataclass(frozen=True)
class _End:
    """Last item in a queue, with the error of the stage before it, if any."""

    error: BaseException | None = None


def read_ahead(items: Iterable[T], *, depth: int = DEPTH, skip: bool = False) -> Iterator[T]:
    """Iterate in a thread, ahead of the consumer.

    Args:
        items: Iterable; the thread iterates and closes it.
        depth: Number of items that may wait.
        skip: Drop items while that many wait, instead of blocking the source: for cameras, which would fall behind.

    Yields:
        The items. An error of ``items`` is raised after the last one.
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
        thread.join(1.0)  # a thread that waits for a camera is abandoned


class Background(Generic[T]):
    """Processes items in a thread, in order.

    As a context manager it processes all items before it ends, also after an error.

    Args:
        work: Function that is called with each item.
        depth: Number of items that may wait before ``put`` blocks.
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
        """Queue an item.

        Raises:
            Exception: ``work`` raised it for an earlier item; later items are not processed.
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

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        self._queue.put(_End())
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error
