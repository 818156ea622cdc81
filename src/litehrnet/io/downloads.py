"""Files from the network: gone on with after a break, and checked before they get their name."""

import contextlib
import hashlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from litehrnet.errors import UserError
from litehrnet.io.files import make_folder, sync_folder

LARGEST = 500_000_000
"""Bytes; more is never taken."""

_TIMEOUT_S = 30.0
_ATTEMPTS = 3  # without a single new byte
_PAUSE_S = 1.0
_CHUNK = 1 << 16


class _DroppedError(Exception):
    """The connection ended before the file did."""


def fetch(url: str, path: Path, sha256: str) -> None:
    """Fetch a file, unless it is there already.

    What has come so far lies in ``path`` with ``.part`` behind it: a later call goes on from there, where the server
    can (HTTP ranges). Of several processes that want the same file one fetches it and the others wait.

    Args:
        url: http or https.
        path: Where it is to be; nothing is ever there but the whole, checked file.
        sha256: The checksum in hexadecimal digits, or as many of its first digits as are known.

    Raises:
        UserError: The server cannot be reached, refuses, or sends another file; or nothing can be written.
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
                raise UserError(f"{url}: another file came than expected (SHA-256 {sha256}...), and was thrown away")
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            partial.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error


def has_checksum(path: Path, sha256: str) -> bool:
    """Whether the SHA-256 of a file begins with these digits.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(sha256.lower())


def _complete(url: str, partial: Path) -> None:
    """Fetch what is missing of a file, in as many connections as it takes."""
    fruitless = 0
    while True:
        before = _size(partial)
        reason = "the connection was dropped"
        try:
            if _go_on(url, partial, before):
                return
        except _DroppedError as error:
            reason = str(error)
        fruitless = 0 if _size(partial) > before else fruitless + 1
        if fruitless == _ATTEMPTS:
            raise UserError(f"{url}: no more than {_size(partial):,} bytes came ({reason}); try again later to go on")
        time.sleep(_PAUSE_S * fruitless)


def _go_on(url: str, partial: Path, start: int) -> bool:
    """Fetch from ``start`` in one connection; whether the file is whole by what the server says of its length."""
    headers = {"User-Agent": "litehrnet", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not start:
                raise UserError(f"{url}: the server refuses ({error.code} {error.reason})") from error
            whole: bool = error.headers.get("Content-Range", "") == f"bytes */{start}"
        if not whole:
            partial.unlink()  # longer than the file: not a part of it
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
            start = 0  # a server without ranges begins anew
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        with partial.open("ab") as file:
            file.truncate(start)
            for chunk in _chunks(response):
                file.write(chunk)
                if file.tell() > LARGEST:
                    raise UserError(f"{url}: more than {LARGEST:,} bytes (expected a file of weights)")
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
    """Hold a lock that ends with the process, however it ends."""
    with lock.open("ab") as file:
        if sys.platform == "win32":
            import msvcrt

            while True:
                with contextlib.suppress(OSError):  # it gives up after ten seconds
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
