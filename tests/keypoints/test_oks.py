"""Similarity, suppression and rescoring against the reference vectors."""

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from litehrnet.keypoints.oks import decay_scores, oks_nms, oks_to_truth, pairwise_oks, rescore, soft_oks_nms
from litehrnet.keypoints.skeletons import COCO

SIGMAS = np.array(COCO.sigmas)


@pytest.fixture(scope="module")
def evaluation(shared: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((shared / "reference" / "evaluation.json").read_text())
    return loaded


def test_oks_is_the_published_one(evaluation: dict[str, Any]) -> None:
    case = evaluation["oks"]
    triples = np.array([case["gt_flat_xyv"], *case["dets_flat_xys"]]).reshape(-1, 17, 3)
    areas = np.array([case["gt_area"], *case["det_areas"]])
    similarity = pairwise_oks(triples[:, :, :2], areas, np.array(evaluation["sigmas"]))
    np.testing.assert_allclose(similarity[0, 1:], case["oks"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(similarity, similarity.T)
    np.testing.assert_array_equal(np.diag(similarity), 1)


def test_oks_over_the_visible_keypoints_is_the_published_one(evaluation: dict[str, Any]) -> None:
    case = evaluation["oks"]
    triples = np.array([case["gt_flat_xyv"], *case["dets_flat_xys"]]).reshape(-1, 17, 3)
    areas = np.array([case["gt_area"], *case["det_areas"]])
    counted = triples[:, :, 2] > 0.2
    similarity = pairwise_oks(triples[:, :, :2], areas, np.array(evaluation["sigmas"]), counted)
    np.testing.assert_allclose(similarity[0, 1:], case["oks_vis_thr_0p2"], rtol=0, atol=1e-6)


def test_oks_without_a_counted_keypoint_is_0() -> None:
    counted = np.zeros((2, 17), bool)
    similarity = pairwise_oks(np.zeros((2, 17, 2)), np.full(2, 100.0), SIGMAS, counted)
    np.testing.assert_array_equal(similarity, 0)


@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize("threshold", [0.9, 0.7, 0.5, 1.0])
def test_nms_keeps_the_published_persons_in_the_published_order(
    evaluation: dict[str, Any], index: int, threshold: float
) -> None:
    case = evaluation["nms_cases"][index]
    keypoints = np.array(case["kpts_xys"])[:, :, :2]
    persons = keypoints, np.array(case["scores"]), np.array(case["areas"]), SIGMAS
    kept = {
        f"oks_nms_thr{threshold}": oks_nms(*persons, threshold),
        f"soft_oks_nms_thr{threshold}_max20": soft_oks_nms(*persons, threshold),
        f"soft_oks_nms_thr{threshold}_max3": soft_oks_nms(*persons, threshold, max_keep=3),
    }
    expected = case["keep"]
    checked = [name for name in kept if name in expected]
    assert len(checked) >= 2
    for name in checked:
        assert kept[name].dtype == np.intp
        assert kept[name].tolist() == expected[name], name


def test_every_keep_list_of_the_reference_is_checked_above(evaluation: dict[str, Any]) -> None:
    names = {name for case in evaluation["nms_cases"] for name in case["keep"]}
    thresholds = (0.9, 0.7, 0.5, 1.0)
    checked = {f"{kind}oks_nms_thr{t}{end}" for t in thresholds for kind, end in
               (("", ""), ("soft_", "_max20"), ("soft_", "_max3"))}  # fmt: skip
    assert names <= checked
    assert any(name.endswith("max3") for name in names)


def person(*offsets: float) -> NDArray[np.float64]:
    pose = np.random.default_rng(1).random((17, 2)) * 100
    return np.stack([pose + offset for offset in offsets])


def test_equal_scores_keep_the_order_they_came_in() -> None:
    keypoints, scores, areas = person(*range(0, 9000, 300)), np.arange(30) % 2 / 2, np.full(30, 1e4)
    in_order = [*range(1, 30, 2), *range(0, 30, 2)]
    assert oks_nms(keypoints, scores, areas, SIGMAS, 0.9).tolist() == in_order
    assert soft_oks_nms(keypoints, scores, areas, SIGMAS, 0.9).tolist() == in_order[:20]


def test_persons_without_area_are_similar_only_to_themselves() -> None:
    np.testing.assert_array_equal(pairwise_oks(person(0, 0, 1), np.zeros(3), SIGMAS), [[1, 1, 0], [1, 1, 0], [0, 0, 1]])


def test_a_person_as_similar_as_the_threshold_is_kept() -> None:
    keypoints, scores, areas = person(0, 0), np.array([0.4, 0.6]), np.full(2, 1e4)
    assert oks_nms(keypoints, scores, areas, SIGMAS, 1.0).tolist() == [1, 0]
    assert oks_nms(keypoints, scores, areas, SIGMAS, 0.999).tolist() == [1]


def test_soft_nms_moves_the_similar_back_and_keeps_them() -> None:
    keypoints, scores, areas = person(0, 1, 500), np.array([0.9, 0.8, 0.5]), np.full(3, 1e4)
    assert soft_oks_nms(keypoints, scores, areas, SIGMAS, 0.5).tolist() == [0, 2, 1]
    assert soft_oks_nms(keypoints, scores, areas, SIGMAS, 0.5, max_keep=2).tolist() == [0, 2]


@given(
    seed=st.integers(0, 2**32 - 1),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 0.9, 0.99, 1.0]),
    count=st.integers(1, 40),
)
def test_nms_of_many_images_keeps_what_a_loop_over_pairs_keeps(
    project: Path, seed: int, threshold: float, count: int
) -> None:
    plain_oks_nms = runpy.run_path(str(project / "benchmarks" / "plain_oks_nms.py"))["plain_oks_nms"]
    rng = np.random.default_rng(seed)
    poses = rng.uniform(0, 100, (3, 17, 2))[rng.integers(0, 3, count)]
    keypoints = poses + rng.normal(0, 1, (count, 17, 2)) * rng.choice([0, 1, 3, 20], (count, 1, 1))
    scores, areas = rng.choice([0.25, 0.5, 0.75], count), rng.choice([0, 1e2, 1e3, 1e4], count)
    images = rng.integers(-2, 3, count)
    expected: list[int] = []
    for image in np.unique(images):
        own = np.flatnonzero(images == image)
        expected += own[plain_oks_nms(keypoints[own], scores[own], areas[own], SIGMAS, threshold)].tolist()
    assert oks_nms(keypoints, scores, areas, SIGMAS, threshold, images).tolist() == expected


def test_persons_who_are_nowhere_are_dropped_after_the_best() -> None:
    keypoints, scores = person(0, 0, 500), np.array([0.5, 0.9, 0.1])
    keypoints[0] = np.nan
    assert oks_nms(keypoints, scores, np.full(3, 1e4), SIGMAS, 0.9).tolist() == [1, 2]


def test_similarity_to_the_truth_takes_the_annotated_area_and_keypoints() -> None:
    truth = person(0, 500)
    annotated = np.zeros((2, 17), bool)
    annotated[0, :2] = True
    predicted = truth[:1].copy()
    area = 400.0
    predicted[0, 1, 0] += 2 * SIGMAS[1] * area**0.5  # one standard deviation
    predicted[0, 2:] = 1e6
    similarity = oks_to_truth(predicted, truth, np.array([area, 1e9]), SIGMAS, annotated)
    np.testing.assert_allclose(similarity, [[(1 + np.exp(-0.5)) / 2, 0]], rtol=1e-12)


def test_nobody_is_kept_of_nobody() -> None:
    nobody = np.zeros((0, 17, 2)), np.zeros(0), np.zeros(0), SIGMAS
    assert oks_nms(*nobody, 0.9).tolist() == soft_oks_nms(*nobody, 0.9).tolist() == []
    assert pairwise_oks(nobody[0], nobody[2], SIGMAS).shape == (0, 0)


def test_scores_decay_as_published(evaluation: dict[str, Any]) -> None:
    case = evaluation["soft_rescore"]
    for kind in ("gaussian", "linear"):
        decayed = decay_scores(np.array(case["scores"]), np.array(case["overlap"]), case["thr"], kind)
        np.testing.assert_allclose(decayed, case[kind], rtol=0, atol=1e-6)


def test_person_scores_are_box_scores_times_the_mean_of_the_scores_above_the_threshold() -> None:
    keypoint_scores = np.array([[0.2, 0.4, 0.8], [0.1, 0.2, -3.0]])
    np.testing.assert_allclose(rescore(np.array([0.5, 0.9]), keypoint_scores), [0.3, 0], rtol=1e-12)
    np.testing.assert_allclose(rescore(np.array([0.5, 0.9]), keypoint_scores, 0.1), [0.7 / 3, 0.18], rtol=1e-12)


@pytest.mark.parametrize("name", ["hard_oks_nms_thr0.9", "hard_oks_nms_thr0.7", "soft_oks_nms_thr0.9"])
def test_rescoring_and_nms_leave_the_persons_of_the_reference_evaluation(evaluation: dict[str, Any], name: str) -> None:
    case = evaluation["coco12"]
    kept_image_ids: list[int] = []
    kept_scores: list[float] = []
    for image_id in dict.fromkeys(person["image_id"] for person in case["model_outputs"]):
        persons = [person for person in case["model_outputs"] if person["image_id"] == image_id]
        triples = np.array([person["preds_xys"] for person in persons])
        areas = np.array([person["area"] for person in persons])
        scores = rescore(np.array([person["box_score"] for person in persons]), triples[:, :, 2], case["vis_thr"])
        suppress = soft_oks_nms if name.startswith("soft") else oks_nms
        kept = suppress(triples[:, :, :2], scores, areas, SIGMAS, float(name[-3:]))
        kept_image_ids += [image_id] * len(kept)
        kept_scores += scores[kept].tolist()
    assert kept_image_ids == case["results"][name]["kept_image_ids"]
    np.testing.assert_allclose(kept_scores, case["results"][name]["kept_scores"], rtol=0, atol=1e-6)
