import json

import numpy as np
import pytest

from litehrnet.keypoints.skeletons import COCO
from litehrnet.poses import KeypointSet, Poses

PAIR = KeypointSet("pair", ("left_eye", "right_eye"), ((0, 1),), ((0, 1),), (0.025, 0.025))


def _poses(persons: int) -> Poses:
    rng = np.random.default_rng(persons)
    return Poses(
        keypoints=rng.normal(size=(persons, 2, 2)).astype(np.float32),
        scores=rng.random((persons, 2), np.float32),
        boxes=rng.random((persons, 4), np.float32),
        box_scores=rng.random(persons, np.float32),
        keypoint_set=PAIR,
    )


def test_flip_order_swaps_left_and_right_and_keeps_the_rest() -> None:
    order = COCO.flip_order
    assert [COCO.keypoint_names[i] for i in order[:3]] == ["nose", "right_eye", "left_eye"]
    assert (order[order] == np.arange(17)).all()


@pytest.mark.parametrize("index", [1, slice(1, 3), np.array([2, 0]), np.array([True, False, True])])
def test_indexing_gives_poses_of_those_persons(index: int | slice | np.ndarray) -> None:
    poses = _poses(3)
    some = poses[index]
    np.testing.assert_array_equal(some.keypoints, np.atleast_3d(poses.keypoints[index]).reshape(-1, 2, 2))
    assert len(some) == len(some.scores) == len(some.boxes) == len(some.box_scores)


def test_indexing_beyond_the_last_person_raises() -> None:
    with pytest.raises(IndexError):
        _poses(2)[5]


def test_no_persons_is_fine() -> None:
    poses = _poses(0)
    assert len(poses) == 0
    assert poses.pose_scores.shape == (0,)
    assert poses.to_dict()["persons"] == []
    assert poses.to_coco(7) == []


def test_to_dict_names_the_keypoints_and_is_json() -> None:
    poses = _poses(1)
    person = json.loads(json.dumps(poses.to_dict()))["persons"][0]
    assert person["keypoints"]["right_eye"]["x"] == pytest.approx(float(poses.keypoints[0, 1, 0]))
    assert person["score"] == pytest.approx(float(poses.box_scores[0] * poses.scores[0].mean()))


def test_to_coco_gives_triples_of_x_y_score() -> None:
    poses = _poses(2)
    entry = json.loads(json.dumps(poses.to_coco(42)))[1]
    assert (entry["image_id"], entry["category_id"]) == (42, 1)
    x, y = poses.keypoints[1, 1]
    assert entry["keypoints"][3:] == pytest.approx([float(x), float(y), float(poses.scores[1, 1])])


def test_shapes_that_do_not_fit_together_are_refused() -> None:
    poses = _poses(2)
    with pytest.raises(ValueError, match=r"scores has shape \(2, 3\)"):
        Poses(poses.keypoints, np.zeros((2, 3), np.float32), poses.boxes, poses.box_scores, PAIR)
