"""Curve from a keypoint's score to its likelihood: fitted on held-out photos, then checked on others.

Run: ``python -m benchmarks.likelihood DATA [--weights NAME]``. DATA contains ``coco_train_crops`` and ``coco_dev``. The
curve is fitted on the photos of configs/own/heldout_coco_image_ids.txt, which training never sees. coco_dev is only
used to check it. A keypoint is right if it is annotated, and so near to the annotation that its own term of COCO's
similarity (OKS) is 0.5 or more. Boxes are the annotated ones. The printed curve belongs in
``litehrnet/keypoints/likelihood.py``.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Floats64, Mask
from litehrnet.data.coco_records import read_coco_test
from litehrnet.data.settings import EvalConfig
from litehrnet.evaluation.predictions import predict_records
from litehrnet.keypoints.boxes import BODY_SHARE
from litehrnet.keypoints.likelihood import CURVE, Curve
from litehrnet.runtimes import Runtime, open_runtime
from litehrnet.weights.zoo import DEFAULT_WEIGHTS

HELD_OUT = Path(__file__).resolve().parents[1] / "configs" / "own" / "heldout_coco_image_ids.txt"
NEAR = 0.5
BANDS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, np.inf)
"""Bounds of the scores in the printed table."""


def main() -> None:
    """Fit the curve, and print how well it and the one in use fit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder that contains coco_train_crops and coco_dev")
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS, help="weights for COCO's keypoints (default: bundled)")
    options = parser.parse_args()
    runtime = open_runtime(options.weights)
    held_out = scored_keypoints(runtime, options.data / "coco_train_crops", str(HELD_OUT))
    fitted = fit(*held_out)
    print(f"offset {fitted.offset:.4f}, power {fitted.power:.4f}, slope {fitted.slope:.4f}")
    others = scored_keypoints(runtime, options.data / "coco_dev", None)
    for name, (scores, right) in {"held-out photos": held_out, "coco_dev": others}.items():
        print(f"\n{name}: {len(scores)} keypoints, {right.mean():.3f} of them right")
        for label, curve in {"fitted curve": fitted, "curve in use": CURVE}.items():
            print(f"{label}: calibration error {calibration_error(curve(scores), right):.3f}")
        print(f"score clipped to 1: calibration error {calibration_error(scores.clip(0, 1), right):.3f}")
        for low, high in itertools.pairwise(BANDS):
            some = (scores >= low) & (scores < high)
            if some.any():
                said, seen = fitted(scores[some]).mean(), right[some].mean()
                band = f"scores {low:.2f} to {high:.2f}: {some.sum():6} keypoints"
                print(f"{band}, likelihood {said:.3f}, right {seen:.3f}")


def scored_keypoints(runtime: Runtime, folder: Path, only: str | None) -> tuple[Floats64, Mask]:
    """Predict all annotated people of a set; return the score of each keypoint, and whether it is right."""
    keypoint_set = runtime.info.keypoint_set
    test = EvalConfig("coco", str(folder / "annotations.json"), str(folder / "images"), only=only)
    records = read_coco_test(test, keypoint_set, runtime.input_size_wh, Path(DEFAULT_WEIGHTS)).records
    records = [record for record in records if record.visible.any()]
    predicted = predict_records(runtime, records, flip_test=False)
    truth = np.stack([record.joints_xy for record in records])
    annotated = np.stack([record.visible > 0 for record in records])
    areas = np.array([BODY_SHARE * record.box_wh.prod() for record in records if record.box_wh is not None])
    spread = np.square(2 * np.array(keypoint_set.sigmas)) * areas[:, None]
    terms = np.exp(-np.square(predicted.keypoints - truth).sum(axis=2) / (2 * spread))
    return predicted.scores.ravel().astype(np.float64), (annotated & (terms >= NEAR)).ravel()


def fit(scores: NDArray[np.floating], right: Mask, steps: int = 50) -> Curve:
    """Fit the curve by maximum likelihood: logistic regression on score and logarithm, by Newton's method."""
    scores, wanted = np.asarray(scores[scores > 0], np.float64), right[scores > 0].astype(np.float64)
    inputs = np.stack([np.ones_like(scores), np.log(scores), scores], axis=1)
    weights = np.zeros(3)
    for _ in range(steps):
        predicted = 1 / (1 + np.exp(-inputs @ weights))
        curvature = (inputs * (predicted * (1 - predicted))[:, None]).T @ inputs
        weights = weights + np.linalg.solve(curvature, inputs.T @ (wanted - predicted))
    return Curve(*weights.tolist())


def calibration_error(likelihood: Floats64, right: Mask, bins: int = 10) -> float:
    """Mean distance between likelihood and share of right keypoints, over bins of equal width, by their keypoints."""
    which = np.minimum((likelihood * bins).astype(int), bins - 1)
    gaps = [abs(float((likelihood[which == b] - right[which == b]).sum())) for b in range(bins)]
    return sum(gaps) / len(likelihood)


if __name__ == "__main__":
    main()
