"""Read videos and cameras: upright frames with their true times."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from litehrnet.arrays import Image
from litehrnet.errors import UserError
from litehrnet.optional import require
from litehrnet.processors import default_threads
from litehrnet.video.pictures import Pictures
from litehrnet.video.sources import Source, file_source, find_source
from litehrnet.video.times import FrameTimes

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

PATIENCE = 10.0
"""Seconds without data after which a stream is closed."""

_TELLING = {"mov", "matroska", "avi", "flv"}  # formats with a duration in their header
_UNTIMED = {"mpjpeg", "mjpeg"}
_USUAL_RATE = Fraction(30)  # for streams without a rate


@dataclass(frozen=True)
class Frame:
    """Frame of a video.

    Attributes:
        number: Number from 0 for the first frame in the requested range; skipped camera frames are counted.
        time: Seconds from the beginning of the video, or from a camera's first frame; strictly increasing.
        image: uint8 (H, W, 3), RGB, upright; it may be changed.

    Example:
        >>> import numpy as np
        >>> from litehrnet.video.reading import Frame
        >>> Frame(number=3, time=0.12, image=np.zeros((90, 160, 3), np.uint8)).image.shape
        (90, 160, 3)
    """

    number: int
    time: float
    image: Image


def read_frames(source: str | Path, *, start: float = 0.0, end: float | None = None, every: int = 1) -> Iterator[Frame]:
    """Read the frames of a video or a camera one by one.

    Args:
        source: A file; the number of a camera, as text; or the address of a stream. See ``sources.find_source``.
        start: Start at this time, in seconds.
        end: Stop before this time, in seconds; None for the end.
        every: 1 for every frame, 2 for every second one, and so on.

    Yields:
        Frames in presentation order.

    Raises:
        UserError: PyAV is not installed; the source cannot be opened or has no video stream. After all readable
            frames: the video is damaged or truncated, or the camera stopped.

    Example:
        >>> import tempfile
        >>> from fractions import Fraction
        >>> from pathlib import Path
        >>> from litehrnet import read_frames, read_image
        >>> from litehrnet.cli.demo import PHOTO
        >>> from litehrnet.video.writing import VideoWriter
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with VideoWriter(Path(folder) / "film", Fraction(10)) as writer:
        ...         for number in range(5):
        ...             writer.write(read_image(PHOTO), number / 10)
        ...     [round(frame.time, 1) for frame in read_frames(writer.path, every=2)]
        [0.0, 0.2, 0.4]
    """
    if every < 1 or start < 0:
        raise UserError(f"start {start:g}, every {every}: out of range (expected start 0 or more and every 1 or more)")
    yield from VideoReader(find_source(source) or file_source(Path(source)), start=start, end=end, every=every)


def open_container(source: Source) -> "InputContainer":
    """Open a source with PyAV.

    Raises:
        UserError: PyAV is not installed, or the source cannot be opened.
    """
    require("av", "video", "reading videos")
    import av

    if source.path is not None and source.path.is_dir():
        raise UserError(f"{source.name}: a folder (expected a video)")
    patience = None if source.path is not None else PATIENCE
    try:
        container = av.open(source.address, "r", source.format, source.options, timeout=patience)
        if source.path is None and container.format.name in _UNTIMED:
            # Cameras that send single photos give no times: the arrival is used.
            container.close()
            arrival = {"use_wallclock_as_timestamps": "1"}
            container = av.open(source.address, "r", source.format, {**source.options, **arrival}, timeout=patience)
        return container
    except FileNotFoundError as error:
        raise UserError(f"{source.name}: no such file or camera") from error
    except av.error.InvalidDataError as error:
        raise UserError(f"{source.name}: not a video, or its beginning or end is missing") from error
    except av.error.EOFError as error:
        raise UserError(f"{source.name}: ends before the first frame") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UserError(f"{source.name}: cannot be opened ({reason(error)})") from error


def reason(error: BaseException) -> str:
    """Return FFmpeg's message of an error, without the address, which may contain a password."""
    return str(getattr(error, "strerror", None) or error)


