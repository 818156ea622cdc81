"""Tiny ONNX models with SimCC heads: outputs written by hand, and a network that finds the brightest spot."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIZE_WH = (48, 64)
"""Input size of ``write_spot_finder``; its axes have twice as many bins."""

SPOT_PIPELINE: dict[str, Any] = {
    "pipeline": {
        "tasks": [
            {
                "name": "Preprocess",
                "transforms": [
                    {"type": "LoadImageFromFile"},
                    {"type": "TopDownGetBboxCenterScale", "padding": 1.25, "image_size": [48, 64]},
                    {"type": "TopDownAffine", "image_size": [48, 64]},
                    {"type": "Normalize", "mean": [0, 0, 0], "std": [255.0, 255.0, 255.0], "to_rgb": True},
                ],
            },
            {"name": "pose", "module": "Net"},
            {
                "component": "SimCCLabelDecode",
                "params": {"input_size": [48, 64], "simcc_split_ratio": 2.0, "flip_test": False},
            },
        ]
    }
}
"""Laid out like the ``pipeline.json`` of MMDeploy; gray levels enter the network as 0..1."""


def write_rows(
    path: Path, *rows: NDArray[np.float32], image: tuple[int | str, ...] = ("batch", 3, *SIZE_WH[::-1])
) -> Path:
    """Write a model that gives these rows of bins, (1, keypoints, bins) each, for any image.

    As in the files of RTMPose, only the input states its size.
    """
    outputs = [f"simcc_{axis}" for axis in "xyz"[: len(rows)]]
    named = zip(outputs, rows, strict=True)
    constants = [numpy_helper.from_array(row.astype(np.float32), f"{name}_rows") for name, row in named]
    constants.append(numpy_helper.from_array(np.zeros(1, np.float32), "nothing"))
    nodes = [
        # All depend on the image: its mean times 0 is added.
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["zeros"]),
        helper.make_node("Unsqueeze", ["zeros", "axes"], ["zero"]),
        *(helper.make_node("Add", [f"{name}_rows", "zero"], [name]) for name in outputs),
    ]
    constants.append(numpy_helper.from_array(np.array([1, 2], np.int64), "axes"))
    return _save(path, nodes, constants, image, outputs)


def write_spot_finder(path: Path, image: tuple[int | str, ...] = ("batch", 3, *SIZE_WH[::-1])) -> Path:
    """Write a model of two keypoints: the brightest column and row of red, and those of green.

    Bin 2i is the brightest gray level of column i (row i), as it enters the network; odd bins are 0.
    """
    nodes = [helper.make_node("Slice", ["input", "from", "to", "channels"], ["red_green"])]
    constants = [
        numpy_helper.from_array(np.array([value], np.int64), name)
        for name, value in (("from", 0), ("to", 2), ("channels", 1))
    ]
    for name, axis, pixels in (("simcc_x", 2, SIZE_WH[0]), ("simcc_y", 3, SIZE_WH[1])):
        spread = np.zeros((pixels, 2 * pixels), np.float32)
        spread[np.arange(pixels), 2 * np.arange(pixels)] = 1
        constants.append(numpy_helper.from_array(spread, f"{name}_spread"))
        nodes.append(helper.make_node("ReduceMax", ["red_green"], [f"{name}_most"], axes=[axis], keepdims=0))
        nodes.append(helper.make_node("MatMul", [f"{name}_most", f"{name}_spread"], [name]))
    return _save(path, nodes, constants, image, ["simcc_x", "simcc_y"])


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    image: tuple[int | str, ...],
    outputs: list[str],
) -> Path:
    given = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", f"{name}_keypoints", f"{name}_bins"))
        for name in outputs
    ]
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, image)]
    graph = helper.make_graph(nodes, "simcc", inputs, given, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
