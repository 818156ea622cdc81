"""Cost of ``litehrnet predict`` for a video: frames per second, time of each part, and memory.

Run: ``python -m benchmarks.video DATA DETECTOR WEIGHTS [--seconds 10] [--persons 5] [--keep DIR]``.
DATA contains ``coco_dev`` with ``annotations.json`` and ``images``. People are cut out of its photos along their
outlines and moved over a blurred photo, at 1920x1080 and 30 frames per second. Then the command's three overlapped
stages run, with one thread each: reading the video; detector, network and tracker; writing the drawn video and the
records.

CPU time is measured, as the machine may be shared: of its thread for each part, of the process for the whole. Decoding
and encoding include the conversion between YUV and RGB. The rest is crops, keypoints from heatmaps, tracking, drawing,
records and queues. Opening files and networks and their first calls are not counted.
"""

import argparse
import datetime
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from benchmarks.pipeline import cpu_name
from numpy.typing import NDArray

from litehrnet import PoseEstimator, open_detector, read_image
from litehrnet.detectors.detections import DetectedBoxes
from litehrnet.inference import estimator as estimating
from litehrnet.video import output as outputs
from litehrnet.video.output import Output
from litehrnet.video.overlap import Background, read_ahead
from litehrnet.video.predicting import predict_frames
from litehrnet.video.reading import Frame, VideoReader
from litehrnet.video.records import RecordFile
from litehrnet.video.sources import file_source
from litehrnet.video.tracking import Tracker
from litehrnet.video.writing import VideoWriter

SIZE_WH, RATE = (1920, 1080), 30
COUNTED = ("decode", "detector", "network", "encode")


def main() -> None:
    """Make the video, run the stages, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with coco_dev")
    parser.add_argument("detector", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--persons", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="folder for the videos and records")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{datetime.date.today()}, {cpu_name()}, FFmpeg {av.ffmpeg_version_info}, OpenCV {cv2.__version__}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        video = folder / "persons.mp4"
        make_video(video, cut_outs(options.data / "coco_dev", options.persons), options.seconds)
        run(video, options.detector, options.weights, folder)


@dataclass(frozen=True)
class CutOut:
    """Cut-out person: image (h, w, 3), opacity (h, w, 1), and the path of its middle as a function of seconds."""

    image: NDArray[np.float32]
    opacity: NDArray[np.float32]
    place: Callable[[float], tuple[float, float]]


def cut_outs(folder: Path, count: int) -> list[CutOut]:
    """Cut large, completely visible people out along their outlines; always the same ones."""
    content = json.loads((folder / "annotations.json").read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    whole = [a for a in content["annotations"] if not a["iscrowd"] and a["num_keypoints"] >= 15]
    large = sorted((a for a in whole if len(a["segmentation"]) == 1), key=lambda a: -float(a["bbox"][3]))
    rng = np.random.default_rng(7)
    persons = []
    for i, annotation in enumerate(large[:count]):
        image = read_image(folder / "images" / names[annotation["image_id"]])
        outline = np.array(annotation["segmentation"][0], np.float32).reshape(-1, 2)
        mask = np.zeros(image.shape[:2], np.uint8)
        cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], (255,))
        x, y, width, height = (int(value) for value in annotation["bbox"])
        part = np.s_[y : y + height + 1, x : x + width + 1]
        scale = rng.uniform(0.45, 0.75) * SIZE_WH[1] / height
        picture = cv2.resize(image[part], None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        opacity = cv2.resize(cv2.GaussianBlur(mask[part], (0, 0), 1), picture.shape[1::-1])
        path = _path((i + 0.5) / count, 0.35 + 0.1 * rng.uniform(), rng.uniform(0, 6.3), rng.uniform(0.4, 0.8))
        persons.append(CutOut(picture.astype(np.float32), np.asarray(opacity[..., None] / 255, np.float32), path))
    return persons


def _path(across: float, reach: float, phase: float, speed: float) -> Callable[[float], tuple[float, float]]:
    def place(seconds: float) -> tuple[float, float]:
        x = across + reach * np.sin(phase + speed * seconds) / 2
        return float(x * SIZE_WH[0]), float((0.52 + 0.06 * np.sin(2.1 * speed * seconds + phase)) * SIZE_WH[1])

    return place


def make_video(path: Path, persons: list[CutOut], seconds: float) -> None:
    """Write the video of people on their paths."""
    rng = np.random.default_rng(0)
    ground = cv2.resize(cv2.GaussianBlur(persons[0].image, (0, 0), 25), SIZE_WH, interpolation=cv2.INTER_CUBIC)
    ground = np.clip(0.6 * ground + 60 + rng.normal(0, 4, ground.shape), 0, 255).astype(np.uint8)
    with VideoWriter(path.with_suffix(""), Fraction(RATE)) as writer:
        for number in range(round(seconds * RATE)):
            picture = ground.copy()
            for person in persons:
                _paste(picture, person, person.place(number / RATE))
            writer.write(picture, number / RATE)


def _paste(picture: NDArray[np.uint8], person: CutOut, middle: tuple[float, float]) -> None:
    height, width = person.image.shape[:2]
    x, y = round(middle[0] - width / 2), round(middle[1] - height / 2)
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + width, SIZE_WH[0]), min(y + height, SIZE_WH[1])
    if x1 >= x2 or y1 >= y2:
        return
    own = np.s_[y1 - y : y2 - y, x1 - x : x2 - x]
    below = picture[y1:y2, x1:x2]
    below[:] = np.rint(below + person.opacity[own] * (person.image[own] - below)).clip(0, 255).astype(np.uint8)


class Clock:
    """CPU time of parts, measured in the thread that calls them."""

    def __init__(self) -> None:
        self.calls: dict[str, list[float]] = defaultdict(list)

    def watch(self, part: str, owner: Any, name: str) -> None:
        """Time the calls of a function or method from now on."""
        setattr(owner, name, self._timed(part, getattr(owner, name)))

    def watch_items(self, part: str, owner: Any, name: str) -> None:
        """Time from now on the items of a function's iterators."""
        whole = getattr(owner, name)
        setattr(owner, name, lambda *arguments, **named: self.each(part, whole(*arguments, **named)))

    def each(self, part: str, items: Iterator[Any]) -> Iterator[Any]:
        """Yield the items and time each one."""
        advance = self._timed(part, lambda: next(items, None))
        while (item := advance()) is not None:
            yield item

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            start = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                self.calls[part].append(time.thread_time() - start)

        return call


