"""Our way to AP against pycocotools run directly on results made one person at a time."""

import contextlib
import io
import json
import runpy
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import coco
from pycocotools.cocoeval import COCOeval

from litehrnet.evaluation.coco import METRICS, coco_metrics, coco_results
from litehrnet.evaluation.predictions import Predictions
from litehrnet.keypoints.skeletons import COCO, unnamed
from litehrnet.poses import KeypointSet

Nms = Literal["oks", "none"]
SIGMAS = np.array(COCO.sigmas)


def annotated(rng: np.random.Generator, image_id: int, kind: str, number: int) -> dict[str, Any]:
    width, height = rng.integers(30, 300, 2).tolist()
    box = [*rng.integers(0, 300, 2).tolist(), width, height]
    points = rng.uniform(0, 1, (17, 2)) * box[2:] + box[:2]
    visible = np.zeros(17) if kind == "nothing visible" else rng.integers(0, 3, 17)
    visible[0] = visible[0] if kind == "nothing visible" else 2
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "bbox": box,
        "area": 0 if kind == "no area" else width * height / 2,
        "iscrowd": int(kind == "crowd"),
        "keypoints": np.column_stack([points, visible]).ravel().tolist(),
        "num_keypoints": int((visible > 0).sum()),
    }


def draw_dataset(seed: int, most_found: int) -> tuple[dict[str, Any], Predictions]:
    """A few photos with persons of every kind, and predictions near some of them, with equal scores and repeats."""
    rng = np.random.default_rng(seed)
    kinds = ["plain", "plain", "plain", "crowd", "no area", "nothing visible"]
    numbers = (rng.permutation(3) + 7).tolist()
    images: list[dict[str, Any]] = [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in numbers]
    persons = [
        annotated(rng, image["id"], str(rng.choice(kinds)), 0) for image in images for _ in range(rng.integers(0, 4))
    ]
    if persons:
        # Where nobody has an area, areas are estimated.
        persons[0] = annotated(rng, persons[0]["image_id"], "plain", 1)
    for number, person in enumerate(persons, start=1):
        person["id"] = number
    truth = {"images": images, "annotations": persons, "categories": [{"id": 1, "name": "person"}]}
    found = int(rng.integers(0, most_found + 1)) if persons else 0
    near = [persons[i] for i in rng.integers(0, max(1, len(persons)), found)]
    poses = np.array([person["keypoints"] for person in near]).reshape(-1, 17, 3)[..., :2]
    poses = poses + rng.normal(0, 1, poses.shape) * rng.choice([0, 1, 5, 30], (found, 1, 1))
    return truth, Predictions(
        image_files=[Path("none.jpg")] * found,
        image_ids=np.array([person["image_id"] for person in near], np.int64),
        box_ids=rng.integers(0, found + 1, found),
        box_scores=rng.choice([0.25, 0.5, 1], found),
        centers=rng.uniform(0, 300, (found, 2)).astype(np.float32),
        scales=rng.uniform(0.1, 2, (found, 2)).astype(np.float32),
        keypoints=poses.astype(np.float32),
        scores=rng.choice([0.0, 0.2, 0.5, 0.75], (found, 17)).astype(np.float32),
    )


