"""MPII's PCKh: the share of joints within a fraction of the head size (docs/spec/protocol.md, section 4.4).

``predicted`` is (persons, 16, 2) in image pixels, counted from 0; ``truth`` is of the same people in the same order.
Another number of people is a UserError.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.arrays import Floats, Floats64, Mask
from litehrnet.data.records import read_json
from litehrnet.errors import UserError
from litehrnet.evaluation.mpii_submission import MpiiPhoto, reading_mat, submission
from litehrnet.evaluation.pck import KeypointRow, KeypointScore, keypoint_errors
from litehrnet.optional import require

HEAD_FRACTION = 0.6
"""Factor of the diagonal of the annotated head box (SC_BIAS)."""

_GROUPS = {
    "Head": ("head",),
    "Shoulder": ("lsho", "rsho"),
    "Elbow": ("lelb", "relb"),
    "Wrist": ("lwri", "rwri"),
    "Hip": ("lhip", "rhip"),
    "Knee": ("lkne", "rkne"),
    "Ankle": ("lank", "rank"),
}
# Pelvis and thorax are between other joints and left out of the mean.
_NOT_IN_MEAN = ("pelv", "thor")


@dataclass(frozen=True)
class MpiiGroundTruth:
    """Contents of MPII's ``.mat`` file.

    Attributes:
        joint_names: 16 short names, such as ``rank`` for the right ankle.
        joints: (persons, 16, 2) image pixels, counted from 1.
        missing: (persons, 16): True where a joint is not annotated.
        head_corners: (persons, 2, 2): two corners of the head box, (x, y) each.
    """

    joint_names: tuple[str, ...]
    joints: Floats64
    missing: Mask
    head_corners: Floats64


def mpii_ground_truth_file(annotations: Path) -> Path:
    """Path of the ground truth for PCKh, beside MPII's annotations. The test split has none."""
    return annotations.parent / "mpii_gt_val.mat"


def read_mpii_ground_truth(path: Path) -> MpiiGroundTruth:
    """Read ``mpii_gt_val.mat``.

    Raises:
        UserError: SciPy is not installed; the file is missing, broken, or another one.
    """
    with reading_mat(path, "not MPII's ground truth (expected a file like mpii_gt_val.mat)") as content:
        names = tuple(str(cell[0]) for cell in content["dataset_joints"][0])
        return MpiiGroundTruth(
            names,
            joints=content["pos_gt_src"].transpose(2, 0, 1).astype(np.float64),
            missing=content["jnt_missing"].T.astype(bool),
            head_corners=content["headboxes_src"].transpose(2, 0, 1).astype(np.float64),
        )


def pckh_hits(predicted: Floats, truth: MpiiGroundTruth, threshold: float) -> tuple[Mask, Mask]:
    """Find which joints are correct: within a fraction ``threshold`` of the head size, or at exactly this distance.

    Returns:
        Two masks (persons, 16): correct, annotated.
    """
    visible = ~truth.missing
    return (pckh_errors(predicted, truth) <= threshold) & visible, visible


def pckh_errors(predicted: Floats, truth: MpiiGroundTruth) -> Floats64:
    """Compute distances (persons, 16) in head sizes."""
    if predicted.shape != truth.joints.shape:
        raise UserError(f"{len(predicted)} people predicted (expected {len(truth.joints)}, as in the ground truth)")
    diagonals = np.linalg.norm(truth.head_corners[:, 1] - truth.head_corners[:, 0], axis=1)
    distances = np.linalg.norm(predicted + 1.0 - truth.joints, axis=2)
    return np.asarray(distances / (HEAD_FRACTION * diagonals)[:, None])


def pckh_metrics(predicted: Floats, truth: MpiiGroundTruth) -> dict[str, float]:
    """Values of the reference implementation, in percent: each pair of joints, their mean PCKh, and ``PCKh@0.1``.

    ``PCKh@0.1`` is taken at 0.11: the reference implementation uses the twelfth of the thresholds 0.00, 0.01, and so
    on. ``mean_pckh`` gives the value at 0.10. The upper neck counts in the mean but has no value of its own.
    """
    found, visible = pckh_hits(predicted, truth, 0.5)
    per_joint = 100 * found.sum(axis=0) / np.maximum(visible.sum(axis=0), 1)
    names = truth.joint_names
    metrics = {
        group: float(np.mean([per_joint[names.index(joint)] for joint in joints])) for group, joints in _GROUPS.items()
    }
    return metrics | {
        "PCKh": mean_pckh(predicted, truth, 0.5),
        "PCKh@0.1": mean_pckh(predicted, truth, 0.11),
    }


