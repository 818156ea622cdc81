"""Identities in films of real cut-outs: how many, IDF1, switches, quality of keypoints, and cost.

Run: ``python -m benchmarks.tracking_films DATA DETECTOR [--seeds 6 8 10] [--people 4] [--seconds 20] [--interval 0]``
where DATA contains ``coco_dev``, and DETECTOR is a file, ``person``, or ``none`` to follow one person. Films of the
seeds are written (``crop_films.py``) and read again. The detector and the bundled network find the people, the tracker
assigns identities, and trackeval evaluates them. The tracker was tuned with the seeds 0, 2 and 4. Cost is CPU time of
the thread; the cost of finding includes decoding the film.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from benchmarks.crop_films import BLUR, PEOPLE, SECONDS, TrueFrame, make_film
from benchmarks.identity_scores import IdentityScores, NamedFrame, judge
from numpy.typing import NDArray

from litehrnet import PoseEstimator, read_frames
from litehrnet.keypoints.boxes import BODY_SHARE
from litehrnet.keypoints.oks import oks_to_truth
from litehrnet.poses import Poses
from litehrnet.video.predicting import FramePoses, predict_frames
from litehrnet.video.tracking import Tracker

_CLEAR = 0.5  # minimum visible share of a person who is evaluated


@dataclass(frozen=True)
class FilmResult:
    """Result for a film: ``oks`` is the mean over people and frames, 0..1; costs are milliseconds per frame."""

    scores: IdentityScores
    oks: float
    cost: float
    tracking_cost: float


def main() -> None:
    """Evaluate all films and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with coco_dev")
    parser.add_argument("detector")
    parser.add_argument("--seeds", type=int, nargs="+", default=[6, 8, 10])
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--interval", type=float, help="seconds between detector frames; default as in predict_frames")
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--blur", type=float, nargs=2, default=BLUR, help="of the background, in pixels: from, to")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print("| film | people | identities | per person | IDF1 | switches | OKS | finding, ms a frame | tracking, ms |")
    with tempfile.TemporaryDirectory() as folder:
        for seed in options.seeds:
            path = Path(folder) / f"film-{seed}"
            truth = make_film(options.data, seed, path, options.seconds, options.people, tuple(options.blur))
            print(_row(seed, evaluate_film(path.with_suffix(".mp4"), truth, options.detector, options.interval)))


def _row(seed: int, result: FilmResult) -> str:
    scores = result.scores
    counts = f"{scores.people} | {scores.identities} | {scores.identities / scores.people:.2f}"
    quality = f"{scores.idf1:.3f} | {scores.switches} | {result.oks:.3f}"
    return f"| {seed} | {counts} | {quality} | {result.cost:.1f} | {result.tracking_cost:.2f} |"


def evaluate_film(
    film: Path, truth: list[TrueFrame], detector: str | Path, interval: float | None = None
) -> FilmResult:
    """Find and track the people of a film, and evaluate the result.

    Args:
        film: The film.
        truth: The truth of each frame.
        detector: File or name for ``PoseEstimator``; ``"none"`` follows one person.
        interval: Seconds between two runs of the detector; 0 for every frame; None as in ``predict_frames``.
    """
    if detector == "none":
        estimator = PoseEstimator(threads=1, whole_image=True)
    else:
        estimator = PoseEstimator(threads=1, detector=detector)
    tracker, found, named, cost, tracking_cost = Tracker(), list[Poses](), list[NamedFrame](), 0.0, 0.0
    frames = predict_frames(estimator, read_frames(film), detector_interval=interval)
    for true, (each, spent) in zip(truth, _timed(frames), strict=True):
        cost += spent
        start = time.thread_time()
        identities = tracker.update(each.poses, each.frame.time, each.frame.image)
        tracking_cost += time.thread_time() - start
        named.append(named_frame(true, each.poses, identities))
        found.append(each.poses)
    milliseconds = 1000 / len(truth)
    return FilmResult(judge(named), keypoint_quality(truth, found), cost * milliseconds, tracking_cost * milliseconds)


def _timed(frames: Iterator[FramePoses]) -> Iterator[tuple[FramePoses, float]]:
    """Yield each item with its time in seconds, which includes decoding."""
    while True:
        start = time.thread_time()
        each = next(frames, None)
        if each is None:
            return
        yield each, time.thread_time() - start


def named_frame(true: TrueFrame, poses: Poses, identities: NDArray[np.intp]) -> NamedFrame:
    """Combine truth and result of a frame. People who are less than half visible are not evaluated."""
    clear = true.visible >= _CLEAR
    unclear = (true.visible > 0) & ~clear
    given = identities > 0
    boxes = poses.boxes[given].astype(np.float64)
    return NamedFrame(np.flatnonzero(clear), true.boxes[clear], true.boxes[unclear], identities[given], boxes)


def keypoint_quality(truth: list[TrueFrame], found: list[Poses]) -> float:
    """Compute the mean OKS, 0..1, of the best pose for each person who is at least half visible, over all frames."""
    qualities: list[float] = []
    for true, poses in zip(truth, found, strict=True):
        clear = true.visible >= _CLEAR
        areas = BODY_SHARE * true.boxes[:, 2:].prod(axis=1)
        sigmas = np.array(poses.keypoint_set.sigmas)
        similarity = oks_to_truth(poses.keypoints, true.keypoints[..., :2], areas, sigmas, true.keypoints[..., 2] > 0)
        qualities += similarity.max(axis=0, initial=0)[clear].tolist()
    return float(np.mean(qualities))


if __name__ == "__main__":
    main()
