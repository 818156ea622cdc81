"""Downloads that resume after an interruption and get their final name only once verified."""

import contextlib
import hashlib
import http.client
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from litehrnet.errors import UserError
from litehrnet.io.files import make_folder, rename_flushed

LARGEST = 500_000_000
"""Largest file that is downloaded, in bytes."""

_TIMEOUT_S = 30.0
_ATTEMPTS = 3  # in a row that bring no new byte
_PAUSE_S = 1.0
_CHUNK = 1 << 16


class _DroppedError(Exception):
    """Connection lost before the end of the file."""


def fetch(url: str, path: Path, sha256: str) -> None:
    """Download a file unless it exists already.

    An unfinished download is kept as ``path`` plus ``.part``. A later call resumes it if the server supports HTTP
    ranges. When several processes ask for the same file, one downloads it and the others wait.

    Args:
        url: http or https.
        path: Final place of the file. Only a complete, verified file ever appears there.
        sha256: Expected checksum in hexadecimal digits, or its first digits if no more are known.

    Raises:
        UserError: The server cannot be reached, refuses, or sends another file; or the file cannot be written.
    """
    make_folder(path.parent)
    partial = path.with_name(path.name + ".part")
    try:
        with _only_one(path.with_name(path.name + ".lock")):
            if path.is_file() and has_checksum(path, sha256):
                return
            _complete(url, partial)
            if not has_checksum(partial, sha256):
                partial.unlink()
                raise UserError(f"{url}: the download has another SHA-256 (expected {sha256}...) and was deleted")
            rename_flushed(partial, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error


def has_checksum(path: Path, sha256: str) -> bool:
    """Return whether the SHA-256 of a file begins with these digits.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(sha256.lower())


def _complete(url: str, partial: Path) -> None:
    """Download the missing part of a file, with as many connections as necessary."""
    fruitless = 0
    while True:
        before = _size(partial)
        reason = "connection lost"
        try:
            if _resume(url, partial, before):
                return
        except _DroppedError as error:
            reason = str(error)
        fruitless = 0 if _size(partial) > before else fruitless + 1
        if fruitless == _ATTEMPTS:
            raise UserError(f"{url}: stopped after {_size(partial):,} bytes ({reason}; the same command resumes it)")
        time.sleep(_PAUSE_S * fruitless)


def _resume(url: str, partial: Path, start: int) -> bool:
    """Download from byte ``start`` with one connection; return whether the file has the length the server reports."""
    headers = {"User-Agent": "litehrnet", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not start:
                raise UserError(f"{url}: the server refuses the download ({error.code} {error.reason})") from error
            whole: bool = error.headers.get("Content-Range", "") == f"bytes */{start}"
        if not whole:
            partial.unlink()  # longer than the file, so not a part of it
        return whole
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{url}: cannot be reached ({reason})") from error
    with response:
        if response.status == http.client.PARTIAL_CONTENT:
            if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                partial.unlink()
                return False
        else:
            start = 0  # a server without ranges sends the file from its beginning
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        with partial.open("ab") as file:
            file.truncate(start)
            for chunk in _chunks(response):
                file.write(chunk)
                if file.tell() > LARGEST:
                    raise UserError(f"{url}: is larger than {LARGEST:,} bytes (expected a weights file)")
            return total is None or file.tell() == total


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read1(_CHUNK):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise _DroppedError(str(error) or type(error).__name__) from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Hold a file lock; the operating system releases it when the process exits."""
    with lock.open("ab") as file:
        if sys.platform == "win32":
            import msvcrt

            while True:
                with contextlib.suppress(OSError):  # each call waits ten seconds at most
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
