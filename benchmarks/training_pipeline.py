"""Training samples per second on one core: ours against ``straightforward_samples.py``.

Run: ``OMP_NUM_THREADS=1 python -m benchmarks.training_pipeline DATA [--rounds 5]``. DATA contains ``coco_dev`` and,
optionally, ``coco_train_crops``, each with ``annotations.json`` and ``images``. Both pipelines create the network's
input: normalized float32 images, targets and weights, in batches of 64 people. Our photo cache is empty at the start
of every pass; the files are in the system's cache for both. The two run in turn, because the speed of a shared
machine drifts. Medians and minima of the CPU time are printed. Decoding is also measured separately: a reduced JPEG
must still be read to its end, which limits the gain.
"""

import argparse
import datetime
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from benchmarks.pipeline import cpu_name
from benchmarks.straightforward_samples import straightforward_batch

from litehrnet.data.photos import PhotoCache
from litehrnet.data.samples import make_batch
from litehrnet.data.settings import AugmentationConfig, DataConfig
from litehrnet.data.trainingset import TrainingSet, read_training_set
from litehrnet.io.images import decode_image
from litehrnet.keypoints.boxes import PIXEL_STD
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.crop import normalize
from litehrnet.keypoints.skeletons import COCO

BATCH = 64


def main() -> None:
    """Run all comparisons and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, nargs=2, default=(192, 256), metavar=("W", "H"), help="of the crops")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{datetime.date.today()}, {cpu_name()}, one thread, OpenCV {cv2.__version__}, NumPy {np.__version__}")
    width, height = options.size
    print(f"crops {width}x{height}, batches of {BATCH}; ms per sample: median / minimum over rounds\n")
    dev = training_set(options.data / "coco_dev", (width, height))
    everyone = np.arange(len(dev))
    shrinks = np.array([record.scale[0] * PIXEL_STD / width for record in dev.records])
    compare("coco_dev, all people in file order (must be >= 1.5)", dev, everyone, options.rounds)
    strong = np.flatnonzero(shrinks >= 2)
    compare("coco_dev, people whose crop shrinks by two or more (must be >= 2.5)", dev, strong, options.rounds)
    shuffled = np.random.default_rng(0).permutation(everyone)
    compare("coco_dev, all people in random order", dev, shuffled, options.rounds)
    decoding_alone(dev, strong, options.rounds)
    exact = replace(dev, augmentation=replace(dev.augmentation, exact_images=True))
    compare("coco_dev, all people in file order, photos decoded whole", exact, everyone, options.rounds)
    if (options.data / "coco_train_crops").is_dir():
        crops = training_set(options.data / "coco_train_crops", (width, height))
        compare("coco_train_crops, first 1000 people", crops, np.arange(1000), options.rounds)


def training_set(folder: Path, size_wh: tuple[int, int]) -> TrainingSet:
    """Read the people of one folder, with the augmentation of the reference implementation."""
    config = DataConfig("coco", str(folder / "annotations.json"), str(folder / "images"))
    return read_training_set([config], COCO, size_wh, HeatmapCodec(), AugmentationConfig(), seed=0)


def compare(title: str, persons: TrainingSet, indices: np.ndarray, rounds: int) -> None:
    """Print the milliseconds per sample of both pipelines and their ratio."""
    chunks = [indices[start : start + BATCH].tolist() for start in range(0, len(indices), BATCH)]
    times: dict[str, list[float]] = {"straightforward": [], "ours": []}
    ways = {"straightforward": straightforward_pass, "ours": our_pass}
    for epoch in range(rounds + 1):
        for name, way in ways.items():
            start = time.process_time()
            way(persons, epoch, chunks)
            if epoch > 0:  # the first round warms up
                times[name].append(1000 * (time.process_time() - start) / len(indices))
    ratios = np.array(times["straightforward"]) / times["ours"]
    print(f"{title}: {len(indices)} samples")
    for name, values in times.items():
        print(f"  {name:16} {np.median(values):6.3f} / {min(values):6.3f}")
    fastest = min(times["straightforward"]) / min(times["ours"])
    print(f"  ratio            {np.median(ratios):6.2f} (of the medians of rounds), {fastest:.2f} (of the minima)\n")


def decoding_alone(persons: TrainingSet, indices: np.ndarray, rounds: int) -> None:
    """Print OpenCV's milliseconds for decoding a photo of these people at each size."""
    photos = [photo.read_bytes() for photo in dict.fromkeys(persons.records[i].image_file for i in indices)]
    print(f"decoding alone, ms per photo, {len(photos)} photos of those {len(indices)} people")
    for reduction in (1, 2, 4, 8):
        times = []
        for _ in range(rounds):
            start = time.process_time()
            for content in photos:
                decode_image(content, "photo", reduction)
            times.append(1000 * (time.process_time() - start) / len(photos))
        print(f"  1/{reduction}              {np.median(times):6.3f} / {min(times):6.3f}")
    print()


def our_pass(persons: TrainingSet, epoch: int, chunks: Sequence[list[int]]) -> None:
    """Create all batches of one epoch with ``make_batch``."""
    cache = PhotoCache()
    for chunk in chunks:
        normalize(make_batch(persons, epoch, chunk, cache).images)


def straightforward_pass(persons: TrainingSet, epoch: int, chunks: Sequence[list[int]]) -> None:
    """Create all batches of one epoch with ``straightforward_batch``."""
    for chunk in chunks:
        straightforward_batch(persons, epoch, chunk)


if __name__ == "__main__":
    main()
