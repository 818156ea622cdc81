"""Input size and outputs of an ONNX graph: heatmaps, or the two outputs of a SimCC head."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.errors import UserError
from litehrnet.keypoints.skeletons import usual_keypoint_set
from litehrnet.runtimes.sdk import Pipeline
from litehrnet.weights.weights_file import WeightsInfo


@dataclass(frozen=True)
class GraphShapes:
    """Sizes of a graph's image input and outputs.

    Attributes:
        input_size_wh: (width, height) of the images; None if the graph does not fix it.
        maps: Number of heatmaps, or of classes; None for a SimCC head, whose exports often do not state it.
    """

    input_size_wh: tuple[int, int] | None
    maps: int | None


def graph_shapes(input_shape: Sequence[Any], output_shapes: Sequence[Sequence[Any]], path: Path) -> GraphShapes:
    """Read the shapes of a graph; a dimension that is not fixed may be anything but an int.

    Raises:
        UserError: The shapes are not those of a pose network, or the batch size is fixed and above 1.
    """
    first = output_shapes[0]
    simcc = [len(shape) for shape in output_shapes] == [3, 3]
    heatmaps = len(first) == 4 and isinstance(first[1], int)
    if len(input_shape) != 4 or input_shape[1] != 3 or not (simcc or heatmaps):
        given = " and ".join(str(list(shape)) for shape in output_shapes)
        raise UserError(
            f"{path}: maps {list(input_shape)} to {given} (expected images (n, 3, H, W) to heatmaps "
            "(n, keypoints, h, w), or to SimCC's bins along x (n, keypoints, bins) and along y)"
        )
    if isinstance(input_shape[0], int) and input_shape[0] > 1:
        raise UserError(f"{path}: has a fixed batch of {input_shape[0]} images (expected 1, or any number)")
    height, width = input_shape[2:]
    size = (width, height) if isinstance(width, int) and isinstance(height, int) else None
    return GraphShapes(size, None if simcc else first[1])


def graph_info(described: WeightsInfo | None, maps: int, path: Path) -> WeightsInfo:
    """Return the model's own metadata, or the defaults of the reference implementation for other models.

    Raises:
        UserError: The metadata contradict the graph.
    """
    if described is None:
        return WeightsInfo(None, usual_keypoint_set(maps), provenance=f"ONNX model {path.name}")
    if len(described.outputs) != maps:
        given = "maps" if described.segments or described.detects else "heatmaps"
        raise UserError(f"{path}: has {maps} {given}, but its metadata name {described.outputs_text}")
    return described


def simcc_info(
    outputs: Sequence[NDArray[Any]], input_size_wh: tuple[int, int], pipeline: Pipeline, path: Path
) -> WeightsInfo:
    """Describe a model with a SimCC head by its outputs for one image, (1, keypoints, bins) each.

    Raises:
        UserError: The axes have different numbers of keypoints or of bins per pixel, or ``pipeline.json`` states
            another number.
    """
    along_x, along_y = (np.shape(output) for output in outputs)
    bins, counts = (along_x[2], along_y[2]), (along_x[1], along_y[1])
    ratios = [count / pixels for count, pixels in zip(bins, input_size_wh, strict=True)]
    if counts[0] != counts[1] or ratios[0] != ratios[1]:
        width, height = input_size_wh
        raise UserError(
            f"{path}: has outputs {along_x} and {along_y} for {width}x{height} input (expected equal numbers of "
            "keypoints, and of bins per pixel)"
        )
    if pipeline.split_ratio not in (None, ratios[0]):
        raise UserError(
            f"{path}: has {ratios[0]:g} bins per pixel, but its pipeline.json states {pipeline.split_ratio:g}"
        )
    return WeightsInfo(
        None,
        usual_keypoint_set(counts[0]),
        mean=pipeline.mean,
        std=pipeline.std,
        provenance=f"ONNX model {path.name}, SimCC",
        simcc_bins_wh=bins,
    )