class VideoReader:
    """Iterable over the frames of a source, once; arguments as for ``read_frames``.

    The decoder has ``threads`` CPU threads; None for all.

    Attributes:
        endless: Whether the end is unknown, as with a camera.
        rate: Average number of frames per second, after ``every``.
        expected: Approximate number of frames; None for cameras.
        pixel_aspect: Width of a stored pixel divided by its height.

    Raises:
        UserError: The source cannot be opened or has no video stream.
    """

    def __init__(
        self,
        source: Source,
        *,
        start: float = 0.0,
        end: float | None = None,
        every: int = 1,
        threads: int | None = None,
    ) -> None:
        self.source, self.start, self.end, self.every = source, start, end, every
        self._container = open_container(source)
        try:
            self._stream = _pictures(self._container, source.name)
        except UserError:
            self._container.close()
            raise
        stream = self._stream
        seconds = None if self._container.duration is None else self._container.duration / 1_000_000
        self.endless = source.endless or (source.path is None and seconds is None)
        # Decoding several frames at once is faster, but delays them.
        stream.thread_type = "SLICE" if self.endless else "AUTO"
        stream.codec_context.thread_count = threads or default_threads()
        timed = self._container.start_time is not None
        # FFmpeg takes 25 as the average of raw streams; what their headers say is its guess.
        self.rate = ((timed and stream.average_rate) or stream.guessed_rate or _USUAL_RATE) / every
        self.expected = self._expected(seconds)
        self.pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
        begins = None if self.endless else self._container.start_time
        self._times = FrameTimes(stream.time_base or Fraction(1), begins, 1 / float(self.rate * every))
        self._announced = None if self.endless else _announced_end(self._container, stream)
        self._lost = 0
        self._broken: str | None = None
        self._seen_end = 0.0  # latest end of a packet, in the stream's own time

    def _expected(self, seconds: float | None) -> int | None:
        last = self.end if seconds is None or self.endless else min(seconds, self.end or seconds)
        return None if last is None else max(0, round((last - self.start) * float(self.rate)))

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, then raise the error if there was one; the source is closed at the end."""
        pictures = Pictures()
        number = 0
        with self._container:
            self._seek()
            for decoded in self._decoded():
                time = self._times.of(decoded)
                if time < self.start:
                    continue
                if self.end is not None and time >= self.end:
                    break
                if decoded.is_corrupt and not self.endless:
                    self._lost += 1  # the decoder made a part of it up
                    continue
                if number % self.every == 0:
                    yield Frame(number, time, pictures.image(decoded))
                number += 1
            else:
                self._complain(number)
            if number == 0:
                raise UserError(f"{self.source.name}: no frame could be read{self._between()}")

    def _seek(self) -> None:
        import av

        # Raw streams have no times to look for.
        if self.start > 0 and not self.endless and self._container.start_time is not None:
            target = round((self.start + float(self._times.origin(Fraction(0)))) * 1_000_000)
            try:
                self._container.seek(target)
            except av.error.FFmpegError:
                return  # formats without seeking are read from the beginning

    def _decoded(self) -> Iterator["av.VideoFrame"]:
        import av

        for packet in self._packets():
            # A packet marked as corrupt may only follow a jump of the counter, where files were joined.
            if packet is not None and packet.pts is not None:
                ticks = packet.pts + (packet.duration or 0)
                self._seen_end = max(self._seen_end, float(ticks * packet.time_base))
            try:
                yield from self._stream.decode(packet)
            except av.error.FFmpegError:
                self._lost += 1

    def _packets(self) -> Iterator["av.Packet[VideoStream] | None"]:
        """Yield the packets of the stream, then None, which flushes the decoder."""
        import av

        try:
            yield from (packet for packet in self._container.demux(self._stream) if packet.size)
        except (av.error.FFmpegError, OSError) as error:
            self._broken = reason(error)
        yield None

    def _complain(self, number: int) -> None:
        """Raise the error that was found, after the last frame."""
        name, last = self.source.name, self._times.last
        if self.endless:
            if number:
                raise UserError(f"{name}: stopped after {last:.1f} s ({self._broken or 'no further frames'})")
        elif self._announced is not None and self._announced - self._seen_end > max(0.1, 2 * self._times.step):
            raise UserError(f"{name}: truncated, it has frames for {self._seen_end:.1f} s of {self._announced:.1f} s")
        elif self._broken:
            raise UserError(f"{name}: cannot be read after {last:.1f} s ({self._broken})")
        elif self._lost and number:
            raise UserError(f"{name}: damaged, {self._lost} of {number + self._lost} frames were lost")

    def _between(self) -> str:
        if not self.start and self.end is None:
            return ""
        return f" from {self.start:g} s" + (" on" if self.end is None else f" to {self.end:g} s")


def _pictures(container: "InputContainer", name: str) -> "VideoStream":
    import av

    # The cover of a song is also a video stream, with one picture.
    films = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not films:
        raise UserError(f"{name}: has no video stream (expected a video)")
    if films[0].codec_context is None:
        raise UserError(f"{name}: its codec is not supported by this FFmpeg (expected another video)")
    return films[0]


def _announced_end(container: "InputContainer", stream: "VideoStream") -> float | None:
    """Return the end of the video in its header, in the stream's time; None if that is missing or unreliable."""
    if container.format.name.split(",")[0] not in _TELLING:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    tags = {key.upper(): value for key, value in stream.metadata.items()}
    clock = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", tags.get("DURATION", "").strip())
    if clock:
        return sum(float(value) * unit for value, unit in zip(clock.groups(), (3600, 60, 1), strict=True))
    # The duration of the whole file may be that of its sound.
    alone = len(container.streams) == 1 and container.duration is not None
    return (container.duration or 0) / 1_000_000 if alone else None
