"""Input size and outputs of an ONNX graph, read from its shapes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litehrnet.errors import UserError
from litehrnet.keypoints.skeletons import usual_keypoint_set
from litehrnet.weights.weights_file import WeightsInfo


@dataclass(frozen=True)
class GraphShapes:
    """Sizes of a graph's image input and heatmap output.

    Attributes:
        input_size_wh: (width, height) of the images; None if the graph does not fix it.
        maps: Number of heatmaps, or of classes.
    """

    input_size_wh: tuple[int, int] | None
    maps: int


def graph_shapes(input_shape: Sequence[Any], output_shape: Sequence[Any], path: Path) -> GraphShapes:
    """Read the shapes of a graph; a dimension that is not fixed may be anything but an int.

    Raises:
        UserError: The shapes are not those of a pose network, or the batch size is fixed and above 1.
    """
    if len(input_shape) != 4 or input_shape[1] != 3 or len(output_shape) != 4 or not isinstance(output_shape[1], int):
        raise UserError(
            f"{path}: maps {list(input_shape)} to {list(output_shape)} (expected images (n, 3, H, W) to heatmaps "
            "(n, keypoints, h, w))"
        )
    if isinstance(input_shape[0], int) and input_shape[0] > 1:
        raise UserError(f"{path}: has a fixed batch of {input_shape[0]} images (expected 1, or any number)")
    height, width = input_shape[2:]
    size = (width, height) if isinstance(width, int) and isinstance(height, int) else None
    return GraphShapes(size, output_shape[1])


def graph_info(described: WeightsInfo | None, shapes: GraphShapes, path: Path) -> WeightsInfo:
    """Return the model's own metadata, or the defaults of the reference implementation for other models.

    Raises:
        UserError: The metadata contradict the graph.
    """
    if described is None:
        return WeightsInfo(None, usual_keypoint_set(shapes.maps), provenance=f"ONNX model {path.name}")
    if len(described.outputs) != shapes.maps:
        given = "maps" if described.segments or described.detects else "heatmaps"
        raise UserError(f"{path}: has {shapes.maps} {given}, but its metadata name {described.outputs_text}")
    return described