def directly(truth: Any, entries: list[dict[str, Any]], sigmas: NDArray[np.float64]) -> list[float]:
    """The ten figures by pycocotools alone."""
    with contextlib.redirect_stdout(io.StringIO()):
        annotated_persons: Any = coco.COCO()
        found: Any = coco.COCO()
        annotated_persons.dataset = truth
        annotated_persons.createIndex()
        if entries:
            found = annotated_persons.loadRes(entries)
        else:
            found.dataset = {**truth, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(annotated_persons, found, "keypoints")
        evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    metrics: list[float] = evaluation.stats.tolist()
    return metrics


def results_one_by_one(found: Predictions, nms: Nms, plain_oks_nms: Any) -> list[dict[str, Any]]:
    entries = []
    for image_id in dict.fromkeys(found.image_ids.tolist()):
        boxes: dict[int, int] = {}
        for person in range(len(found.image_ids)):
            if found.image_ids[person] == image_id:
                boxes.setdefault(int(found.box_ids[person]), person)
        persons = [boxes[box] for box in sorted(boxes)]
        scores = []
        for person in persons:
            high = [score for score in found.scores[person].tolist() if score > np.float32(0.2)]
            scores.append(found.box_scores[person] * sum(high) / max(1, len(high)))
        kept = list(range(len(persons)))
        if nms == "oks":
            areas = (found.scales[persons] * 200).prod(axis=1).astype(np.float64)
            kept = plain_oks_nms(found.keypoints[persons], np.array(scores), areas, SIGMAS, 0.9)
        for i in kept:
            triples = np.column_stack([found.keypoints[persons[i]], found.scores[persons[i]]])
            entry = {"image_id": image_id, "category_id": 1, "keypoints": triples.ravel().tolist(), "score": scores[i]}
            entries.append(entry)
    return entries


@pytest.fixture(scope="module")
def plain_oks_nms(project: Path) -> Any:
    return runpy.run_path(str(project / "benchmarks" / "plain_oks_nms.py"))["plain_oks_nms"]


@pytest.fixture(scope="module")
def truth_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("truth") / "truth.json"


# Up to 150 found persons in three photos: more than the 20 of a photo that count.
@pytest.mark.parametrize("nms", ["oks", "none"])
@given(seed=st.integers(0, 2**32 - 1), most_found=st.sampled_from([0, 3, 150]))
@settings(max_examples=100)
def test_metrics_are_those_of_pycocotools_on_results_made_one_by_one(
    truth_file: Path, plain_oks_nms: Any, nms: Nms, seed: int, most_found: int
) -> None:
    truth, found = draw_dataset(seed, most_found)
    results = coco_results(found, COCO.sigmas, nms=nms)
    expected = results_one_by_one(found, nms, plain_oks_nms)
    fields = ("image_id", "category_id", "keypoints")
    assert [[entry[f] for f in fields] for entry in results] == [[entry[f] for f in fields] for entry in expected]
    truth_file.write_text(json.dumps(truth))
    metrics = coco_metrics(truth_file, results, COCO)
    assert list(metrics) == list(METRICS)
    assert [-1 if value is None else value for value in metrics.values()] == directly(truth, expected, SIGMAS)


def simple_truth(category: int = 1) -> dict[str, Any]:
    person = annotated(np.random.default_rng(5), 7, "plain", 1) | {"category_id": category}
    image = {"id": 7, "file_name": "7.jpg", "width": 640, "height": 480}
    return {"images": [image], "annotations": [person], "categories": [{"id": category, "name": "person"}]}


def found_exactly(truth: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"image_id": 7, "category_id": 1, "keypoints": person["keypoints"], "score": 0.5}
        for person in truth["annotations"]
    ]


def metrics_of(
    folder: Path, truth: dict[str, Any], results: list[dict[str, Any]], own: KeypointSet
) -> list[float | None]:
    (folder / "truth.json").write_text(json.dumps(truth))
    return list(coco_metrics(folder / "truth.json", results, own).values())


def test_a_box_beside_the_keypoints_changes_nothing(tmp_path: Path) -> None:
    truth = simple_truth()
    far = [{**found_exactly(truth)[0], "keypoints": [600.0, 10.0, 1.0] * 17, "score": 0.9}]
    results = [*found_exactly(truth), *far]
    with_boxes = [{**entry, "bbox": [0, 0, 300, 300]} for entry in results]
    assert metrics_of(tmp_path, truth, with_boxes, COCO) == metrics_of(tmp_path, truth, results, COCO)


def test_the_only_category_is_meant_whatever_its_number(tmp_path: Path) -> None:
    truth = simple_truth(category=3)
    assert metrics_of(tmp_path, truth, found_exactly(truth), COCO)[0] == pytest.approx(1)


def test_nothing_found_is_0_where_there_is_something_to_find_and_none_where_not(tmp_path: Path) -> None:
    truth = simple_truth()
    truth["annotations"][0]["area"] = 96**2 + 1
    metrics = dict(zip(METRICS, metrics_of(tmp_path, truth, [], COCO), strict=True))
    assert (metrics["AP"], metrics["APL"], metrics["APM"]) == (0, 0, None)


def test_other_keypoints_take_their_own_sigmas(tmp_path: Path) -> None:
    truth = simple_truth()
    truth["annotations"][0] |= {"keypoints": [100.0, 100.0, 2, 200.0, 200.0, 2], "num_keypoints": 2, "area": 1e4}
    found = [{**found_exactly(truth)[0], "keypoints": [110.0, 100.0, 1, 200.0, 200.0, 1]}]
    # The first is off by a standard deviation: exp(-1/2) and 1 in the mean.
    assert metrics_of(tmp_path, truth, found, unnamed(2))[0] == pytest.approx(0.7)
    wide = KeypointSet("wide", ("a", "b"), (), (), (1.0, 1.0))
    assert metrics_of(tmp_path, truth, found, wide)[0] == pytest.approx(1)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_metrics_of_some_images_are_those_of_a_file_without_the_others(truth_file: Path, seed: int) -> None:
    truth, found = draw_dataset(seed, 20)
    some = {7, 9}
    images = [image for image in truth["images"] if image["id"] in some]
    persons = [person for person in truth["annotations"] if person["image_id"] in some]
    assume(not persons or any(person["num_keypoints"] and person["area"] for person in persons))
    results = [entry for entry in coco_results(found, COCO.sigmas) if entry["image_id"] in some]
    truth_file.write_text(json.dumps(truth))
    metrics = coco_metrics(truth_file, results, COCO, some)
    truth_file.write_text(json.dumps({**truth, "images": images, "annotations": persons}))
    assert metrics == coco_metrics(truth_file, results, COCO)
