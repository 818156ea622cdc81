import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litehrnet.data.records import mapped
from litehrnet.data.settings import AugmentationConfig, DataConfig
from litehrnet.data.trainingset import TrainingSet, read_training_set
from litehrnet.errors import UserError
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.skeletons import COCO, LSP, MPII, unnamed
from litehrnet.poses import KeypointSet

Save = Callable[[dict[str, Any]], DataConfig]


def _read(*data: DataConfig, keypoint_set: KeypointSet = COCO, **settings: Any) -> TrainingSet:
    seed = settings.pop("seed", 0)
    return read_training_set(data, keypoint_set, (64, 96), HeatmapCodec(), AugmentationConfig(**settings), seed)


def test_sets_follow_each_other(drawn_coco: DataConfig, drawn_mpii: DataConfig) -> None:
    training_set = _read(drawn_coco, drawn_mpii)
    assert len(training_set) == 4
    assert [record.image_file.name for record in training_set.records] == ["1.jpg", "2.jpg", "3.jpg", "m.jpg"]


def test_joints_are_matched_by_name_and_missing_ones_are_invisible(
    drawn_coco: DataConfig, drawn_mpii: DataConfig
) -> None:
    coco, mpii = _read(drawn_coco, drawn_mpii).records[2:]
    common = np.array([name in MPII.keypoint_names for name in COCO.keypoint_names])
    np.testing.assert_array_equal(mpii.visible, common)
    np.testing.assert_allclose(mpii.joints_xy[common], coco.joints_xy[common], atol=1e-4)
    np.testing.assert_array_equal(mpii.joints_xy[~common], 0)


def test_a_run_on_other_keypoints_takes_what_it_knows(drawn_coco: DataConfig) -> None:
    (record, *_) = _read(drawn_coco, keypoint_set=LSP).records
    visible = [name for name, seen in zip(LSP.keypoint_names, record.visible, strict=True) if seen]
    assert visible == list(LSP.keypoint_names[:12])


def test_mpii_crops_are_grown_to_the_shape_of_the_input(drawn_mpii: DataConfig) -> None:
    (record,) = _read(drawn_mpii).records
    np.testing.assert_allclose(record.scale[1] / record.scale[0], 96 / 64)


def test_persons_of_whom_nothing_is_left_after_matching_are_dropped(
    coco_content: dict[str, Any], save_coco: Save
) -> None:
    face_only = [0.0] * 51
    face_only[:3] = [20.0, 20.0, 2.0]
    coco_content["annotations"][1] |= {"keypoints": face_only, "num_keypoints": 1}
    config = save_coco(coco_content)
    assert len(_read(config)) == 3
    assert len(_read(config, keypoint_set=LSP)) == 2


def test_the_file_names_its_keypoints_unless_the_recipe_does(coco_content: dict[str, Any], save_coco: Save) -> None:
    names = coco_content["categories"][0]["keypoints"]
    names[0], names[16] = names[16], names[0]
    config = save_coco(coco_content)
    nose, ankle = _read(config).records[0].joints_xy[[0, 16]]
    as_coco = _read(replace(config, keypoints="coco")).records[0].joints_xy
    np.testing.assert_array_equal(as_coco[[16, 0]], [nose, ankle])


def test_a_file_without_names_has_the_runs_keypoints(coco_content: dict[str, Any], save_coco: Save) -> None:
    del coco_content["categories"]
    config = save_coco(coco_content)
    assert len(_read(config)) == 3
    with pytest.raises(UserError, match=r"annotations\.json: annotation 1 has 17 keypoints \(expected 14\)"):
        _read(config, keypoint_set=LSP)


def test_no_common_name_is_refused(drawn_coco: DataConfig) -> None:
    with pytest.raises(UserError, match=r"annotations\.json: none of its keypoints \(nose, .*\) is one of 0, 1"):
        _read(drawn_coco, keypoint_set=unnamed(17))


def test_equal_names_leave_records_as_they_are(drawn_coco: DataConfig) -> None:
    records = list(_read(drawn_coco).records)
    assert mapped(records, COCO.keypoint_names, COCO, "") is records


def test_centers_are_jittered_once_and_by_the_seed(drawn_coco: DataConfig) -> None:
    def centers(**settings: Any) -> np.ndarray:
        return np.array([record.center for record in _read(drawn_coco, **settings).records])

    still = centers(center_jitter_probability=0.0)
    moved = centers(center_jitter_probability=1.0)
    assert moved.dtype == np.float32
    assert (moved != still).any(axis=1).all()
    np.testing.assert_array_equal(moved, centers(center_jitter_probability=1.0))
    assert (moved != centers(center_jitter_probability=1.0, seed=1)).any()


def test_mpii_centers_are_not_jittered(drawn_mpii: DataConfig) -> None:
    still, moved = (_read(drawn_mpii, center_jitter_probability=p).records[0] for p in (0.0, 1.0))
    np.testing.assert_array_equal(still.center, moved.center)


def test_all_missing_and_broken_photos_are_named_in_one_error(drawn_coco: DataConfig, drawn_mpii: DataConfig) -> None:
    Path(drawn_coco.images, "2.jpg").unlink()
    Path(drawn_mpii.images, "m.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"2\.jpg: no such file; .*m\.jpg: is empty .* \(2 of the 4 photos of "):
        _read(drawn_coco, drawn_mpii)


def test_no_persons_are_refused(coco_content: dict[str, Any], save_coco: Save) -> None:
    coco_content["annotations"] = []
    with pytest.raises(UserError, match=r"annotations\.json: nobody to train on"):
        _read(save_coco(coco_content))
    with pytest.raises(UserError, match="the recipe's train: nobody to train on"):
        _read()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 0}, "person 0 has no usable center and scale"),
        ({"center": [5]}, "person 0 has no usable center and scale"),
        ({"joints": [[1, 2]]}, r"person 0 has joints \(1, 2\)"),
        ({"joints": [[1, 2]], "joints_vis": [1]}, r"person 0 has 1 joints \(expected 16\)"),
        ({"joints_vis": "all"}, "person 0 is incomplete"),
    ],
)
def test_wrong_mpii_entries_are_named(drawn_mpii: DataConfig, change: dict[str, Any], message: str) -> None:
    path = Path(drawn_mpii.annotations)
    path.write_text(json.dumps([json.loads(path.read_text())[0] | change]))
    with pytest.raises(UserError, match=message):
        _read(drawn_mpii)
