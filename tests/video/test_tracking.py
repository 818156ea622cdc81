"""The tracker and the smoother on single persons, by hand; whole scenes are in test_tracking_scenes.py."""

import numpy as np
import pytest
from numpy.typing import NDArray

from litehrnet import UserError
from litehrnet.keypoints.skeletons import COCO
from litehrnet.poses import Poses
from litehrnet.video.tracking import KeypointSmoother, Tracker

POINTS = np.random.default_rng(0).uniform(10, 90, (17, 2)) * (1, 2)
NOBODY = Poses(
    np.zeros((0, 17, 2), np.float32),
    np.zeros((0, 17), np.float32),
    np.zeros((0, 4), np.float32),
    np.zeros(0, np.float32),
    COCO,
)


def _at(*places: tuple[float, float], points: NDArray[np.float64] = POINTS) -> Poses:
    """One person of 100x200 pixels at each place."""
    count = len(places)
    keypoints = np.stack([points + place for place in places]).astype(np.float32)
    boxes = np.array([(*place, 100, 200) for place in places], np.float32)
    return Poses(keypoints, np.ones((count, 17), np.float32), boxes, np.ones(count, np.float32), COCO)


def _identities(tracker: Tracker, frames: list[Poses], start: int = 0) -> list[list[int]]:
    return [tracker.update(poses, (start + i) / 25).tolist() for i, poses in enumerate(frames)]


def test_a_person_has_an_identity_from_the_third_frame_on() -> None:
    frames = [_at((0, 0)), _at((0, 0), (500, 0)), _at((500, 0), (0, 0)), _at((500, 0), (0, 0))]
    assert _identities(Tracker(), frames) == [[0], [0, 0], [0, 1], [2, 1]]


def test_frames_without_persons_are_fine_and_a_short_gap_is_bridged() -> None:
    tracker = Tracker()
    walking = [_at((4.0 * i, 0)) for i in range(40)]
    assert _identities(tracker, walking[:10])[-1] == [1]
    assert _identities(tracker, [NOBODY] * 15, 10) == [[]] * 15
    assert _identities(tracker, walking[25:], 25) == [[1]] * 15


def test_who_was_gone_for_long_is_somebody_new() -> None:
    tracker = Tracker(max_gap=1)
    assert _identities(tracker, [_at((0, 0))] * 5)[-1] == [1]
    assert _identities(tracker, [_at((0, 0))] * 5, 35)[-1] == [2]


def test_who_turns_round_unseen_is_found_at_the_last_place() -> None:
    tracker = Tracker()
    assert _identities(tracker, [_at((8.0 * i, 0)) for i in range(10)])[-1] == [1]
    assert _identities(tracker, [_at((72, 0))], 25) == [[1]]


def test_a_false_box_that_does_not_last_gets_no_identity() -> None:
    frames = [_at((0, 0))] * 4 + [_at((0, 0), (700, 100)), _at((300, 300), (0, 0)), _at((0, 0))]
    assert _identities(Tracker(), frames)[-3:] == [[1, 0], [0, 1], [1]]


def test_persons_who_pass_each_other_keep_their_identities() -> None:
    frames = [_at((6.0 * i, 0), (240 - 6.0 * i, 10)) for i in range(41)]
    assert _identities(Tracker(), frames)[2:] == [[1, 2]] * 39


def test_pose_decides_where_boxes_are_alike() -> None:
    mirrored = POINTS * (-1, 1) + (100, 0)
    first = _at((0, 0))
    both = Poses(
        np.concatenate([first.keypoints, _at((0, 0), points=mirrored).keypoints]),
        np.ones((2, 17), np.float32),
        np.array([(0, 0, 100, 200), (2, 0, 100, 200)], np.float32),
        np.ones(2, np.float32),
        COCO,
    )
    tracker = Tracker()
    assert _identities(tracker, [both] * 3)[-1] == [1, 2]
    assert tracker.update(both[::-1], 3 / 25).tolist() == [2, 1]


def test_keypoints_that_were_not_seen_leave_it_to_the_boxes() -> None:
    tracker, sure = Tracker(), [_at((i, 0)) for i in range(10)]
    unsure = [Poses(p.keypoints, p.scores * 0, p.boxes, p.box_scores, COCO) for p in sure]
    assert _identities(tracker, sure[:5])[-1] == [1]
    assert _identities(tracker, unsure[5:], 5) == [[1]] * 5


def test_poses_of_background_continue_no_track() -> None:
    """An unsure box with hardly a keypoint, where somebody was who has left."""
    tracker, left = Tracker(), _at((0, 0))
    assert _identities(tracker, [left] * 5)[-1] == [1]
    background = Poses(left.keypoints, left.scores * 0.2, left.boxes, left.box_scores * 0.3, COCO)
    unsure = Poses(left.keypoints, left.scores * 0.3, left.boxes, left.box_scores * 0.3, COCO)
    assert tracker.update(background, 5 / 25).tolist() == [0]
    assert tracker.update(unsure, 6 / 25).tolist() == [1]


