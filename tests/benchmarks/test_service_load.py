import os
import threading
from pathlib import Path

from benchmarks.service_load import MALICE, harm, harmed, resident_megabytes, send_photos

from litehrnet import PoseEstimator
from litehrnet.serving.liveview import EXAMPLE
from litehrnet.serving.photos import Limits
from litehrnet.serving.service import open_service


def test_photos_are_answered_beside_harmful_clients() -> None:
    with open_service([PoseEstimator(threads=1)], Limits(body_bytes=10**6), port=0) as site:
        port = int(site.url.rstrip("/").rpartition(":")[2])
        with harmed(port, 2) as ends:
            load = send_photos(port, EXAMPLE.read_bytes(), requests=20, clients=4)
        assert (load.statuses, len(load.contents), len(load.seconds)) == ({200: 20}, 1, 20)
        assert {name for name, _ in ends} == set(MALICE)
        statuses = {
            "body without end": "413",
            "length of a petabyte": "413",
            "length that lies": "400",
            "PNG of 50,000 x 50,000": "413",
            "garbage in a row": "404",
            "no photo": "400",
        }
        for name, status in statuses.items():
            assert harm(port, MALICE[name](), threading.Event()) == status, name


def test_memory_is_that_of_the_process() -> None:
    rows = Path("/proc/self/status").read_text().splitlines()
    kilobytes = int(next(row for row in rows if row.startswith("VmRSS")).split()[1])
    assert abs(resident_megabytes(os.getpid()) - kilobytes * 1024 / 1e6) < 20
