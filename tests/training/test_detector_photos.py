"""Annotation files for the detector: the boxes of crops with one marked person, and of groups."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litehrnet.detectors.detections import DetectedBoxes
from litehrnet.io.images import write_image


@pytest.fixture
def labels(project: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(project)
    return pytest.importorskip("runs.label_detector_photos")


class Found:
    """Detector that finds the same boxes in every photo of one gray level."""

    description = "a list"

    def __init__(self, by_level: dict[int, list[list[float]]]) -> None:
        self._by_level = by_level

    def detect(self, image: np.ndarray) -> DetectedBoxes:
        rows = np.array(self._by_level[int(image[0, 0, 0])], np.float32).reshape(-1, 5)
        return DetectedBoxes(rows[:, :4], rows[:, 4])


def test_crops_get_the_box_of_the_person_the_others_and_the_unsure_ones(tmp_path: Path, labels: Any) -> None:
    sizes = {"file_name": "", "width": 100, "height": 80}
    crops = {
        "images": [sizes | {"id": number, "file_name": f"{number}.png"} for number in (10, 20)],
        "annotations": [
            {"id": 1, "image_id": 10, "bbox": [20, 10, 20, 40]},
            {"id": 2, "image_id": 20, "bbox": [60, 10, 40, 40]},
        ],
    }
    for number in (10, 20):
        write_image(tmp_path / f"{number}.png", np.full((80, 100, 3), number, np.uint8))
    person, other, part, unsure = [18, 6, 20, 48, 0.8], [60, 5, 30, 60, 0.7], [20, 8, 6, 6, 0.9], [90, 5, 9, 30, 0.3]
    found = Found({10: [person, other, part, unsure], 20: []})
    labeled = labels.labeled_crops(crops, tmp_path, found)
    assert [(a["image_id"], a["bbox"], a["iscrowd"]) for a in labeled["annotations"]] == [
        (10, [18, 6, 22, 48], 0),  # the joints reach further to the right than the detector's box
        (10, [60, 5, 30, 60], 0),
        (10, [90, 5, 9, 30], 1),
        (20, [56, 6, 44, 48], 0),  # grown as the first: a tenth to the left, above and below, and cut to the photo
    ]
    assert [a["id"] for a in labeled["annotations"]] == [1, 2, 3, 4]
    assert labeled["annotations"][0]["area"] == 22 * 48


def test_boxes_of_groups_become_ignored_regions(labels: Any) -> None:
    people = [{"image_id": 1, "bbox": [10 * i, 0, 8, 20], "num_keypoints": 0, "iscrowd": 0} for i in range(3)]
    whole = {"image_id": 1, "bbox": [0, 0, 30, 20], "num_keypoints": 0, "iscrowd": 0}
    cases = {
        "group": (whole, 1),
        "person with keypoints": (whole | {"num_keypoints": 5}, 0),
        "box in another photo": (whole | {"image_id": 2}, 0),
        "box of two": (whole | {"bbox": [0, 0, 18, 20]}, 0),
        "crowd": (whole | {"image_id": 2, "iscrowd": 1}, 1),
    }
    for name, (last, expected) in cases.items():
        marked = labels.without_groups({"annotations": [*people, last]})["annotations"]
        assert [a["iscrowd"] for a in marked] == [0, 0, 0, expected], name
