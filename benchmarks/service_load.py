"""Load test of ``litehrnet serve``: clients with photos, and slow and malicious clients beside them.

Run: ``python -m benchmarks.service_load [--requests 2000] [--clients 16] [--photo photo.jpg]``. It starts the service
on a free port of this machine, with its default settings, and prints what was answered, how fast, and the memory of the
service (resident, from /proc) over time. The exit code is 1 if a request was lost.
"""

import argparse
import datetime
import http.client
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from benchmarks.pipeline import cpu_name

from litehrnet.serving.liveview import EXAMPLE

WARM_UP = 100
"""Requests before the test, as libraries and the system's allocator keep memory after first use."""


@dataclass
class Load:
    """Answers to the clients with photos.

    Attributes:
        statuses: Number of answers by HTTP status; 0 for requests without an answer.
        contents: Distinct answers with status 200.
        seconds: Time of each request.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    contents: set[bytes] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)


def send_photos(port: int, photo: bytes, requests: int, clients: int) -> Load:
    """Send the same photo ``requests`` times, from ``clients`` connections that are kept open."""
    load = Load()
    left = iter(range(requests))
    lock = threading.Lock()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with lock:
                if next(left, None) is None:
                    connection.close()
                    return
            began = time.perf_counter()
            status, content = 0, b""
            with suppress(OSError, http.client.HTTPException):
                connection.request("POST", "/predict", body=photo)
                answer = connection.getresponse()
                content, status = answer.read(), answer.status
            with lock:
                load.seconds.append(time.perf_counter() - began)
                load.statuses[status] += 1
                if status == 200:
                    load.contents.add(content)

    with ThreadPoolExecutor(clients) as pool:
        for job in [pool.submit(client) for _ in range(clients)]:
            job.result()
    return load


def png_bomb(width: int, height: int) -> bytes:
    """Make a small PNG that claims a size."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(10**6)))]
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in [*chunks, (b"IEND", b"")]:
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return content


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"


def _posted(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _endless() -> Iterator[bytes]:
    yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    for _ in range(1000):
        yield b"10000\r\n" + bytes(65536) + b"\r\n"


def _dripping(start: bytes) -> Iterator[bytes]:
    yield start
    while True:
        time.sleep(1)
        yield b"x"


MALICE: dict[str, Callable[[], Iterator[bytes]]] = {
    "silence": lambda: iter([b""]),
    "headers without end": lambda: _dripping(b"POST /predict HTTP/1.1\r\nX: "),
    "upload that stalls": lambda: iter([HEAD + b"Content-Length: 1000000\r\n\r\n" + bytes(500_000)]),
    "upload that drips": lambda: _dripping(HEAD + b"Content-Length: 1000000\r\n\r\n"),
    "body without end": _endless,
    "length of a petabyte": lambda: iter([HEAD + b"Content-Length: 1000000000000000\r\n\r\n" + bytes(1000)]),
    "length that lies": lambda: iter([HEAD + b"Content-Length: 5\r\n\r\n" + bytes(100_000)]),
    "PNG of 50,000 x 50,000": lambda: iter([_posted(png_bomb(50_000, 50_000))]),
    "garbage in a row": lambda: iter([b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"\x00\xff\r\n\r\n" * 1000]),
    "no photo": lambda: iter([_posted(b"no photo")]),
}
"""Ways to harm the service, by name: bytes to send."""


def harm(port: int, pieces: Iterator[bytes], stop: threading.Event) -> str:
    """Send the pieces, then wait for the answer; return its status, or how the connection ended."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            with suppress(OSError):
                for piece in pieces:
                    if stop.is_set():
                        break
                    connection.sendall(piece)
            while not stop.is_set():
                with suppress(TimeoutError):
                    received = connection.recv(1 << 16)
                    return received.split(b" ", 2)[1].decode() if received else "closed"
    except OSError:
        return "closed"
    return "still open"


@contextmanager
def harmed(port: int, each: int) -> Iterator[Counter[tuple[str, str]]]:
    """Harm the service in every way, ``each`` clients a way, until the block ends; count how each attempt ended."""
    stop, ends, lock = threading.Event(), Counter[tuple[str, str]](), threading.Lock()

    def client(name: str) -> None:
        while not stop.is_set():
            end = harm(port, MALICE[name](), stop)
            with lock:
                ends[name, end] += 1
            stop.wait(0.5)

    threads = [threading.Thread(target=client, args=(name,)) for name in MALICE for _ in range(each)]
    for thread in threads:
        thread.start()
    try:
        yield ends
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextmanager
def _watched(port: int, pid: int) -> Iterator[tuple[list[float], list[float]]]:
    """Measure the seconds of a health check and the memory in MB, twice a second, until the block ends."""
    stop, checks, memory = threading.Event(), list[float](), list[float]()

    def watch() -> None:
        while not stop.wait(0.5):
            began = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/healthz", headers={"Connection": "close"})
            connection.getresponse().read()
            checks.append(time.perf_counter() - began)
            memory.append(resident_megabytes(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield checks, memory
    finally:
        stop.set()
        thread.join()


def resident_megabytes(pid: int) -> float:
    """Return the resident memory of a process, in MB (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    """Run the load test and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--photo", type=Path, default=EXAMPLE)
    parser.add_argument("--harmful", type=int, default=5, help="clients for each way to harm the service")
    options = parser.parse_args()
    photo = options.photo.read_bytes()
    command = [sys.executable, "-m", "litehrnet", "serve", "--no-page", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        address = next(line for line in served.stdout if "predict answers" in line)
        port = int(address.partition("127.0.0.1:")[2].partition("/")[0])
        send_photos(port, photo, options.clients, options.clients)
        start = resident_megabytes(served.pid)
        with harmed(port, options.harmful) as ends:
            send_photos(port, photo, WARM_UP, options.clients)
            before = resident_megabytes(served.pid)
            began = time.perf_counter()
            with _watched(port, served.pid) as (checks, memory):
                load = send_photos(port, photo, options.requests, options.clients)
            took = time.perf_counter() - began
        time.sleep(3)
        after = resident_megabytes(served.pid)
        served.terminate()
    seconds = sorted(load.seconds)
    print(f"{datetime.date.today()}, {cpu_name()}, {os.cpu_count()} CPUs, load {os.getloadavg()[1]:.0f}")
    print(
        f"{options.requests} requests, {options.clients} clients: {dict(load.statuses)}, {len(load.contents)} distinct"
    )
    print(f"{took:.0f} s, {options.requests / took:.1f} photos per second")
    print(f"a request: median {seconds[len(seconds) // 2]:.2f} s, longest {seconds[-1]:.2f} s")
    print(
        f"a health check: median {sorted(checks)[len(checks) // 2]:.3f} s, longest {max(checks):.3f} s ({len(checks)})"
    )
    quarters = ", ".join(f"{max(part):.0f}" for part in np.array_split(memory, 4))
    print(f"memory: {start:.0f} MB at the start, {before:.0f} MB after {WARM_UP} requests with harmful clients")
    print(f"memory: at most {quarters} MB in each quarter of the test, {after:.0f} MB after it")
    for (name, end), count in sorted(ends.items()):
        print(f"{name:24} {end:11} {count}")
    lost = options.requests - load.statuses[200]
    print(f"exit code of the service: {served.returncode}, lost: {lost}")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