@dataclass
class Watched:
    """Detector whose method can be replaced."""

    detect: Callable[[NDArray[np.uint8]], DetectedBoxes]


def run(video: Path, detector_file: Path, weights: Path, folder: Path) -> None:
    """Run and time the three stages of the command."""
    detector = Watched(open_detector(detector_file, threads=1).detect)
    estimator = PoseEstimator(weights, threads=1, detector=detector)
    empty = [Frame(number, number / RATE, np.zeros((64, 64, 3), np.uint8)) for number in range(2)]
    for _ in predict_frames(estimator, empty, track=True):
        pass  # the first calls prepare and import
    reader, records = VideoReader(file_source(video), threads=1), RecordFile(folder / "drawn.jsonl")
    writer = VideoWriter(folder / "drawn", reader.rate, sound_of=reader.source, threads=1)
    clock = Clock()
    clock.watch("detector", detector, "detect")
    clock.watch("network", estimator.runtime, "heatmaps")
    clock.watch_items("keypoints", estimating, "find_keypoints")
    clock.watch("track", Tracker, "update")
    clock.watch("draw", outputs, "draw_onto")
    clock.watch("records", records, "write")
    clock.watch("encode", writer, "write")
    clock.watch("encode", VideoWriter, "__exit__")
    memory = []
    began, processor = time.perf_counter(), time.process_time()
    with Output(records, writer) as output, Background(output.write) as written:
        for found in predict_frames(estimator, read_ahead(clock.each("decode", iter(reader))), track=True):
            written.put(found)
            if found.frame.number % 10 == 0:
                memory.append(_resident())
    whole, wall = time.process_time() - processor, time.perf_counter() - began
    print(f"{output.frames} frames of {SIZE_WH[0]}x{SIZE_WH[1]}, {output.persons} persons")
    print(f"  {estimator.runtime.description}; {weights.name}, {detector_file.name}")
    rates = output.frames / wall, output.frames / whole
    print(f"  frames per second: wall time {rates[0]:.1f}, CPU time {rates[1]:.1f}")
    report(clock, whole, output.frames)
    shares = (0.1, 0.25, 0.5, 0.75, 1.0)
    sizes = ", ".join(f"{memory[int(share * (len(memory) - 1))]:.0f} MB" for share in shares)
    print("\nresident memory after " + ", ".join(f"{share:.0%}" for share in shares) + f" of the frames: {sizes}")


def report(clock: Clock, whole: float, frames: int) -> None:
    """Print how ``whole`` seconds of CPU time are distributed over the parts."""
    sums = {name: sum(values) for name, values in clock.calls.items()}
    sums["crops and keypoints"] = sums.pop("keypoints") - sums["network"]
    sums["queues and all the rest"] = whole - sum(sums.values())
    print(f"\n{'CPU time, ms per frame':30}{'mean':>8}{'median call':>14}{'share':>10}")
    for name, seconds in sums.items():
        median = f"{1000 * np.median(clock.calls[name]):.2f}" if name in clock.calls else ""
        print(f"  {name:28}{1000 * seconds / frames:8.2f}{median:>14}{100 * seconds / whole:8.1f} %")
    outside = whole - sum(sums[name] for name in COUNTED)
    print(f"  everything but {', '.join(COUNTED)}: {100 * outside / whole:.1f} % (must be < 10 %)")


def _resident() -> float:
    """Return the memory of this process in megabytes (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


if __name__ == "__main__":
    main()
