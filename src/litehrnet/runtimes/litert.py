"""LiteRT models (``.tflite``) on LiteRT's CPU kernels, XNNPACK."""

import threading
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
from litehrnet.runtimes.litertfile import read_info
from litehrnet.runtimes.protocol import Runtime, fixed_size_message, reopened


class LiteRtRuntime:
    """A ``Runtime`` for a LiteRT model that ``litehrnet export`` wrote, with its one input size.

    Each thread has one interpreter, and runs the network on one crop at a time.

    Args:
        path: The model.
        threads: Number of CPU threads; None for all.

    Raises:
        UserError: LiteRT is not installed. Or the file is missing, damaged, or not such a model.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        require("ai_edge_litert", "litert", "the runtime litert")
        from importlib import metadata

        self._content = read_data_file(path)
        self.info = read_info(self._content, path)
        self._path, self._asked_threads = path, threads
        threads = threads or default_threads()
        self._own = threading.local()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="litehrnet")
        height, width = self._threads.submit(self._input_size_hw).result()
        self.input_size_wh: tuple[int, int] = (width, height)
        self.description = f"litert {metadata.version('ai-edge-litert')}, float32, {threads} threads"

    def forward(self, crops: Image) -> Floats32:
        """See ``Runtime``."""
        return np.concatenate(list(self._threads.map(self._one, crops)))

    def resized(self, input_size_wh: tuple[int, int]) -> "LiteRtRuntime":
        """See ``Runtime``."""
        raise UserError(fixed_size_message(self._path, self.input_size_wh, input_size_wh))

    def __reduce__(self) -> tuple[Callable[..., Runtime], tuple[Any, ...]]:
        """Pickle the name of the file, which is opened again."""
        return reopened, (LiteRtRuntime, (self._path.absolute(), self._asked_threads), self.input_size_wh)

    def _interpreter(self) -> Any:
        """Return the interpreter of this thread, as an interpreter holds the arrays of one crop."""
        if not hasattr(self._own, "interpreter"):
            from ai_edge_litert.interpreter import Interpreter

            try:
                interpreter = Interpreter(model_content=self._content, num_threads=1)
                interpreter.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                raise UserError(f"{self._path}: not a model that this version of LiteRT can run") from error
            self._own.interpreter = interpreter
        return self._own.interpreter

    def _input_size_hw(self) -> tuple[int, int]:
        height, width = self._interpreter().get_input_details()[0]["shape"][1:3]
        return int(height), int(width)

    def _one(self, crop: Image) -> Floats32:
        interpreter = self._interpreter()
        image = normalize(crop[None], self.info.mean, self.info.std).transpose(0, 2, 3, 1)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ascontiguousarray(image))
        interpreter.invoke()
        maps: Floats32 = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(maps)
