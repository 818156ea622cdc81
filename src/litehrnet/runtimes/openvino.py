"""ONNX models on OpenVINO's CPU device."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from litehrnet.arrays import Floats32, Image
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.keypoints.crop import normalize
from litehrnet.optional import require
from litehrnet.processors import default_threads
from litehrnet.runtimes.graph import read_graph
from litehrnet.runtimes.onnxfile import read_info
from litehrnet.runtimes.protocol import Runtime, fixed_size_message, reopened
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

        content = read_bytes(path)
        described = read_info(content, path)
        core = openvino_core()
        try:
            model = core.read_model(content)
        except RuntimeError as error:
            raise UserError(f"{path}: not an ONNX model that OpenVINO can load") from error
        dims = [
            [d.get_length() if d.is_static else str(d) for d in port.get_partial_shape()]
            for port in (model.inputs[0], model.outputs[0])
        ]
        self.info, fixed = read_graph(dims[0], dims[1], described, path)
        self.input_size_wh = fixed or self.info.input_size_wh or input_size_wh or DEFAULT_INPUT_SIZE_WH
        width, height = self.input_size_wh
        # One crop per request, one request per thread: OpenVINO's fastest mode for this network.
        model.reshape([1, 3, height, width])
        self._path, self._fixed_size, self._asked_threads = path, fixed is not None, threads
        threads = threads or default_threads()
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": threads,
        }
        self._compiled = core.compile_model(model, "CPU", settings)
        self._queue = openvino.AsyncInferQueue(self._compiled, threads)
        self.description = f"openvino {openvino.__version__.split('-')[0]}, float32, {threads} threads"

    def forward(self, crops: Image) -> Floats32:
        """See ``Runtime``."""
        images = normalize(crops, self.info.mean, self.info.std)
        results: list[Floats32] = [np.empty(0, np.float32)] * len(images)

        def keep(request: object, index: int) -> None:
            results[index] = request.get_output_tensor(0).data.copy()  # type: ignore[attr-defined]

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
