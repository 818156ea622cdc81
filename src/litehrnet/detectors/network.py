"""Networks of others, such as detectors, on ONNX Runtime or OpenVINO: named arrays in, arrays out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.optional import require
from litehrnet.runtimes.onnxfile import operators_on
from litehrnet.runtimes.openvino import openvino_core

_FLOATS: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "f32": np.float32,
    "f16": np.float16,
}


@dataclass(frozen=True)
class NetworkInput:
    """One input of a network.

    Attributes:
        name: To feed it by.
        shape: Its sizes; None where any will do.
        dtype: float32 or float16; None for what is no such number.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: type[np.floating[Any]] | None


class Network(Protocol):
    """A network of any inputs and outputs.

    Attributes:
        description: Name, version and settings of what runs it, to be printed.
        inputs: In the file's order.
    """

    description: str
    inputs: tuple[NetworkInput, ...]

    def run(self, arrays: Mapping[str, NDArray[np.floating]]) -> list[NDArray[Any]]:
        """All outputs, in the file's order, for arrays by the names of the inputs."""
        ...

    def operators_on(self, name: str) -> set[str]:
        """Names of the operators that read the input ``name``, in the file's own terms."""
        ...


def open_network(path: Path, threads: int | None = None) -> Network:
    """Load a network.

    Args:
        path: ``.onnx`` (ONNX Runtime), or ``.xml`` with its ``.bin`` beside it (OpenVINO).
        threads: CPU threads; None for all.

    Raises:
        UserError: The file is missing, of another kind, or cannot be loaded; OpenVINO is not installed.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise UserError(f"{path}: no such file (expected a network: .onnx or .xml)")
    if suffix == ".onnx":
        return _OnnxNetwork(path, threads)
    if suffix == ".xml":
        return _OpenVinoNetwork(path, threads)
    raise UserError(f"{path}: no network (expected .onnx, or OpenVINO's .xml)")


class _OnnxNetwork:
    def __init__(self, path: Path, threads: int | None) -> None:
        import onnxruntime

        self._content = read_bytes(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 4  # what goes wrong becomes our sentence
        try:
            # By its path: large models keep their weights in a file beside it.
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # ONNX Runtime's exceptions share no public base class.
            raise UserError(f"{path}: not an ONNX model that ONNX Runtime can load") from error
        self.description = f"onnxruntime {onnxruntime.__version__}"
        self.inputs = tuple(
            NetworkInput(
                port.name, tuple(d if isinstance(d, int) else None for d in port.shape), _FLOATS.get(port.type)
            )
            for port in self._session.get_inputs()
        )

    def run(self, arrays: Mapping[str, NDArray[np.floating]]) -> list[NDArray[Any]]:
        return list(self._session.run(None, dict(arrays)))

    def operators_on(self, name: str) -> set[str]:
        return operators_on(self._content, name)


class _OpenVinoNetwork:
    def __init__(self, path: Path, threads: int | None) -> None:
        require("openvino", "openvino", f"{path}: reading this format")
        import openvino

        core = openvino_core()
        try:
            self._model = core.read_model(path)
        except RuntimeError as error:
            raise UserError(f"{path}: not a network that OpenVINO can load, or its .bin is not beside it") from error
        settings: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        self._request = core.compile_model(
            self._model, "CPU", settings | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
        ).create_infer_request()
        self.description = f"openvino {openvino.__version__.split('-')[0]}"
        self.inputs = tuple(
            NetworkInput(
                port.any_name,
                tuple(d.get_length() if d.is_static else None for d in port.get_partial_shape()),
                _FLOATS.get(port.element_type.get_type_name()),
            )
            for port in self._model.inputs
        )

    def run(self, arrays: Mapping[str, NDArray[np.floating]]) -> list[NDArray[Any]]:
        self._request.infer(dict(arrays))
        return [tensor.data.copy() for tensor in self._request.output_tensors]

    def operators_on(self, name: str) -> set[str]:
        return {end.get_node().get_type_name() for end in self._model.input(name).get_target_inputs()}
