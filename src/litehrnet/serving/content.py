"""What paths of the server answer with: documents, and streams of pictures."""

import functools
import gzip
import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """Content of a path.

    Attributes:
        content: Content as bytes.
        content_type: Value of the Content-Type header, such as ``text/html; charset=utf-8``.
    """

    content: bytes
    content_type: str

    @functools.cached_property
    def etag(self) -> str:
        """Value of the ETag header: a hash of the content, so that browsers download it only if it has changed."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'

    @functools.cached_property
    def compressed(self) -> bytes | None:
        """Content compressed by gzip; None where that is not smaller."""
        compressed = gzip.compress(self.content, mtime=0)
        return compressed if len(compressed) < len(self.content) else None


class LatestFrame:
    """Newest picture of a stream, which ``<img>`` shows as a video; slow viewers miss pictures and delay nobody."""

    def __init__(self) -> None:
        self._newest = (0, b"")
        self.ended = False

    def publish(self, jpeg: bytes) -> None:
        """Replace the picture by a newer one, a complete JPEG file; called by one thread, any."""
        self._newest = (self._newest[0] + 1, jpeg)

    def end(self) -> None:
        """End the stream; viewers still receive the last picture."""
        self.ended = True

    def newer_than(self, number: int) -> tuple[int, bytes] | None:
        """Return the newest picture and its number, 1 or more; None if it is ``number``."""
        return self._newest if self._newest[0] > number else None
