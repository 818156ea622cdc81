import json
from pathlib import Path

import numpy as np
import pytest
from tests.random_poses import PAIR, random_poses

from litehrnet import UserError, draw_poses, read_image, write_image
from litehrnet.arrays import Image
from litehrnet.io.images import decode_image
from litehrnet.keypoints.skeletons import COCO
from litehrnet.poses import Poses


def test_flip_order_swaps_left_and_right_and_keeps_the_rest() -> None:
    order = COCO.flip_order
    assert [COCO.keypoint_names[i] for i in order[:3]] == ["nose", "right_eye", "left_eye"]
    assert (order[order] == np.arange(17)).all()


@pytest.mark.parametrize("index", [1, slice(1, 3), np.array([2, 0]), np.array([True, False, True])])
def test_indexing_gives_poses_of_those_persons(index: int | slice | np.ndarray) -> None:
    poses = random_poses(3)
    some = poses[index]
    np.testing.assert_array_equal(some.keypoints, np.atleast_3d(poses.keypoints[index]).reshape(-1, 2, 2))
    assert len(some) == len(some.scores) == len(some.boxes) == len(some.box_scores)


def test_indexing_beyond_the_last_person_raises() -> None:
    with pytest.raises(IndexError):
        random_poses(2)[5]


def test_no_persons_is_fine() -> None:
    poses = random_poses(0)
    assert len(poses) == 0
    assert poses.pose_scores.shape == (0,)
    assert poses.to_dict()["persons"] == []
    assert poses.to_coco(7) == []


def test_to_dict_names_the_keypoints_and_is_json() -> None:
    poses = random_poses(1)
    person = json.loads(json.dumps(poses.to_dict()))["persons"][0]
    assert person["keypoints"]["right_eye"]["x"] == pytest.approx(float(poses.keypoints[0, 1, 0]))
    assert person["score"] == pytest.approx(float(poses.box_scores[0] * poses.scores[0].mean()))


def test_to_coco_gives_triples_of_x_y_score() -> None:
    poses = random_poses(2)
    entry = json.loads(json.dumps(poses.to_coco(42)))[1]
    assert (entry["image_id"], entry["category_id"]) == (42, 1)
    x, y = poses.keypoints[1, 1]
    assert entry["keypoints"][3:] == pytest.approx([float(x), float(y), float(poses.scores[1, 1])])


def test_shapes_that_do_not_fit_together_are_refused() -> None:
    poses = random_poses(2)
    with pytest.raises(ValueError, match=r"scores has shape \(2, 3\)"):
        Poses(poses.keypoints, np.zeros((2, 3), np.float32), poses.boxes, poses.box_scores, PAIR)


def _people(image: str | Image | None = None) -> Poses:
    """Two people with 17 keypoints, and scores of 0.9 and 0.05."""
    xy = np.random.default_rng(0).uniform(10, 90, (2, 17, 2)).astype(np.float32)
    scores = np.repeat(np.array([[0.9], [0.05]], np.float32), 17, axis=1)
    boxes = np.array([[1, 2, 30.4, 40.6], [5, 6, 7, 8]], np.float32)
    return Poses(xy, scores, boxes, np.ones(2, np.float32), COCO, image)


def test_a_terminal_shows_one_line_per_person() -> None:
    assert repr(_people()).splitlines() == [
        "2 people, 17 keypoints (coco)",
        "0: box 1 2 30 41, score 0.90, 17 likely keypoints",
        "1: box 5 6 7 8, score 0.05, 0 likely keypoints",
    ]
    assert repr(_people()[:0]) == "0 people, 17 keypoints (coco)"


def test_a_notebook_shows_the_drawn_photo(tmp_path: Path) -> None:
    photo = np.full((100, 120, 3), 90, np.uint8)
    write_image(tmp_path / "photo.png", photo)
    drawn = draw_poses(photo, _people())
    for image in (photo, str(tmp_path / "photo.png")):
        shown = _people(image)._repr_png_()
        assert shown is not None
        np.testing.assert_array_equal(decode_image(shown, "shown"), drawn)
    assert _people()._repr_png_() is None
    assert _people(str(tmp_path / "gone.png"))._repr_png_() is None


def test_people_are_drawn_into_their_photo_or_a_given_one() -> None:
    photo = np.full((100, 120, 3), 90, np.uint8)
    np.testing.assert_array_equal(_people().draw(photo), draw_poses(photo, _people()))
    np.testing.assert_array_equal(_people(photo)[0].draw(), draw_poses(photo, _people()[0]))
    with pytest.raises(UserError, match="do not know their photo"):
        _people().draw()


def test_saving_writes_a_picture_or_a_table_but_replaces_no_file(tmp_path: Path) -> None:
    photo = np.full((100, 120, 3), 90, np.uint8)
    _people(photo).save(tmp_path / "drawn.png")
    np.testing.assert_array_equal(read_image(tmp_path / "drawn.png"), draw_poses(photo, _people()))
    _people("a.jpg").save(tmp_path / "table.csv")
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines] == [["image", "person"], ["a.jpg", "0"], ["a.jpg", "1"]]
    with pytest.raises(UserError, match=r"table.csv: exists already"):
        _people().save(tmp_path / "table.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "absent.csv")
    with pytest.raises(UserError, match=r"link.csv: exists already"):
        _people().save(tmp_path / "link.csv")
    with pytest.raises(UserError, match=r"x.txt: unknown suffix \(expected .jpg"):
        _people().save(tmp_path / "x.txt")


def test_rows_and_data_frames_have_a_row_per_person() -> None:
    rows = _people("a.jpg").to_rows(frame=7)
    assert [(row["image"], row["frame"], row["person"]) for row in rows] == [("a.jpg", 7, 0), ("a.jpg", 7, 1)]
    assert rows[1]["nose_x"] == _people().keypoints[1, 0, 0]
    assert _people().to_dataframe().to_dict("records") == _people().to_rows()
    assert [row["person"] for row in _people()[:0].to_rows()] == [None]


def test_supervision_gets_the_keypoints_with_likelihoods() -> None:
    import supervision

    poses = _people()
    points = poses.to_supervision()
    np.testing.assert_array_equal(points.xy, poses.keypoints)
    np.testing.assert_allclose(points.keypoint_confidence, poses.likelihoods, rtol=1e-6)
    photo = np.full((100, 120, 3), 90, np.uint8)
    drawn = supervision.EdgeAnnotator(edges=[(a + 1, b + 1) for a, b in COCO.limbs]).annotate(photo.copy(), points)
    assert (drawn != photo).any()
    assert len(poses[:0].to_supervision()) == 0


def test_openpose_gets_triples_of_x_y_likelihood() -> None:
    content = json.loads(json.dumps(_people().to_openpose()))
    assert len(content["people"]) == 2
    first = content["people"][0]["pose_keypoints_2d"]
    assert first[:2] == pytest.approx(_people().keypoints[0, 0].tolist())
    assert first[2::3] == pytest.approx(_people().likelihoods[0].tolist())
    assert content["people"][0]["hand_right_keypoints_3d"] == []
