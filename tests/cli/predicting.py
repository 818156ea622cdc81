"""Helpers of the tests of ``litehrnet predict``."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import litehrnet
from litehrnet.cli.main import main
from litehrnet.detectors.detections import DetectedBoxes

PORTRAIT = Path(litehrnet.__file__).parent / "photos" / "astronaut.jpg"


def predict(weights: Path, out: Path, *arguments: str | Path) -> int:
    return main(["predict", *map(str, arguments), "--weights", str(weights), "--out-dir", str(out), "--threads", "1"])


def predict_whole(weights: Path, out: Path, *arguments: str | Path) -> int:
    return predict(weights, out, *arguments, "--whole-image")


def written(out: Path) -> list[str]:
    return sorted(file.name for file in out.iterdir() if not file.name.startswith("."))


def one_line_error(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "Traceback" not in error
    return error


class Bundled:
    """Stands for the bundled detector: it finds the boxes (x, y, width, height, score) that it was given."""

    description = "bundled"

    def __init__(self, *found: tuple[float, ...]) -> None:
        self.found = np.array(found, np.float32).reshape(-1, 5)

    def detect(self, image: NDArray[np.uint8]) -> DetectedBoxes:
        return DetectedBoxes(self.found[:, :4], self.found[:, 4])
