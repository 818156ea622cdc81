"""Exported networks of other projects, such as detectors, on ONNX Runtime or OpenVINO."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from litehrnet.arrays import Floats
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.optional import require
from litehrnet.processors import default_threads
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
    """Input of a network.

    Attributes:
        name: Name of the input.
        shape: Size of each axis; None for an axis of any size.
        dtype: float32 or float16; None for any other type.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: type[np.floating[Any]] | None


class ExportedNetwork(Protocol):
    """Exported network with any inputs and outputs.

    Attributes:
        description: Name and version of the runtime, for messages.
        inputs: Inputs in the file's order.
    """

    description: str
    inputs: tuple[NetworkInput, ...]

    def run(self, arrays: Mapping[str, Floats]) -> list[NDArray[Any]]:
        """Run the network on arrays by input name; return all outputs in the file's order."""
        ...

    def operators_on(self, name: str) -> set[str]:
        """Return the names, as in the file, of the operators that read the input ``name``."""
        ...


def open_network(path: Path, threads: int | None = None) -> ExportedNetwork:
    """Open an exported network.

    Args:
        path: ``.onnx`` (ONNX Runtime), or ``.xml`` with its ``.bin`` in the same folder (OpenVINO).
        threads: CPU threads; None for all.

    Raises:
        UserError: The file is missing, of another kind, or cannot be loaded, or OpenVINO is not installed.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise UserError(f"{path}: no such file (expected a network: .onnx or .xml)")
    if suffix == ".onnx":
        return _OnnxNetwork(path, threads)
    if suffix == ".xml":
        return _OpenVinoNetwork(path, threads)
    raise UserError(f"{path}: not a network (expected .onnx, or OpenVINO's .xml)")


class _OnnxNetwork:
    def __init__(self, path: Path, threads: int | None) -> None:
        require("onnxruntime", "onnx", f"{path}: running an ONNX model")
        import onnxruntime

        self._opened_with = path, threads
        self._content = read_bytes(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or default_threads()
        options.log_severity_level = 4  # errors become a UserError
        try:
            # Opened by path, because large models store their weights in a second file.
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # ONNX Runtime's exceptions have no public base class in common.
            raise UserError(f"{path}: not an ONNX model that ONNX Runtime can load") from error
        self.description = f"onnxruntime {onnxruntime.__version__}"
        self.inputs = tuple(
            NetworkInput(
                port.name, tuple(d if isinstance(d, int) else None for d in port.shape), _FLOATS.get(port.type)
            )
            for port in self._session.get_inputs()
        )

    def __reduce__(self) -> tuple[type, tuple[Path, int | None]]:
        """Pickle the name of the file, which is opened again."""
        path, threads = self._opened_with
        return type(self), (path.absolute(), threads)

    def run(self, arrays: Mapping[str, Floats]) -> list[NDArray[Any]]:
        return list(self._session.run(None, dict(arrays)))

    def operators_on(self, name: str) -> set[str]:
        return operators_on(self._content, name)


class _OpenVinoNetwork:
    def __init__(self, path: Path, threads: int | None) -> None:
        require("openvino", "openvino", f"{path}: reading this format")
        import openvino

        self._opened_with = path, threads
        core = openvino_core()
        try:
            self._model = core.read_model(path)
        except RuntimeError as error:
            raise UserError(f"{path}: OpenVINO cannot load it (expected a network with its .bin file)") from error
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads or default_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._request = core.compile_model(self._model, "CPU", settings).create_infer_request()
        self.description = f"openvino {openvino.__version__.split('-')[0]}"
        self.inputs = tuple(
            NetworkInput(
                port.any_name,
                tuple(d.get_length() if d.is_static else None for d in port.get_partial_shape()),
                _FLOATS.get(port.element_type.get_type_name()),
            )
            for port in self._model.inputs
        )

    def __reduce__(self) -> tuple[type, tuple[Path, int | None]]:
        """Pickle the name of the file, which is opened again."""
        path, threads = self._opened_with
        return type(self), (path.absolute(), threads)

    def run(self, arrays: Mapping[str, Floats]) -> list[NDArray[Any]]:
        self._request.infer(dict(arrays))
        return [tensor.data.copy() for tensor in self._request.output_tensors]

    def operators_on(self, name: str) -> set[str]:
        return {end.get_node().get_type_name() for end in self._model.input(name).get_target_inputs()}
