"""Tiny networks with the outputs of exported detectors, written out by hand."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

WriteNetwork = Callable[..., Path]


@pytest.fixture
def write_network(tmp_path: Path) -> WriteNetwork:
    """Writes an ONNX model that gives the same outputs for every picture."""

    def write(
        outputs: Mapping[str, NDArray[Any]],
        *,
        first: str = "Relu",
        image: tuple[int | str, ...] = (1, 3, 64, 64),
        others: tuple[str, ...] = (),
        name: str = "detector.onnx",
        image_type: int = TensorProto.FLOAT,
    ) -> Path:
        inputs = [helper.make_tensor_value_info("image", image_type, image)]
        inputs += [helper.make_tensor_value_info(other, TensorProto.FLOAT, (1, 2)) for other in others]
        constants = [numpy_helper.from_array(value, f"{output}_value") for output, value in outputs.items()]
        constants += [numpy_helper.from_array(np.zeros(4, np.int64), "starts")]
        constants += [numpy_helper.from_array(np.array([1, 3, 64, 64], np.int64), "ends")]
        nodes = [helper.make_node(first, ["image", "starts", "ends"] if first == "Slice" else ["image"], ["seen"])]
        # All depend on the picture, which OpenVINO would take out otherwise: its mean times 0 is added.
        constants += [numpy_helper.from_array(np.zeros(1, np.float32), "nothing")]
        nodes += [
            helper.make_node("Cast", ["seen"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["numbers"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
        ]
        for output, value in outputs.items():
            kind = helper.np_dtype_to_tensor_dtype(value.dtype)
            nodes.append(helper.make_node("Cast", ["zero"], [f"{output}_zero"], to=kind))
            nodes.append(helper.make_node("Add", [f"{output}_value", f"{output}_zero"], [output]))
        given = [
            helper.make_tensor_value_info(output, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for output, value in outputs.items()
        ]
        graph = helper.make_graph(nodes, "detector", inputs, given, constants)
        path = tmp_path / name
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
        return path

    return write
