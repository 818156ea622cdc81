"""Write drawn videos: frames at their own times, with the sound of the original video."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from litehrnet.arrays import Image
from litehrnet.errors import UserError
from litehrnet.optional import require
from litehrnet.processors import default_threads
from litehrnet.video.pictures import UNSPECIFIED, matrix_of
from litehrnet.video.reading import open_container, reason
from litehrnet.video.sources import Source

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

CODECS = ("libx264", "mpeg4")
"""Supported encoders, the best first."""

_TIME_BASE = Fraction(1, 60_000)  # exact for 25, 29.97, 30 and 60 frames per second; MPEG-4 allows no finer one
_KEYFRAME_SECONDS = 2  # the most that a killed run loses of the video
_OPTIONS = {"libx264": {"preset": "veryfast"}, "mpeg4": {"qscale": "4"}}
_SOUND_IN_MP4 = {"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"}


class VideoWriter:
    """Writes a video file frame by frame; the file is playable even if the process is killed.

    Args:
        path: Path of the file without suffix. The suffix is ``.mp4``, or ``.mkv`` if MP4 does not support the sound.
        rate: Approximate number of frames per second; frames have their own times.
        sound_of: Source whose sound is copied without encoding; None for no sound.
        start: Time in the source, in seconds, that becomes time 0.
        end: Time in the source, in seconds, at which the sound ends; None for its end.
        pixel_aspect: Width of a pixel divided by its height.
        endless: Whether the length is unknown: then no table of all frames is kept in memory and written at the end.
        threads: Number of CPU threads of the encoder; None for all.
        codec: One of ``CODECS``; None for the best that PyAV supports.

    Attributes:
        path: Path of the file, with its suffix.

    Raises:
        UserError: PyAV or the encoder is not installed; the source cannot be opened.

    Example:
        >>> import tempfile
        >>> from fractions import Fraction
        >>> from pathlib import Path
        >>> from litehrnet import read_image
        >>> from litehrnet.cli.demo import PHOTO
        >>> from litehrnet.video.writing import VideoWriter
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with VideoWriter(Path(folder) / "film", Fraction(10)) as writer:
        ...         writer.write(read_image(PHOTO), 0.0)
        ...     writer.path.name
        'film.mp4'
    """

    def __init__(
        self,
        path: Path,
        rate: Fraction,
        *,
        sound_of: Source | None = None,
        start: float = 0.0,
        end: float | None = None,
        pixel_aspect: Fraction = Fraction(1),
        endless: bool = False,
        threads: int | None = None,
        codec: str | None = None,
    ) -> None:
        require("av", "video", "writing videos")
        self.rate, self.pixel_aspect, self.endless, self.threads = rate, pixel_aspect, endless, threads
        self._start = start
        self._codec = codec or _best_codec()
        self._sound = None if sound_of is None else _Sound(sound_of, start, end)
        suffix = ".mp4" if self._sound is None or self._sound.codecs <= _SOUND_IN_MP4 else ".mkv"
        self.path = path.with_name(path.name + suffix)
        if sound_of is not None and sound_of.path is not None and self.path.resolve() == sound_of.path.resolve():
            self.path = path.with_name(f"{path.name}-2{suffix}")  # never replaces the video that is read
        self._file: _File | None = None

    def write(self, image: Image, time: float) -> None:
        """Append a frame.

        Args:
            image: uint8 (H, W, 3), RGB, contiguous; scaled to the size of the first frame. For odd sides the last line
                or column is repeated, as players expect even sides.
            time: Time in the source in seconds, strictly increasing.

        Raises:
            UserError: The file cannot be written.
        """
        with self._blaming():
            if self._file is None:
                self._file = self._open((image.shape[1], image.shape[0]))
            self._file.write(image, time - self._start)
            if self._sound is not None:
                self._file.mux(self._sound.until(time))

    def _open(self, size_wh: tuple[int, int]) -> "_File":
        import av

        # Fragments are playable without the end of the file. At a regular end they are merged, which needs a table of
        # all frames in memory: small for a video, but a camera would let it grow for days.
        fragments = "frag_keyframe+delay_moov" + ("" if self.endless else "+hybrid_fragmented")
        options = {"movflags": fragments} if self.path.suffix == ".mp4" else {}
        container = av.open(str(self.path), "w", options={"flush_packets": "1", **options})
        stream = container.add_stream(self._codec, rate=_plausible(self.rate), options=_OPTIONS[self._codec])
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = (side + side % 2 for side in size_wh)
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = _TIME_BASE
        context.gop_size = max(1, round(_KEYFRAME_SECONDS * float(self.rate)))
        context.thread_count = self.threads or default_threads()
        context.sample_aspect_ratio = self.pixel_aspect
        # Both are stored in the file; levels are 16..235.
        context.colorspace, context.color_range = matrix_of(UNSPECIFIED, stream.height), 1
        if self._sound is not None:
            self._sound.announce(container)
        container.start_encoding()  # fails at once if the file cannot be written
        return _File(container, stream, size_wh)

    @contextmanager
    def _blaming(self) -> Iterator[None]:
        import av

        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            raise UserError(f"{self.path}: cannot be written ({reason(error)})") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        """Finish the file; after an error without the sound after the last frame."""
        try:
            if self._file is not None:
                with self._blaming():
                    self._file.finish(self._sound.until(None) if self._sound is not None and kind is None else ())
        finally:
            if self._sound is not None:
                self._sound.close()


class _File:
    """Open output file."""

    def __init__(self, container: "OutputContainer", stream: "VideoStream", size_wh: tuple[int, int]) -> None:
        from av.video.reformatter import VideoReformatter

        self._container, self._stream, self._size_wh = container, stream, size_wh
        self._reformatter = VideoReformatter()
        self._last = -1

    def write(self, image: Image, seconds: float) -> None:
        import av

        image = _even(image, self._size_wh)
        rgb = av.VideoFrame.from_numpy_buffer(image, format="rgb24")
        matrix = self._stream.codec_context.colorspace
        frame = self._reformatter.reformat(
            rgb, format="yuv420p", dst_colorspace=matrix, dst_color_range=1, threads=1, interpolation="AREA"
        )
        self._last = frame.pts = max(self._last + 1, round(seconds / _TIME_BASE))
        frame.time_base = _TIME_BASE
        self.mux(self._stream.encode(frame))

    def mux(self, packets: "Iterable[Packet[Any]]") -> None:
        for packet in packets:
            self._container.mux_one(packet)

    def finish(self, packets: "Iterable[Packet[Any]]") -> None:
        with self._container:
            self.mux(self._stream.encode(None))
            self.mux(packets)


class _Sound:
    """Sound of a source, copied packet by packet; the source is opened a second time."""

    def __init__(self, source: Source, start: float, end: float | None) -> None:
        self._container: InputContainer = open_container(source)
        self._start, self._end = start, end
        self._streams = [stream for stream in self._container.streams.audio if stream.codec_context is not None]
        self.codecs = {stream.codec_context.codec.canonical_name for stream in self._streams}
        self._origin = (self._container.start_time or 0) / 1_000_000 + start
        self._copies: dict[int, Any] = {}
        self._lasts: dict[int, int] = {}
        self._waiting: tuple[float, Packet[Any]] | None = None
        self._packets = self._read()

    def announce(self, output: "OutputContainer") -> None:
        """Add the sound streams to the output."""
        self._copies = {stream.index: output.add_stream_from_template(stream) for stream in self._streams}

    def until(self, time: float | None) -> "Iterator[Packet[Any]]":
        """Yield the next packets, up to a time in the source; None for all remaining ones."""
        while True:
            self._waiting = self._waiting or next(self._packets, None)
            if self._waiting is None or (time is not None and self._waiting[0] > time):
                return
            _, packet = self._waiting
            self._waiting = None
            yield packet

    def _read(self) -> "Generator[tuple[float, Packet[Any]], None, None]":
        """Yield each packet, assigned to the output, and its time in the source."""
        import av

        try:
            if self._start > 0:
                self._container.seek(round(self._origin * 1_000_000))
            for packet in self._pieces():
                index, ticks = packet.stream_index, packet.time_base
                if packet.pts is None or packet.dts is None:
                    continue
                shift = round(self._origin / ticks)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                seconds = float(packet.pts * ticks) + self._start
                if self._end is not None and seconds >= self._end:
                    return
                # Before the start, only the packet that overlaps it is kept, as decoders need it.
                late = packet.pts + (packet.duration or 0) >= 0 and packet.dts > self._lasts.get(index, packet.dts - 1)
                if late:
                    self._lasts[index] = packet.dts
                    packet.stream = self._copies[index]
                    yield seconds, packet
        except (av.error.FFmpegError, OSError):
            return  # the sound ends here; VideoReader reports errors in the file

    def _pieces(self) -> "Iterator[Packet[Any]]":
        from av.bitstream import BitStreamFilterContext

        # Transport streams have an AAC header in every packet, MP4 and Matroska have one per file.
        filters = {
            stream.index: BitStreamFilterContext("aac_adtstoasc", stream)
            for stream in self._streams
            if stream.codec_context.codec.canonical_name == "aac" and not stream.codec_context.extradata
        }
        for packet in self._container.demux(*self._streams) if self._streams else ():
            if packet.size and not packet.is_corrupt:
                index, ticks = packet.stream_index, packet.time_base
                for piece in filters[index].filter(packet) if index in filters else [packet]:
                    piece.time_base, piece.stream = ticks, self._container.streams[index]
                    yield piece

    def close(self) -> None:
        """Close the source."""
        self._packets.close()
        self._container.close()


def _best_codec() -> str:
    import av

    for name in CODECS:
        try:
            av.Codec(name, "w")
        except ValueError:
            continue
        return name
    raise UserError(f"this PyAV has no encoder for videos (expected {' or '.join(CODECS)})")


def _plausible(rate: Fraction) -> Fraction:
    """Limit a rate to what encoders accept; some files claim millions of frames per second."""
    return min(max(rate, Fraction(1, 10)), Fraction(1000)).limit_denominator(1001)


def _even(image: Image, size_wh: tuple[int, int]) -> Image:
    """Resize a picture to the file's size, and repeat its last line or column if that is odd."""
    import cv2

    if image.shape[1::-1] != size_wh:
        image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    right, below = size_wh[0] % 2, size_wh[1] % 2
    if right or below:
        image = np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    return np.ascontiguousarray(image)
