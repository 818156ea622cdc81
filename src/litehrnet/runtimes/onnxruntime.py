"""ONNX models on ONNX Runtime's CPU provider."""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.arrays import Floats32, Image
from litehrnet.errors import UserError
from litehrnet.io.archives import read_data_file
from litehrnet.keypoints.crop import normalize
from litehrnet.optional import require
from litehrnet.processors import default_threads
from litehrnet.runtimes.graph import GraphShapes, graph_info, graph_shapes, simcc_info
from litehrnet.runtimes.onnxfile import read_info
from litehrnet.runtimes.protocol import Runtime, fixed_size_message, reopened
from litehrnet.runtimes.sdk import model_file, read_pipeline
from litehrnet.variants import DEFAULT_INPUT_SIZE_WH


class OnnxRuntime:
    """A ``Runtime`` for an ONNX model.

    Every thread runs the network on one crop at a time. The activations of a batch would not fit the caches, and the
    layers are too small to be divided among threads (benchmarks/pipeline.py measures both).

    Args:
        path: A model from ``litehrnet export``, or another one that maps images (n, 3, H, W) to heatmaps
            (n, keypoints, h, w), or to the two outputs of a SimCC head: bins along x (n, keypoints, bins) and along y.
            Or a zip archive of MMDeploy with such a model.
        input_size_wh: (width, height) if the model does not fix it.
        threads: Number of CPU threads; None for all.

    Raises:
        UserError: The file is missing, damaged, or not such a model.
    """

    def __init__(self, path: Path, input_size_wh: tuple[int, int] | None = None, threads: int | None = None) -> None:
        require("onnxruntime", "onnx", f"{path}: running an ONNX model")
        import onnxruntime

        file = model_file(path)
        content = read_data_file(file)
        described = read_info(content, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # users cannot act on warnings about the models of others
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # ONNX Runtime's exceptions share no public base class.
            raise UserError(f"{path}: not an ONNX model that ONNX Runtime can load ({first_line(error)})") from error
        self._session, self._path, self._asked_threads = session, path, threads
        shapes = _shapes(session, path)
        if shapes.maps is None:
            pipeline = read_pipeline(file)
            size_wh = shapes.input_size_wh or pipeline.input_size_wh or input_size_wh or DEFAULT_INPUT_SIZE_WH
            self.info = simcc_info(self._outputs_for_black(size_wh), size_wh, pipeline, path)
        else:
            self.info = graph_info(described, shapes.maps, path)
            size_wh = shapes.input_size_wh or self.info.input_size_wh or input_size_wh or DEFAULT_INPUT_SIZE_WH
        self.input_size_wh = size_wh
        self._fixed_size = shapes.input_size_wh is not None
        threads = threads or default_threads()
        self.description = f"onnxruntime {onnxruntime.__version__}, float32, {threads} threads"
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="litehrnet")

    def forward(self, crops: Image) -> Floats32:
        """See ``Runtime``."""
        return np.concatenate(list(self._threads.map(self._one, crops)))

    def resized(self, input_size_wh: tuple[int, int]) -> "OnnxRuntime":
        """See ``Runtime``."""
        if self._fixed_size:
            raise UserError(fixed_size_message(self._path, self.input_size_wh, input_size_wh))
        other = copy.copy(self)
        other.input_size_wh = input_size_wh
        return other

    def __reduce__(self) -> tuple[Callable[..., Runtime], tuple[Any, ...]]:
        """Pickle the name of the file, which is opened again."""
        arguments = (self._path.absolute(), self.input_size_wh, self._asked_threads)
        return reopened, (OnnxRuntime, arguments, self.input_size_wh)

    def _one(self, crop: Image) -> Floats32:
        outputs = self._run(normalize(crop[None], self.info.mean, self.info.std))
        return outputs[0] if self.info.simcc_bins_wh is None else np.concatenate(outputs, axis=2)

    def _run(self, image: Floats32) -> list[Floats32]:
        outputs: list[Floats32] = self._session.run(None, {self._session.get_inputs()[0].name: image})
        return outputs

    def _outputs_for_black(self, size_wh: tuple[int, int]) -> list[Floats32]:
        width, height = size_wh
        try:
            return self._run(np.zeros((1, 3, height, width), np.float32))
        except Exception as error:
            raise UserError(f"{self._path}: does not run on {width}x{height} images ({first_line(error)})") from error


def _shapes(session: Any, path: Path) -> GraphShapes:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or not outputs:
        raise UserError(f"{path}: has {len(inputs)} inputs (expected one: images)")
    return graph_shapes(inputs[0].shape, [output.shape for output in outputs], path)


def first_line(error: Exception) -> str:
    """Return the first line of a library's message, or the name of the error without one."""
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
