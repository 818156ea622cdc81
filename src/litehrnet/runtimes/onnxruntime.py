"""ONNX models on ONNX Runtime's CPU provider."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.keypoints.crop import normalize
from litehrnet.runtimes.graph import GraphShapes, graph_info, graph_shapes
from litehrnet.runtimes.onnxfile import read_info
from litehrnet.variants import DEFAULT_INPUT_SIZE_WH


class OnnxRuntime:
    """A ``Runtime`` for an ONNX model.

    Every thread runs the network on one crop at a time: the activations of a batch would leave the caches, and the
    layers are too small to be shared by threads (benchmarks/pipeline.py prints both).

    Args:
        path: The model, exported by ``litehrnet export`` or by others with images (n, 3, H, W) in, heatmaps
            (n, keypoints, h, w) out.
        input_size_wh: (width, height) where the model leaves it open.
        threads: CPU threads; None for all.

    Raises:
        UserError: The file is missing, damaged, or no such model.
    """

    def __init__(self, path: Path, input_size_wh: tuple[int, int] | None = None, threads: int | None = None) -> None:
        import onnxruntime

        content = read_bytes(path)
        described = read_info(content, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # warnings about foreign models are of no use to whoever runs them
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # ONNX Runtime's exceptions share no public base class.
            raise UserError(f"{path}: not an ONNX model that ONNX Runtime can load ({_first_line(error)})") from error
        self._session = session
        shapes = _shapes(session, path)
        self.info = graph_info(described, shapes, path)
        self.input_size_wh = shapes.input_size_wh or self.info.input_size_wh or input_size_wh or DEFAULT_INPUT_SIZE_WH
        threads = threads or os.cpu_count() or 1
        self.description = f"onnxruntime {onnxruntime.__version__}, float32, {threads} threads"
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="litehrnet")

    def heatmaps(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``Runtime``."""
        return np.concatenate(list(self._threads.map(self._one, crops)))

    def _one(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        image = normalize(crop[None], self.info.mean, self.info.std)
        heatmaps: NDArray[np.float32] = self._session.run(None, {self._session.get_inputs()[0].name: image})[0]
        return heatmaps


def _shapes(session: Any, path: Path) -> GraphShapes:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or not outputs:
        raise UserError(f"{path}: has {len(inputs)} inputs (expected one: images)")
    return graph_shapes(inputs[0].shape, outputs[0].shape, path)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
