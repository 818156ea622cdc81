"""Videos made on the spot, whose every frame can be told by its brightness."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

RATE = 25
SOUND_RATE = 44100
WriteVideo = Callable[..., Path]


def numbered(number: int, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture that is red in its upper left quarter and elsewhere as bright as its number says."""
    image = np.full((size_wh[1], size_wh[0], 3), brightness(number), np.uint8)
    image[: size_wh[1] // 2, : size_wh[0] // 2] = (200, 30, 30)
    return image


def brightness(number: int) -> int:
    """Of a numbered picture."""
    return 40 + 15 * (number % 12)


@pytest.fixture
def write_video(tmp_path: Path) -> WriteVideo:
    """Writes a video of numbered pictures with PyAV alone."""

    def write(
        name: str = "film.mp4",
        *,
        frames: int = 20,
        size_wh: tuple[int, int] = (64, 48),
        codec: str = "libx264",
        pixels: str = "yuv420p",
        times: Sequence[Fraction] | None = None,
        turned: int | None = None,
        sound: str | None = None,
        options: dict[str, str] | None = None,
        keyframes: int = 10,
    ) -> Path:
        path = tmp_path / name
        times = times or [Fraction(number, RATE) for number in range(frames)]
        with av.open(str(path), "w", options=options or {}) as container:
            stream = container.add_stream(codec, rate=RATE)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = *size_wh, pixels
            # MPEG-2 allows no other ticks than its rates.
            stream.codec_context.time_base = Fraction(1, RATE if codec == "mpeg2video" else 1000)
            stream.codec_context.gop_size = keyframes
            if turned is not None:
                stream.set_display_rotation(turned)
            audio = container.add_stream(sound, rate=SOUND_RATE) if sound else None
            assert audio is None or isinstance(audio, av.AudioStream)
            for number, time in enumerate(times):
                frame = av.VideoFrame.from_ndarray(numbered(number, size_wh), format="rgb24")
                frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
                container.mux(stream.encode(frame))
                if audio is not None:
                    container.mux(audio.encode(tone(number)))
            container.mux(stream.encode(None))
            if audio is not None:
                container.mux(audio.encode(None))
        return path

    return write


def tone(number: int) -> av.AudioFrame:
    """The sound of one frame's time."""
    samples = SOUND_RATE // RATE
    wave = 0.3 * np.sin(0.06 * np.arange(number * samples, (number + 1) * samples))
    frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
    frame.rate, frame.pts, frame.time_base = SOUND_RATE, number * samples, Fraction(1, SOUND_RATE)
    return frame


def sound_packets(path: Path) -> list[tuple[float, bytes]]:
    """Time and content of the packets of sound in a file."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(*container.streams.audio) if packet.size]
        return [(float((packet.pts or 0) * packet.time_base), bytes(packet)) for packet in packets]
