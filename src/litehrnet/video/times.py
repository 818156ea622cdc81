"""When a frame is to be seen."""

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import av

_TICK = 0.001  # seconds, by which a frame is later than the last one where the file says it is not


class FrameTimes:
    """Seconds of frames from the beginning, each later than the last one's.

    Args:
        time_base: Seconds of one tick of the stream's clock.
        start_time: Of the container in microseconds; None if time begins with the first frame.
        step: Seconds from frame to frame, usually.
    """

    def __init__(self, time_base: Fraction, start_time: int | None, step: float) -> None:
        self._time_base = time_base
        self._origin = None if start_time is None else Fraction(start_time, 1_000_000)
        self._shift = 0.0
        self.step = step
        self.last = -float("inf")

    def origin(self, first: Fraction) -> Fraction:
        """What time 0 is in the stream's own time; ``first`` is the first frame's."""
        if self._origin is None:
            self._origin = first
        return self._origin

    def of(self, decoded: "av.VideoFrame") -> float:
        """The time of the next frame."""
        if decoded.pts is None:
            time = self.last + self.step if np.isfinite(self.last) else 0.0
        else:
            seconds = (
                decoded.pts * self._time_base
            )  # a fraction, so that no time is a hair before the one that is meant
            time = float(seconds - self.origin(seconds)) + self._shift
        if time <= self.last:
            # Two frames of one time, or a clock that was set back: what follows is moved along.
            self._shift += self.last + _TICK - time
            time = self.last + _TICK
        self.last = time
        return time
