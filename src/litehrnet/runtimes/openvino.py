"""ONNX models on OpenVINO's CPU device."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from litehrnet.arrays import Floats32, Image
from litehrnet.errors import UserError
from litehrnet.io.archives import read_data_file
from litehrnet.keypoints.crop import normalize
from litehrnet.optional import require
from litehrnet.processors import default_threads
from litehrnet.runtimes.graph import graph_info, graph_shapes, simcc_info
from litehrnet.runtimes.onnxfile import read_info
from litehrnet.runtimes.protocol import Runtime, fixed_size_message, reopened
from litehrnet.runtimes.sdk import Pipeline, model_file, read_pipeline
from litehrnet.variants import DEFAULT_INPUT_SIZE_WH

if TYPE_CHECKING:
    from openvino import Core


@cache
def openvino_core() -> "Core":
    """Return the core that all models share; it is never destroyed.

    Every core with a CPU plugin installs a stack for signal handlers in its thread, and restores the previous one when
    it is destroyed. If two cores are destroyed in the order of their creation, the second restores the stack of the
    first, which is unmapped by then. The next handled signal, such as Ctrl-C, kills the process (OpenVINO 2026.4).
    """
    import openvino

    return openvino.Core()


class OpenVinoRuntime:
    """A ``Runtime`` for an ONNX model; arguments and errors as in ``OnnxRuntime``."""

    def __init__(self, path: Path, input_size_wh: tuple[int, int] | None = None, threads: int | None = None) -> None:
        require("openvino", "openvino", "the runtime openvino")
        import openvino

        file = model_file(path)
        content = read_data_file(file)
        described = read_info(content, path)
        core = openvino_core()
        try:
            model = core.read_model(content)
        except RuntimeError as error:
            raise UserError(f"{path}: not an ONNX model that OpenVINO can load") from error
        shapes = graph_shapes(_dims(model.inputs[0]), [_dims(port) for port in model.outputs], path)
        pipeline = Pipeline() if shapes.maps is not None else read_pipeline(file)
        stated = pipeline.input_size_wh if described is None else described.input_size_wh
        self.input_size_wh = shapes.input_size_wh or stated or input_size_wh or DEFAULT_INPUT_SIZE_WH
        if shapes.maps is not None:
            self.info = graph_info(described, shapes.maps, path)
        width, height = self.input_size_wh
        try:
            # One crop per request, one request per thread: OpenVINO's fastest mode for this network.
            model.reshape([1, 3, height, width])
        except RuntimeError as error:
            raise UserError(f"{path}: does not run on {width}x{height} images") from error
        self._path, self._fixed_size, self._asked_threads = path, shapes.input_size_wh is not None, threads
        threads = threads or default_threads()
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": threads,
        }
        self._compiled = core.compile_model(model, "CPU", settings)
        if shapes.maps is None:
            outputs = self._compiled(np.zeros((1, 3, height, width), np.float32)).values()
            self.info = simcc_info(list(outputs), self.input_size_wh, pipeline, path)
        self._queue = openvino.AsyncInferQueue(self._compiled, threads)
        self.description = f"openvino {openvino.__version__.split('-')[0]}, float32, {threads} threads"

    def forward(self, crops: Image) -> Floats32:
        """See ``Runtime``."""
        images = normalize(crops, self.info.mean, self.info.std)
        results: list[Floats32] = [np.empty(0, np.float32)] * len(images)

        def keep(request: object, index: int) -> None:
            outputs = [tensor.data for tensor in request.output_tensors]  # type: ignore[attr-defined]
            results[index] = outputs[0].copy() if self.info.simcc_bins_wh is None else np.concatenate(outputs, axis=2)

        self._queue.set_callback(keep)
        for index in range(len(images)):
            self._queue.start_async({0: images[index : index + 1]}, index)
        self._queue.wait_all()
        return np.concatenate(results)

    def resized(self, input_size_wh: tuple[int, int]) -> "OpenVinoRuntime":
        """See ``Runtime``; a compiled model has one size, so the file is compiled again."""
        if self._fixed_size:
            raise UserError(fixed_size_message(self._path, self.input_size_wh, input_size_wh))
        return OpenVinoRuntime(self._path, input_size_wh, self._asked_threads)

    def __reduce__(self) -> tuple[Callable[..., Runtime], tuple[Any, ...]]:
        """Pickle the name of the file, which is opened again."""
        arguments = (self._path.absolute(), self.input_size_wh, self._asked_threads)
        return reopened, (OpenVinoRuntime, arguments, self.input_size_wh)


def _dims(port: Any) -> list[int | str]:
    """Return the dimensions of an input or output; those that are not fixed as text."""
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        return []
    return [dim.get_length() if dim.is_static else str(dim) for dim in shape]
