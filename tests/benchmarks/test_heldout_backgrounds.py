"""Held-out crops on other photos: every crop and its keypoints match the new annotations."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from litehrnet.io.images import read_image


def test_crops_and_keypoints_move_together(
    project: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(project)
    monkeypatch.setattr(sys, "argv", ["heldout_backgrounds", str(shared / "data"), str(tmp_path / "out")])
    importlib.import_module("benchmarks.heldout_backgrounds").main()
    source = shared / "data" / "coco_train_crops"
    before, after = (json.loads((folder / "annotations.json").read_text()) for folder in (source, tmp_path / "out"))
    assert (len(after["images"]), len(after["annotations"])) == (212, 212)
    old = {annotation["id"]: annotation for annotation in before["annotations"]}
    images = {image["id"]: image for image in after["images"]}
    for annotation in after["annotations"][::40]:
        image, first = images[annotation["image_id"]], old[annotation["id"]]
        picture, crop = (read_image(folder / "images" / image["file_name"]) for folder in (tmp_path / "out", source))
        assert picture.shape == (image["height"], image["width"], 3)
        x, y = (round(annotation["bbox"][i] - first["bbox"][i]) for i in (0, 1))
        there = picture[y : y + crop.shape[0], x : x + crop.shape[1]]
        assert np.abs(there.astype(float) - crop).mean() < 5  # JPEG
        moved, kept = (np.array(a["keypoints"]).reshape(-1, 3) for a in (annotation, first))
        labeled = kept[:, 2] > 0
        np.testing.assert_allclose(moved[labeled] - kept[labeled], [(x, y, 0)] * labeled.sum(), atol=1e-9)
        np.testing.assert_array_equal(moved[~labeled], kept[~labeled])
        assert (picture[0] > 0).mean() > 0.5  # another photo, not black
