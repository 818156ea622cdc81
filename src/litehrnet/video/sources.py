"""Sources of frames: a video file, a camera of this machine, or a network stream."""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".3g2", ".3gp", ".asf", ".avi", ".f4v", ".flv", ".gif", ".h264", ".m2ts", ".m4v", ".mjpg", ".mkv", ".mov", ".mp4",
    ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
})
# fmt: on
_STREAM_SCHEMES = frozenset({"http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"})


@dataclass(frozen=True)
class Source:
    """Source of frames.

    Attributes:
        name: Name for messages: the argument, without a password.
        stem: Name of output files, without suffix.
        address: Address that FFmpeg opens.
        format: FFmpeg's name of the format; None to detect it.
        options: FFmpeg's options for this kind of source.
        endless: Whether it is live, such as a camera, with an unknown number of frames.
        path: Path of a file; None for other sources.
    """

    name: str
    stem: str
    address: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    endless: bool = False
    path: Path | None = None


def find_source(argument: str | Path) -> Source | None:
    """Find the source that ``argument`` names, or None if it is not a video.

    Args:
        argument: A file with one of ``VIDEO_SUFFIXES``, or an address such as ``rtsp://...`` or ``http://...``. Or the
            number of a camera (Linux: 0 for ``/dev/video0``), unless a file has that name.
    """
    text = str(argument)
    parts = urlsplit(text) if "://" in text else None
    if parts is not None and parts.scheme in _STREAM_SCHEMES:
        # Over UDP, RTSP's default, lost packets become smeared frames.
        options = {"rtsp_transport": "tcp"} if parts.scheme.startswith("rtsp") else {}
        name = re.sub(r"//[^/@]*@", "//", text)
        stem = re.sub(r"[^A-Za-z0-9]+", "-", name.partition("://")[2].partition("?")[0]).strip("-")
        endless = parts.scheme not in ("http", "https")
        return Source(name, stem or parts.scheme, text, options=options, endless=endless)
    path = Path(argument)
    if text.isascii() and text.isdigit() and not path.exists():
        if sys.platform != "linux":
            return Source(f"camera {text}", f"camera-{text}", text, endless=True)
        return Source(f"/dev/video{text}", f"camera-{text}", f"/dev/video{text}", "v4l2", endless=True)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return file_source(path)
    return None


def file_source(path: Path) -> Source:
    """Return the source for a file with any name."""
    # Without the protocol, FFmpeg would interpret file names such as concat:... or http:...
    return Source(str(path), path.stem, f"file:{path}", path=path)
