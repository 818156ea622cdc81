"""Ctrl-C, the cluster's notice and the end of the time given: wishes that the loop looks at after every step."""

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from types import FrameType


@dataclass
class StopRequest:
    """Whether to stop after the step that is under way.

    Attributes:
        exit_code: 128 plus the number of the signal that came, here or in another process of the run, as shells count;
            0 before.
        deadline: Of ``time.monotonic``, after which to stop as well, with exit code 0; None for never.
    """

    exit_code: int = 0
    deadline: float | None = None

    @property
    def wish(self) -> int:
        """0 for going on, 1 once the time is up, and the exit code after a signal, which counts more."""
        is_over = self.deadline is not None and monotonic() > self.deadline
        return max(self.exit_code, int(is_over))


@contextlib.contextmanager
def stop_on_signals(max_minutes: float | None = None) -> Iterator[StopRequest]:
    """Catch SIGINT and SIGTERM while the block runs; a second signal of a kind acts as if nothing caught it.

    Args:
        max_minutes: From now, after which to stop too; None for no end.
    """
    stop = StopRequest(deadline=None if max_minutes is None else monotonic() + 60 * max_minutes)
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
