"""Augmentation and the whole training pipeline against the published one (geometry.npz, evaluation.json)."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from litehrnet.data.augmentation import (
    Person,
    crop_to_half_body,
    draw_variation,
    draw_zoom_and_rotation,
    flip,
    jitter,
    vary,
)
from litehrnet.data.coco import read_annotations
from litehrnet.data.coco_records import ground_truth_records
from litehrnet.data.photos import PhotoCache
from litehrnet.data.records import Record
from litehrnet.data.samples import cut, draw_crops, photo_matrices
from litehrnet.data.settings import AugmentationConfig
from litehrnet.data.trainingset import TrainingSet
from litehrnet.io.images import write_image
from litehrnet.keypoints.codec import HeatmapCodec, encode
from litehrnet.keypoints.crop import normalize
from litehrnet.keypoints.skeletons import COCO, MPII, lower_body
from litehrnet.poses import KeypointSet

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def geometry(shared: Path) -> Arrays:
    with np.load(shared / "reference" / "geometry.npz") as arrays:
        return dict(arrays)


def _person(joints: np.ndarray, visible: np.ndarray) -> Person:
    center, scale = np.array([30, 40], np.float32), np.array([0.6, 0.8], np.float32)
    return Person(center, scale, joints[:, :2].astype(np.float32), visible[:, 0].astype(np.float32))


@pytest.mark.parametrize("keypoint_set", [COCO, MPII], ids=lambda each: each.name)
def test_flip_is_the_published_one(geometry: Arrays, keypoint_set: KeypointSet) -> None:
    given = (geometry[f"flip_{keypoint_set.name}_{what}_in"] for what in ("joints", "vis"))
    width = int(geometry["flip_img_width"])
    flipped = flip(_person(*given), width, keypoint_set.flip_order)
    np.testing.assert_array_equal(flipped.joints_xy, geometry[f"flip_{keypoint_set.name}_joints_out"][:, :2])
    np.testing.assert_array_equal(flipped.visible, geometry[f"flip_{keypoint_set.name}_vis_out"][:, 0])
    np.testing.assert_array_equal(flipped.center, [width - 1 - 30, 40])


@pytest.mark.parametrize(("half", "key"), [("upper", "below"), ("lower", "above")])
def test_half_body_is_the_published_one(geometry: Arrays, half: Literal["upper", "lower"], key: str) -> None:
    cases = zip(geometry["half_joints"], geometry["half_vis"], geometry[f"half_cs_draw_{key}_half"], strict=True)
    unchanged = 0
    for joints, visible, expected in cases:
        person = _person(joints, visible)
        cropped = crop_to_half_body(person, half, lower_body(COCO), (192, 256))
        if np.isnan(expected).any():
            unchanged += 1
            assert cropped is person
        else:
            np.testing.assert_allclose([*cropped.center, *cropped.scale], expected, rtol=0, atol=1e-3)
    assert unchanged < len(geometry["half_joints"])


def test_zoom_and_rotation_are_the_published_draws(geometry: Arrays) -> None:
    for seed, expected in enumerate(geometry["scalerot_seed0_39"]):
        drawn = draw_zoom_and_rotation(np.random.RandomState(seed), AugmentationConfig())
        np.testing.assert_allclose(drawn, expected, rtol=0, atol=1e-9)


@pytest.fixture
def pipeline(geometry: Arrays, tmp_path: Path) -> TrainingSet:
    """The reference's one person, in a photo without loss."""
    path = tmp_path / "photo.png"
    write_image(path, geometry["warp_src_rgb"])
    record = Record(
        image_file=path,
        image_id=1,
        box_id=0,
        center=geometry["pipe_center"],
        scale=geometry["pipe_scale"],
        box_score=1.0,
        joints_xy=geometry["pipe_joints"][:, :2],
        visible=geometry["pipe_vis"][:, 0],
    )
    return TrainingSet((record,), COCO, (48, 64), HeatmapCodec(sigma=2.0), AugmentationConfig(), seed=0)


def test_the_whole_pipeline_is_the_published_one(geometry: Arrays, pipeline: TrainingSet) -> None:
    cache = PhotoCache()
    flips = 0
    for case, seed in enumerate(geometry["pipe_seeds"]):
        crops = draw_crops(pipeline, [0], [np.random.RandomState(seed)], cache)
        expected = {name: geometry[f"pipe_out_{name}"][case] for name in ("joints", "target", "target_weight")}
        np.testing.assert_allclose(crops.joints_xy[0], expected["joints"][:, :2], rtol=0, atol=1e-4)
        targets, weights = encode(crops.joints_xy, crops.visible, (48, 64), (12, 16), pipeline.codec)
        np.testing.assert_allclose(targets[0], expected["target"], rtol=0, atol=1e-5)
        np.testing.assert_array_equal(weights[0], expected["target_weight"][:, 0])
        image = cut(crops.photos[0], photo_matrices(crops)[0], (48, 64), cache, exact=True)
        tensor = normalize(image[None])[0, :, ::4, ::4]
        np.testing.assert_allclose(tensor, geometry["pipe_out_img_stride4"][case], rtol=0, atol=0.1)
        flips += int(crops.flipped[0])
    assert 0 < flips < len(geometry["pipe_seeds"])


def test_center_scale_and_rotation_are_the_published_ones(geometry: Arrays, pipeline: TrainingSet) -> None:
    record, width = pipeline.records[0], geometry["warp_src_rgb"].shape[1]
    person = Person(record.center, record.scale, record.joints_xy, record.visible)
    half_bodies = 0
    for case, seed in enumerate(geometry["pipe_seeds"]):
        visible = int(record.visible.sum())
        variation = draw_variation(np.random.RandomState(seed), visible, pipeline.augmentation, halves=True)
        varied = vary(person, variation, width, COCO.flip_order, lower_body(COCO), (48, 64))
        ours = {"center": varied.center, "scale": varied.scale, "rotation": np.array(variation.rotation_deg)}
        for name, value in ours.items():
            np.testing.assert_allclose(value, geometry[f"pipe_out_{name}"][case], rtol=0, atol=1e-5)
        half_bodies += variation.half_body is not None
    assert 0 < half_bodies < len(geometry["pipe_seeds"])


def test_centers_are_jittered_as_published(shared: Path, tmp_path: Path) -> None:
    coco = json.loads((shared / "reference" / "evaluation.json").read_text())["coco_records"]
    path = tmp_path / "gt.json"
    path.write_text(json.dumps(coco["gt_json"]))
    records = ground_truth_records(read_annotations(path), Path("pre"), 17, tuple(coco["image_size_wh"]))
    rng = np.random.RandomState(3)
    centers = [jitter(record.center, record.box_wh, rng, 0.3) for record in records if record.box_wh is not None]
    expected = coco["gt_centers_train_mode_numpy_seed3"]
    np.testing.assert_allclose(centers, expected, rtol=0, atol=1e-5)
    moved = [not np.array_equal(a, record.center) for a, record in zip(centers, records, strict=True)]
    assert any(moved)
    assert not all(moved)
