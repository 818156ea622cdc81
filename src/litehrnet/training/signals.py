"""Stop requests (Ctrl-C, SIGTERM, a closed terminal, time limit), polled after every step."""

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from types import FrameType


@dataclass
class StopRequest:
    """Whether to stop after the current step.

    Attributes:
        exit_code: 128 plus the number of the signal that arrived in any process of the run; 0 before.
        deadline: Value of ``time.monotonic`` after which to stop with exit code 0; None for never.
    """

    exit_code: int = 0
    deadline: float | None = None

    @property
    def wish(self) -> int:
        """0 to continue, 1 once the time is up, or the exit code after a signal, which takes precedence."""
        is_over = self.deadline is not None and monotonic() > self.deadline
        return max(self.exit_code, int(is_over))


@contextlib.contextmanager
def stop_on_signals(max_minutes: float | None = None) -> Iterator[StopRequest]:
    """Catch SIGINT, SIGTERM and SIGHUP while the block runs; a second signal of the same kind has its usual effect.

    Args:
        max_minutes: Time limit in minutes from now; None for no limit.
    """
    stop = StopRequest(deadline=None if max_minutes is None else monotonic() + 60 * max_minutes)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # A closed terminal sends SIGHUP, which nohup ignores; Windows has no such signal.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        before[signal.SIGHUP] = signal.getsignal(signal.SIGHUP)

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
