"""Time that each augmentation, off by default, adds to a training sample on one core.

Run: ``OMP_NUM_THREADS=1 python -m benchmarks.augmentation DATA [--rounds 6]``. DATA contains ``coco_train_crops``
with ``annotations.json`` and ``images``. The samples are 512 random people in batches of 16, with crops of 192x256;
the photo cache is empty at the start of every pass. All settings run in turn in every round, because the speed of a
shared machine drifts. Medians of the CPU time are printed: total, and the addition to the time without augmentation.
"""

import argparse
import datetime
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from benchmarks.pipeline import cpu_name
from benchmarks.training_pipeline import training_set

from litehrnet.data.photos import PhotoCache
from litehrnet.data.samples import make_batch

PERSONS, BATCH = 512, 16
COLORS = {"brightness": 0.2, "contrast": 0.4, "saturation": 0.5}
SETTINGS: dict[str, dict[str, Any]] = {"none of them": {}, "brightness, contrast, saturation": COLORS}
SETTINGS |= {
    f"{name}_probability": {f"{name}_probability": 1.0} for name in ("blur", "cutout", "background", "anywhere")
}


def main() -> None:
    """Measure all settings and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{datetime.date.today()}, {cpu_name()}, one thread, OpenCV {cv2.__version__}, NumPy {np.__version__}")
    persons = training_set(options.data / "coco_train_crops", (192, 256))
    chosen = np.random.default_rng(0).permutation(len(persons))[:PERSONS].reshape(-1, BATCH)
    times: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for epoch in range(options.rounds + 1):
        for name, settings in SETTINGS.items():
            varied = replace(persons, augmentation=replace(persons.augmentation, **settings))
            cache, start = PhotoCache(), time.process_time()
            for indices in chosen:
                make_batch(varied, epoch, indices.tolist(), cache)
            if epoch > 0:  # the first round warms up
                times[name].append(1000 * (time.process_time() - start) / PERSONS)
    print(f"ms per sample{'':25} all    more")
    for name, values in times.items():
        more = np.median(np.array(values) - times["none of them"])
        print(f"  {name:32} {np.median(values):7.3f} {more:7.3f}")


if __name__ == "__main__":
    main()
