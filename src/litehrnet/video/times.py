"""Presentation times of frames."""

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av

_TICK = 0.001  # seconds between two frames if the file does not order them


class FrameTimes:
    """Computes the times of frames in seconds from the beginning, strictly increasing.

    Args:
        time_base: Seconds per tick of the stream's clock.
        start_time: Start time of the container in microseconds; None if time begins with the first frame.
        step: Usual number of seconds between two frames.
    """

    def __init__(self, time_base: Fraction, start_time: int | None, step: float) -> None:
        self._time_base = time_base
        self._origin = None if start_time is None else Fraction(start_time, 1_000_000)
        self._shift = 0.0
        self._untimed = 0  # frames without a time since the last one that had one
        self._timed = 0.0  # its time
        self.step = step
        self.last = -float("inf")

    def origin(self, first: Fraction) -> Fraction:
        """Return the stream's own time of time 0; ``first`` is that of the first frame."""
        if self._origin is None:
            self._origin = first
        return self._origin

    def of(self, decoded: "av.VideoFrame") -> float:
        """Return the time of the next frame."""
        if decoded.pts is None:
            # A product: sums would collect rounding errors.
            self._untimed += self.last >= 0
            time = self._timed + self._untimed * self.step
        else:
            self._untimed = 0
            seconds = decoded.pts * self._time_base  # a fraction, to avoid rounding errors
            time = float(seconds - self.origin(seconds)) + self._shift
        if time <= self.last:
            # Two frames at one time, or a clock that was set back, as in joined files: later frames are shifted.
            following = self.last + (_TICK if self.last - time < self.step else self.step)
            self._shift += following - time
            time = following
        if not self._untimed:
            self._timed = time
        self.last = time
        return time
