"""Ctrl-C and the cluster's notice, turned into a wish that the loop looks at after every step."""

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """Whether to stop after the step that is under way.

    Attributes:
        exit_code: 128 plus the number of the signal that came, here or in another process of the run, as shells count;
            0 before.
    """

    exit_code: int = 0


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Catch SIGINT and SIGTERM while the block runs; a second signal of a kind acts as if nothing caught it."""
    stop = StopRequest()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request(number: int, _: FrameType | None) -> None:
        stop.exit_code = 128 + number
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
