"""What a command line's word means: a video file, a camera of this machine, or a stream from the network."""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv",
    ".ts", ".webm", ".wmv", ".y4m",
})
# fmt: on
_STREAM_SCHEMES = frozenset({"http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"})


@dataclass(frozen=True)
class Source:
    """Where frames come from.

    Attributes:
        name: What errors call it: as it was given, without a password.
        stem: What files that are made of it are called, without suffix.
        address: What FFmpeg opens.
        format: FFmpeg's format, where it must be said.
        options: FFmpeg's options for this kind of source.
        endless: It is a camera: it gives frames as they happen, and nobody knows how many.
        path: The file, if it is one.
    """

    name: str
    stem: str
    address: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    endless: bool = False
    path: Path | None = None


def find_source(argument: str | Path) -> Source | None:
    """What ``argument`` means, or None if it is no video.

    Args:
        argument: A file with one of ``VIDEO_SUFFIXES``; the number of a camera (Linux: 0 for ``/dev/video0``), unless
            there is a file of that name; or an address such as ``rtsp://...``, ``http://...`` or ``tcp://...``.
    """
    text = str(argument)
    parts = urlsplit(text) if "://" in text else None
    if parts is not None and parts.scheme in _STREAM_SCHEMES:
        # Over UDP, which is RTSP's first choice, lost packets become smeared frames.
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
    """A file, whatever its name."""
    # Without the protocol, a file called concat:... or http:... would be something else to FFmpeg.
    return Source(str(path), path.stem, f"file:{path}", path=path)
