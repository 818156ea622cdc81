"""ONNX models as MMDeploy packs them: ``.onnx`` and ``pipeline.json`` in one folder, or in one zip archive."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litehrnet.errors import UserError
from litehrnet.io.archives import inside_archive, member_names, read_data_file
from litehrnet.keypoints.boxes import PADDING
from litehrnet.keypoints.crop import IMAGENET_MEAN, IMAGENET_STD

ONNX_SUFFIXES = (".onnx", ".zip")
"""Files with an ONNX model: the model itself, or MMDeploy's archive."""


@dataclass(frozen=True)
class Pipeline:
    """Preprocessing and decoding that ``pipeline.json`` states.

    Attributes:
        input_size_wh: (width, height) of the crop; None if not stated.
        split_ratio: Number of SimCC bins per pixel of the crop; None if not stated.
        mean: Mean of each RGB channel, 0..1.
        std: Standard deviation of each RGB channel, above 0, in the same unit.
    """

    input_size_wh: tuple[int, int] | None = None
    split_ratio: float | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


def model_file(path: Path) -> Path:
    """Return the path of the model: ``path`` itself, or for a zip archive that of the ``.onnx`` file in it.

    Raises:
        UserError: The archive is damaged, or does not have one ``.onnx`` file.
    """
    if path.suffix.lower() != ".zip":
        return path
    models = [name for name in member_names(path) if name.lower().endswith(".onnx")]
    if len(models) != 1:
        raise UserError(f"{path}: has {len(models)} files .onnx (expected one, as in MMDeploy's archives)")
    return path / models[0]


def read_pipeline(path: Path) -> Pipeline:
    """Read the ``pipeline.json`` beside a model; without such a file, return the defaults of RTMPose.

    Args:
        path: Result of ``model_file``.

    Raises:
        UserError: The file is not MMDeploy's, or states a preprocessing that is not supported.
    """
    file = path.with_name("pipeline.json")
    inside = inside_archive(file)
    if not (file.is_file() if inside is None else inside[1] in member_names(inside[0])):
        return Pipeline()
    try:
        tasks = json.loads(read_data_file(file))["pipeline"]["tasks"]
        steps = [step for task in tasks for step in task.get("transforms", ())]
        return _parse(_first(steps, "type"), _first(tasks, "component"), file)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{file}: not a pipeline of MMDeploy ({type(error).__name__}: {error}; expected one, or no file of this "
            "name beside the model)"
        ) from error


def _first(entries: list[Mapping[str, Any]], key: str) -> dict[str, Mapping[str, Any]]:
    return {entry[key]: entry for entry in reversed(entries) if key in entry}


def _parse(steps: Mapping[str, Mapping[str, Any]], tasks: Mapping[str, Mapping[str, Any]], file: Path) -> Pipeline:
    normalize = steps.get("Normalize", {})
    padding = steps.get("TopDownGetBboxCenterScale", {}).get("padding", PADDING)
    if normalize.get("to_rgb", True) is not True:
        raise UserError(f"{file}: to_rgb is {normalize['to_rgb']!r} (expected true, a network for RGB)")
    if padding != PADDING:
        raise UserError(f"{file}: boxes are padded by {padding!r} (expected {PADDING})")
    decoder = tasks.get("SimCCLabelDecode", {}).get("params", {})
    size = decoder.get("input_size") or steps.get("TopDownAffine", {}).get("image_size")
    ratio = decoder.get("simcc_split_ratio")
    mean = _channels(normalize["mean"]) if "mean" in normalize else IMAGENET_MEAN
    std = _channels(normalize["std"]) if "std" in normalize else IMAGENET_STD
    if min(std) <= 0:
        raise ValueError(f"std is {normalize['std']}")
    width, height = size or (0, 0)
    return Pipeline((int(width), int(height)) if size else None, None if ratio is None else float(ratio), mean, std)


def _channels(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) / 255 for value in values)
    return red, green, blue
