"""ONNX models on ONNX Runtime's CPU provider."""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.arrays import Floats32, Image
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes
from litehrnet.keypoints.crop import normalize
from litehrnet.processors import default_threads
from litehrnet.runtimes.graph import read_graph
from litehrnet.runtimes.onnxfile import read_info
from litehrnet.runtimes.protocol import Runtime, fixed_size_message, reopened
from litehrnet.variants import DEFAULT_INPUT_SIZE_WH


class OnnxRuntime:
    """A ``Runtime`` for an ONNX model.

    Every thread runs the network on one crop at a time. The activations of a batch would not fit the caches, and the
    layers are too small to be divided among threads (benchmarks/pipeline.py measures both).

    Args:
        path: A model from ``litehrnet export``, or another one that maps images (n, 3, H, W) to heatmaps
            (n, keypoints, h, w).
        input_size_wh: (width, height) if the model does not fix it.
        threads: Number of CPU threads; None for all.

    Raises:
        UserError: The file is missing, damaged, or not such a model.
    """

    def __init__(self, path: Path, input_size_wh: tuple[int, int] | None = None, threads: int | None = None) -> None:
        import onnxruntime

        content = read_bytes(path)
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
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or not outputs:
            raise UserError(f"{path}: has {len(inputs)} inputs (expected one: images)")
        self.info, fixed = read_graph(inputs[0].shape, outputs[0].shape, described, path)
        self.input_size_wh = fixed or self.info.input_size_wh or input_size_wh or DEFAULT_INPUT_SIZE_WH
        self._fixed_size = fixed is not None
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
        image = normalize(crop[None], self.info.mean, self.info.std)
        heatmaps: Floats32 = self._session.run(None, {self._session.get_inputs()[0].name: image})[0]
        return heatmaps


def first_line(error: Exception) -> str:
    """Return the first line of a library's message, or the name of the error without one."""
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