def test_unsure_poses_start_no_track() -> None:
    unsure = [Poses(p.keypoints, p.scores * 0.1, p.boxes, p.box_scores, COCO) for p in [_at((0, 0))] * 20]
    assert _identities(Tracker(), unsure) == [[0]] * 20


def test_a_person_found_twice_has_one_identity() -> None:
    twice = _at((0, 0), (5, 0))
    twice.box_scores[1] = 0.5
    assert _identities(Tracker(), [twice] * 20)[-1] == [1, 0]


def _picture(*people: tuple[tuple[int, int], tuple[int, int, int]]) -> NDArray[np.uint8]:
    """A gray picture with people of one color each, 100x200 pixels, at their places."""
    picture = np.full((300, 800, 3), 128, np.uint8)
    for (x, y), color in people:
        picture[y : y + 200, x : x + 100] = color
    return picture


RED, BLUE = (200, 40, 40), (40, 40, 200)


def test_who_comes_back_in_the_same_colors_is_recognized() -> None:
    tracker = Tracker()
    for place, color, start, expected in [
        ((0, 0), RED, 0, 1),
        ((600, 50), BLUE, 100, 2),
        ((300, 0), RED, 200, 1),
        ((0, 90), BLUE, 300, 2),
    ]:
        picture = _picture((place, color))
        found = [tracker.update(_at(place), (start + i) / 25, picture).tolist() for i in range(30)]
        assert found[-1] == [expected], (place, start)


def test_people_who_changed_places_unseen_are_told_apart_by_colors() -> None:
    tracker = Tracker()
    for i in range(10):
        tracker.update(_at((0, 0), (300, 0)), i / 25, _picture(((0, 0), RED), ((300, 0), BLUE)))
    swapped = _picture(((0, 0), BLUE), ((300, 0), RED))
    found = [tracker.update(_at((0, 0), (300, 0)), i / 25, swapped).tolist() for i in range(10, 40)]
    assert found[-1] == [2, 1]


def test_tracking_without_scipy_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litehrnet.optional.is_installed", lambda package: package != "scipy")
    with pytest.raises(UserError, match=r"tracking needs scipy, .*litehrnet\[video\]"):
        Tracker()


def test_smoothing_is_the_published_filter_and_leaves_raw_keypoints_alone() -> None:
    """A box of 100x100 at rest for a frame, then 10 pixels to the right a quarter of a second later."""
    poses = [_at((0, 0)), _at((10, 0))]
    for each in poses:
        each.boxes[:, 2:] = 100
    raw = poses[1].keypoints.copy()
    smoother, one = KeypointSmoother(min_cutoff=1, beta=2), np.array([1])
    np.testing.assert_array_equal(smoother.smooth(poses[0], one, 0).keypoints, poses[0].keypoints)
    smoothed = smoother.smooth(poses[1], one, 0.25)
    # Speed 0.1 sides in 0.25 s = 0.4 a second; the weight at 1 Hz is 1 / (1 + 1 / (2 pi 0.25)) = 0.611015, so 0.244406
    # is kept of it. Cutoff 1 + 2 * 0.244406 = 1.488812 Hz: weight 1 / (1 + 1 / (2 pi 1.488812 0.25)) = 0.700474.
    np.testing.assert_allclose(smoothed.keypoints - poses[0].keypoints, [[(7.00474, 0)] * 17], atol=1e-3)
    np.testing.assert_array_equal(poses[1].keypoints, raw)
    np.testing.assert_array_equal(smoothed.scores, poses[1].scores)


def test_smoothing_calms_a_person_at_rest_and_follows_one_who_runs() -> None:
    rng = np.random.default_rng(0)
    smoother, one = KeypointSmoother(), np.array([1])
    noise = [_at((0, 0), points=POINTS + rng.standard_normal((17, 2))) for _ in range(100)]
    steady = np.stack([smoother.smooth(poses, one, i / 25).keypoints for i, poses in enumerate(noise)])
    assert np.diff(steady[50:], axis=0).std() < np.diff([p.keypoints for p in noise[50:]], axis=0).std() / 3
    running = KeypointSmoother()
    frames = [_at((10.0 * i, 0)) for i in range(50)]  # 250 pixels a second
    last = [running.smooth(poses, one, i / 25) for i, poses in enumerate(frames)][-1]
    assert np.abs(last.keypoints - frames[-1].keypoints).max() < 15


def test_smoothing_starts_anew_after_a_gap_and_skips_who_has_no_identity() -> None:
    smoother = KeypointSmoother(max_gap=1)
    smoother.smooth(_at((0, 0)), np.array([1]), 0)
    later = _at((300, 0))
    np.testing.assert_array_equal(smoother.smooth(later, np.array([1]), 2).keypoints, later.keypoints)
    unknown = _at((900, 0))
    np.testing.assert_array_equal(smoother.smooth(unknown, np.array([0]), 2.1).keypoints, unknown.keypoints)
    assert len(smoother.smooth(NOBODY, np.zeros(0, np.intp), 2.2)) == 0
