"""ONNX models on OpenVINO's CPU device."""

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.keypoints.crop import normalize
from litehrnet.optional import require
from litehrnet.runtimes.graph import graph_info, graph_shapes
from litehrnet.runtimes.onnxfile import read_info
from litehrnet.variants import DEFAULT_INPUT_SIZE_WH

if TYPE_CHECKING:
    from openvino import Core


@cache
def openvino_core() -> "Core":
    """The core that everything here shares, never given back.

    Every core with a CPU plugin puts a stack for signal handlers into its thread and, when it is destroyed, the one
    that it found there before. Of two cores that are destroyed in the order in which they were made, the second puts
    back the first one's stack, which is unmapped by then: the next signal with a handler, such as Ctrl-C, ends the
    process (OpenVINO 2026.4).
    """
    import openvino

    return openvino.Core()


class OpenVinoRuntime:
    """A ``Runtime`` for an ONNX model; arguments and errors as those of ``OnnxRuntime``."""

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
        shapes = graph_shapes(dims[0], dims[1], path)
        self.info = graph_info(described, shapes, path)
        self.input_size_wh = shapes.input_size_wh or self.info.input_size_wh or input_size_wh or DEFAULT_INPUT_SIZE_WH
        width, height = self.input_size_wh
        # One crop at a time, as many in flight as there are threads: its fastest mode for this network.
        model.reshape([1, 3, height, width])
        threads = threads or os.cpu_count() or 1
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": threads,
        }
        self._compiled = core.compile_model(model, "CPU", settings)
        self._queue = openvino.AsyncInferQueue(self._compiled, threads)
        self.description = f"openvino {openvino.__version__.split('-')[0]}, float32, {threads} threads"

    def heatmaps(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``Runtime``."""
        images = normalize(crops, self.info.mean, self.info.std)
        results: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(images)

        def keep(request: object, index: int) -> None:
            results[index] = request.get_output_tensor(0).data.copy()  # type: ignore[attr-defined]

        self._queue.set_callback(keep)
        for index in range(len(images)):
            self._queue.start_async({0: images[index : index + 1]}, index)
        self._queue.wait_all()
        return np.concatenate(results)
