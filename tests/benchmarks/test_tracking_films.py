"""Identities in films of real cut-outs, by a real detector and the bundled network."""

import importlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("trackeval", reason="judges identities (pip install --no-deps trackeval)")


@pytest.mark.slow
def test_people_keep_their_identities_in_a_film_that_nothing_was_tuned_with(
    project: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(project)
    films = importlib.import_module("benchmarks.tracking_films")
    detector = shared / "reference" / "person_detector" / "picodet_s_320.xml"
    truth = films.make_film(shared / "data", 8, tmp_path / "film", seconds=12)
    result = films.evaluate_film(tmp_path / "film.mp4", truth, detector)
    assert result.scores.people == 4
    assert result.scores.identities <= 6
    assert result.scores.idf1 >= 0.85
    assert result.oks > 0.6


def test_the_truth_of_a_film_is_where_its_people_are(
    project: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(project)
    films = importlib.import_module("benchmarks.crop_films")
    scene = films.cast(shared / "data" / "coco_dev", seed=8)
    assert len(scene.people) == 4
    for seconds in (0, 5.2):
        picture, truth = films.render(scene, seconds)
        changed = np.abs(picture.astype(int) - scene.ground).max(axis=2) > 0
        inside = np.zeros_like(changed)
        for x, y, width, height in truth.boxes.astype(int).tolist():
            # cut-outs have soft outlines, a few pixels wide
            inside[max(y - 8, 0) : y + height + 8, max(x - 8, 0) : x + width + 8] = True
        assert not (changed & ~inside).any()
        seen = truth.keypoints[truth.keypoints[..., 2] > 0]
        assert len(seen) > 10
        assert (seen[:, :2] >= -0.5).all()
        assert (seen[:, :2] <= np.array(films.SIZE_WH) - 0.5).all()
        assert ((truth.visible >= 0) & (truth.visible <= 1)).all()
