import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litehrnet.data.coco import CocoAnnotations, read_annotations
from litehrnet.data.mpii import mpii_records
from litehrnet.data.settings import DataConfig
from litehrnet.evaluation.gallery import COLUMNS, VIEW_WH, Gallery, chosen, coco_gallery, draw_gallery, mpii_gallery
from litehrnet.evaluation.pckh import MpiiGroundTruth
from litehrnet.evaluation.predictions import predictions_of
from litehrnet.keypoints.skeletons import COCO, MPII
from litehrnet.poses import Poses


def _results(annotations: CocoAnnotations, shifts: dict[int, float]) -> list[dict[str, Any]]:
    """The annotated persons of the images in ``shifts``, moved along x by that many pixels."""
    return [
        {"image_id": image_id, "keypoints": (np.array(persons[0]["keypoints"]) + np.tile([shift, 0, -1], 17)).tolist()}
        for image_id, persons in annotations.by_image.items()
        for shift in [shifts.get(image_id)]
        if shift is not None
    ]


def _gallery(config: DataConfig, shifts: dict[int, float]) -> Gallery:
    annotations = read_annotations(Path(config.annotations))
    return coco_gallery(annotations, Path(config.images), _results(annotations, shifts), COCO)


def test_errors_are_shares_of_the_longer_side_and_persons_not_found_are_infinitely_far(drawn_coco: DataConfig) -> None:
    gallery = _gallery(drawn_coco, {1: 0.0, 2: 14.0})
    longer = max(read_annotations(Path(drawn_coco.annotations)).by_image[2][0]["bbox"][2:])
    exact, moved, missed = gallery.cases
    assert exact.quality == 1
    assert not exact.errors.any()
    np.testing.assert_allclose(moved.errors, 14 / longer)
    assert 0 < moved.quality < 1
    assert missed.quality == 0
    assert np.isinf(missed.errors).all()


def test_worst_come_first_and_a_sample_is_spread_over_the_files(drawn_coco: DataConfig) -> None:
    gallery = _gallery(drawn_coco, {1: 5.0, 2: 0.0, 3: 9.0})
    assert [case.image_file.name for case in chosen(gallery, 2, worst=True)] == ["3.jpg", "1.jpg"]
    assert [case.image_file.name for case in chosen(gallery, 2, worst=False)] == ["1.jpg", "3.jpg"]
    assert len(chosen(gallery, 99, worst=False)) == 3


def test_keypoints_that_are_not_annotated_are_not_drawn_as_truth(
    coco_content: dict[str, Any], save_coco: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def draw_poses(image: Any, poses: Poses) -> Any:
        drawn.append(poses.keypoints[0])
        return image

    monkeypatch.setattr("litehrnet.evaluation.gallery.draw_poses", draw_poses)
    coco_content["annotations"][0]["keypoints"][:3] = [0, 0, 0]
    gallery = _gallery(save_coco(coco_content), {1: 0.0})
    draw_gallery(gallery, chosen(gallery, 1, worst=False))
    truth, predicted = drawn
    assert np.isnan(truth[0]).all()
    np.testing.assert_allclose(truth[1:], predicted[1:], atol=1e-3)
    inside = (truth[1:] > 0) & (truth[1:] < VIEW_WH)
    assert inside.all()


def test_the_sheet_has_a_tile_of_two_views_for_each_person(drawn_coco: DataConfig) -> None:
    gallery = _gallery(drawn_coco, {1: 0.0, 2: 4.0})
    one, three, five = (draw_gallery(gallery, [*gallery.cases, *gallery.cases][:n]) for n in (1, 3, 5))
    assert one.shape[1] == 2 * VIEW_WH[0]
    assert three.shape == (one.shape[0], 3 * one.shape[1], 3)
    assert five.shape[1] == COLUMNS * one.shape[1]
    assert five.shape[0] > 2 * VIEW_WH[1] > one.shape[0]
    left, right = three[60:300, :239], three[60:300, 240:479]  # without the frame
    np.testing.assert_array_equal(left, right)  # predicted exactly
    assert (three[60:300, 480:720] != three[60:300, 720:960]).any()


def test_mpii_is_measured_in_head_sizes(drawn_mpii: DataConfig) -> None:
    (entry,) = json.loads(Path(drawn_mpii.annotations).read_text())
    joints = np.array([entry["joints"]])
    missing = np.array([entry["joints_vis"]]) == 0
    truth = MpiiGroundTruth(MPII.keypoint_names, joints, missing, np.array([[[0.0, 0.0], [30.0, 40.0]]]))
    records = mpii_records(Path(drawn_mpii.annotations), Path(drawn_mpii.images), with_joints=False)
    predicted = (joints - 1 + [[[18.0, 0.0]]]).astype(np.float32)  # 0.6 of the head size of 0.6 * 50
    predicted[:, 0] -= [[18.0, 0.0]]
    gallery = mpii_gallery(predictions_of(records, predicted, np.ones((1, 16), np.float32)), truth, MPII)
    (case,) = gallery.cases
    np.testing.assert_allclose(case.errors, [0, *[0.6] * 15], atol=1e-5)
    assert case.quality == pytest.approx(1 / (~missing).sum())
    assert draw_gallery(gallery, [case]).shape[1] == 2 * VIEW_WH[0]
