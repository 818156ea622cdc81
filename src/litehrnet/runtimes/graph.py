"""Input size and outputs of an ONNX graph, read from its shapes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from litehrnet.errors import UserError
from litehrnet.keypoints.skeletons import usual_keypoint_set
from litehrnet.weights.weights_file import WeightsInfo


def read_graph(
    input_shape: Sequence[Any], output_shape: Sequence[Any], described: WeightsInfo | None, path: Path
) -> tuple[WeightsInfo, tuple[int, int] | None]:
    """Read the shapes of a graph; a dimension that is not fixed may be anything but an int.

    Returns:
        The model's own metadata, or the defaults of the reference implementation for other models; and (width, height)
        of the images, None if the graph does not fix it.

    Raises:
        UserError: The shapes are not those of a pose network, the batch size is fixed and above 1, or the metadata
            contradict the graph.
    """
    if len(input_shape) != 4 or input_shape[1] != 3 or len(output_shape) != 4 or not isinstance(output_shape[1], int):
        raise UserError(
            f"{path}: maps {list(input_shape)} to {list(output_shape)} (expected images (n, 3, H, W) to heatmaps "
            "(n, keypoints, h, w))"
        )
    if isinstance(input_shape[0], int) and input_shape[0] > 1:
        raise UserError(f"{path}: has a fixed batch of {input_shape[0]} images (expected 1, or any number)")
    height, width = input_shape[2:]
    size, maps = (width, height) if isinstance(width, int) and isinstance(height, int) else None, output_shape[1]
    if described is None:
        return WeightsInfo(None, usual_keypoint_set(maps), provenance=f"ONNX model {path.name}"), size
    if len(described.outputs) != maps:
        given = "maps" if described.segments or described.detects else "heatmaps"
        raise UserError(f"{path}: has {maps} {given}, but its metadata name {described.outputs_text}")
    return described, size
