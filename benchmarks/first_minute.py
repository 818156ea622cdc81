"""Time of the bundled detector compared with another one, and of the whole pipeline from JPEG bytes to skeletons.

Run: ``python -m benchmarks.first_minute PHOTOS [--peer picodet_s_320.xml] [--rounds 30]`` where PHOTOS is a folder of
JPEG photos. Everything runs on one thread, in turn for each photo. CPU time is measured, as the machine may be shared.
The engine uses the machine's best instruction set, or the one in ``LITEHRNET_KERNELS``.
"""

import argparse
import datetime
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
from benchmarks.pipeline import cpu_name

from litehrnet import PoseEstimator, open_detector, read_image
from litehrnet.io.images import decode_image

WHOLE = "from JPEG bytes to skeletons"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", type=Path, help="folder of JPEG photos")
    parser.add_argument("--detector", default="person", help="name or file of our detector")
    parser.add_argument("--peer", type=Path, help="file of another detector, .onnx or .xml")
    parser.add_argument("--rounds", type=int, default=30, help="maximum number of photos")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    files = sorted(options.photos.glob("*.jpg"))[: options.rounds]
    ours = open_detector(options.detector, threads=1)
    estimator = PoseEstimator(detector=ours, threads=1)
    ways: dict[str, Callable[[Path], object]] = {
        "detector": lambda file: ours.detect(read_image(file)),
        WHOLE: lambda file: estimator.predict(decode_image(file.read_bytes(), str(file))),
    }
    if options.peer:
        peer = open_detector(options.peer, threads=1)
        ways["peer"] = lambda file: peer.detect(read_image(file))
        print(f"peer: {peer.description}")
    ways["reading the photo"] = read_image
    times: dict[str, list[float]] = {name: [] for name in ways}
    people = []
    for file in files:
        people.append(len(ours.detect(read_image(file)).boxes))
        for name, run in ways.items():
            started = time.process_time()
            run(file)
            times[name].append(1000 * (time.process_time() - started))
    print(f"{datetime.date.today()}, {cpu_name()}, {len(files)} photos, {sum(people) / len(files):.1f} people each")
    print(f"detector: {ours.description}")
    reading = statistics.median(times["reading the photo"])
    alone = [ms for ms, count in zip(times[WHOLE], people, strict=True) if count == 1]
    times[f"{WHOLE}, one person ({len(alone)} photos)"] = alone
    for name, values in times.items():
        median = statistics.median(values)
        without = f", without reading {median - reading:.1f}" if name in ("detector", "peer") else ""
        print(f"{name:60} median {median:6.1f} ms, minimum {min(values):6.1f}{without}")


if __name__ == "__main__":
    main()
