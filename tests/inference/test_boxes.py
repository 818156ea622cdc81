import json
from pathlib import Path
from typing import Any

import pytest

from litehrnet.errors import UserError
from litehrnet.inference.boxes import read_boxes


def _write(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "boxes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_results_are_matched_by_the_number_in_the_photos_name(tmp_path: Path) -> None:
    entries = [
        {"image_id": 785, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5},
        {"image_id": 785, "category_id": 3, "bbox": [9, 9, 9, 9], "score": 0.9},
        {"image_id": 6, "bbox": [5, 6, 7, 8]},
    ]
    boxes = read_boxes(_write(tmp_path, entries))
    found = boxes.of(Path("any/000000000785.jpg"))
    assert (found.image_id, found.boxes, found.scores) == (785, [[1, 2, 3, 4]], [0.5])
    assert boxes.of(Path("6.png")).scores == [1]
    assert boxes.of(Path("7.png")).boxes == []
    with pytest.raises(UserError, match=r"beach.jpg: its boxes cannot be found .*a name like 000000000785.jpg"):
        boxes.of(Path("beach.jpg"))


def test_annotations_are_matched_by_file_name_and_crowds_left_out(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 3, "file_name": "train/beach.jpg"}, {"id": 4, "file_name": "empty.jpg"}],
        "annotations": [
            {"image_id": 3, "bbox": [1, 2, 3, 4], "iscrowd": 0},
            {"image_id": 3, "bbox": [5, 5, 5, 5], "iscrowd": 1},
        ],
    }
    boxes = read_boxes(_write(tmp_path, content))
    assert boxes.of(Path("x/beach.jpg")).boxes == [[1, 2, 3, 4]]
    assert boxes.of(Path("empty.jpg")).boxes == []
    with pytest.raises(UserError, match=r"other.jpg: its boxes cannot be found .*a photo that it lists"):
        boxes.of(Path("other.jpg"))


@pytest.mark.parametrize("content", [{"images": []}, [3], [{"bbox": [1]}], [{"image_id": 1, "bbox": "x"}], 7, "{"])
def test_other_json_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(UserError, match=r"boxes.json: not (boxes in COCO's form|a JSON file)"):
        read_boxes(_write(tmp_path, content))