def mean_pckh(predicted: Floats, truth: MpiiGroundTruth, threshold: float) -> float:
    """Percentage of correct joints, without pelvis and thorax."""
    found, visible = pckh_hits(predicted, truth, threshold)
    counted = np.array([name not in _NOT_IN_MEAN for name in truth.joint_names])
    return float(100 * found[:, counted].sum() / max(1, visible[:, counted].sum()))


def reported_metrics(predicted: Floats, truth: MpiiGroundTruth) -> dict[str, float]:
    """Values of ``pckh_metrics``, and the true PCKh at 0.10, since "PCKh@0.1" is taken at 0.11."""
    return pckh_metrics(predicted, truth) | {"PCKh at 0.10": mean_pckh(predicted, truth, 0.10)}


def score_joints(predicted: Floats, truth: MpiiGroundTruth) -> KeypointScore:
    """Make a row per joint: PCKh at 0.5 as a share, and mean error."""
    found, visible = pckh_hits(predicted, truth, 0.5)
    counts = visible.sum(axis=0)
    rates = np.where(counts > 0, found.sum(axis=0) / np.maximum(counts, 1), -1.0)
    errors = keypoint_errors(predicted + 1.0, truth.joints, visible)
    rows = zip(truth.joint_names, counts.tolist(), rates.tolist(), errors.tolist(), strict=True)
    return KeypointScore({}, "PCKh@0.5", tuple(KeypointRow(*row) for row in rows), len(predicted), len(predicted))


def prediction_mat(predicted: Floats, test_photos: Sequence[MpiiPhoto] = ()) -> bytes:
    """Encode ``pred.mat`` of the reference implementation: ``preds`` float32 (persons, 16, 2), counted from 1.

    For ``test_photos``, photos of the test split, ``pred`` for MPII's own evaluation is added.

    Raises:
        UserError: SciPy is not installed.
    """
    require("scipy", "train", "writing pred.mat")
    from scipy.io import savemat

    variables: dict[str, Any] = {"preds": (predicted + 1.0).astype(np.float32)}
    if test_photos:
        variables["pred"] = submission(test_photos, predicted)
    content = io.BytesIO()
    savemat(content, variables, do_compression=bool(test_photos))
    return content.getvalue()


def read_mpii_predictions(path: Path) -> Floats64:
    """Read predictions for MPII.

    Args:
        path: ``pred.mat`` with ``preds``, counted from 1, or raw outputs as JSON, counted from 0.

    Returns:
        (persons, 16, 2) image pixels, counted from 0.

    Raises:
        UserError: SciPy is not installed; the file is missing, broken, or another one.
    """
    predicted = _predictions_of_json(path) if path.suffix.lower() == ".json" else _predictions_of_mat(path)
    if not np.isfinite(predicted).all():
        raise UserError(f"{path}: has a number that is not finite (expected pixels)")
    return predicted


def _predictions_of_mat(path: Path) -> Floats64:
    with reading_mat(path, "not predictions for MPII (expected a file like pred.mat, with preds)", "preds") as content:
        preds = content["preds"].astype(np.float64)
    if preds.ndim != 3 or preds.shape[1:] != (16, 2):
        raise UserError(f"{path}: preds has shape {preds.shape} (expected people x 16 x 2)")
    return np.asarray(preds - 1.0)


def _predictions_of_json(path: Path) -> Floats64:
    outputs = read_json(path)
    try:
        ids = np.concatenate([output["bbox_ids"] for output in outputs]).astype(np.int64)
        preds = np.concatenate([np.array(output["preds"], np.float64) for output in outputs])
        if preds.shape != (len(ids), 16, 3):
            raise ValueError(preds.shape)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: not predictions for MPII (expected a list of preds and bbox_ids)") from error
    return np.asarray(preds[np.unique(ids, return_index=True)[1], :, :2])
