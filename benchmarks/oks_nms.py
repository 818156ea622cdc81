"""OKS-NMS of a whole data set: ours, for all images at once, compared with a loop over pairs of people.

Run: ``python -m benchmarks.oks_nms [--rounds 5]``, from the checkout. The numbers of detections and images are those
of COCO's val2017 with the usual detections (104,125 in 5,000). Poses are random and unevenly distributed over the
images; two of five are slightly moved copies of another person. Both must keep the same people in the same order.
"""

import argparse
import datetime
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from benchmarks.pipeline import cpu_name
from benchmarks.plain_oks_nms import plain_oks_nms
from numpy.typing import NDArray

from litehrnet.cli.version import cpu_features
from litehrnet.evaluation.coco import coco_results
from litehrnet.evaluation.predictions import Predictions
from litehrnet.keypoints.boxes import PIXEL_STD
from litehrnet.keypoints.oks import oks_nms, rescore
from litehrnet.keypoints.skeletons import COCO

DETECTIONS, IMAGES, THRESHOLD = 104_125, 5_000, 0.9
SIGMAS = np.array(COCO.sigmas)


def main() -> None:
    """Compare the results, measure the times, and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    predictions = draw_predictions(np.random.default_rng(0))
    images, poses = predictions.image_ids, predictions.keypoints
    scores, areas = rescore(predictions.box_scores, predictions.scores), predictions.areas

    def ours() -> NDArray[np.intp]:
        return oks_nms(poses, scores, areas, SIGMAS, THRESHOLD, images)

    def plain() -> NDArray[np.intp]:
        groups = [np.flatnonzero(images == image) for image in range(IMAGES)]
        kept = [own[plain_oks_nms(poses[own], scores[own], areas[own], SIGMAS, THRESHOLD)] for own in groups]
        return np.concatenate(kept)

    def results() -> object:
        return coco_results(predictions, COCO.sigmas, oks_threshold=THRESHOLD)

    expected = plain()
    if not np.array_equal(ours(), expected):
        raise SystemExit("the two implementations keep different people")
    print(f"{datetime.date.today()}, {cpu_name()} ({' '.join(cpu_features())}), Python {platform.python_version()}")
    most = np.bincount(images).max()
    print(f"{DETECTIONS:,} detections in {IMAGES:,} images (at most {most}), {len(expected):,} kept by both ways")
    print(f"\n{'medians':34} {'seconds':>8} {'of the processor':>18}")
    for name, step, rounds in (
        ("a loop over pairs", plain, 1),
        ("OKS-NMS", ours, options.rounds),
        ("rescoring, OKS-NMS, COCO results", results, options.rounds),
    ):
        seconds, busy = np.median([measure(step) for _ in range(rounds)], axis=0)
        print(f"{name:34} {seconds:8.2f} {busy:18.2f}")


def measure(step: Callable[[], object]) -> tuple[float, float]:
    """Return the wall time and the CPU time of a call in seconds."""
    wall, busy = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - wall, time.process_time() - busy


def draw_predictions(rng: np.random.Generator) -> Predictions:
    """Draw poses, distributed over images as unevenly as real people."""
    share = rng.gamma(1.5, size=IMAGES)
    images = np.sort(rng.choice(IMAGES, DETECTIONS, p=share / share.sum()))
    centers, sizes = rng.uniform(0, 640, (DETECTIONS, 2)), rng.uniform(30, 400, DETECTIONS)
    poses = centers[:, None] + rng.uniform(-0.5, 0.5, (DETECTIONS, 17, 2)) * sizes[:, None, None]
    copies = np.flatnonzero((images[1:] == images[:-1]) & (rng.random(DETECTIONS - 1) < 0.4)) + 1
    for copy in copies:
        sizes[copy], centers[copy] = sizes[copy - 1], centers[copy - 1]
        poses[copy] = poses[copy - 1] + rng.normal(0, 0.02 * sizes[copy], (17, 2))
    scales = np.column_stack([0.75 * sizes, sizes]) * 1.25 / PIXEL_STD
    return Predictions(
        image_files=[Path("none")] * DETECTIONS,
        image_ids=images,
        box_ids=np.arange(DETECTIONS),
        box_scores=rng.random(DETECTIONS),
        centers=centers.astype(np.float32),
        scales=scales.astype(np.float32),
        keypoints=poses.astype(np.float32),
        scores=rng.random((DETECTIONS, 17)).astype(np.float32),
    )


if __name__ == "__main__":
    main()
