"""The engine's reference in NumPy, for installs without the compiled engine: the same results, but slower."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from litehrnet.arrays import Floats32, Image
from litehrnet.engine.program import Program
from litehrnet.engine.reference import run_program
from litehrnet.runtimes.native import read_compilable
from litehrnet.runtimes.protocol import Runtime, reopened
from litehrnet.variants import DEFAULT_INPUT_SIZE_WH
from litehrnet.weights.weights_file import WeightsInfo


class NumpyRuntime:
    """A ``Runtime`` that runs the steps of a compiled program in NumPy.

    Args:
        compile_at: Compiles the weights for a (width, height).
        info: Metadata of the weights.
        source: The file, to pickle its name.
        input_size_wh: (width, height) of the crops.

    Raises:
        UserError: The network does not support this input size.
    """

    def __init__(
        self,
        compile_at: Callable[[tuple[int, int]], Program],
        info: WeightsInfo,
        source: Path,
        input_size_wh: tuple[int, int],
    ) -> None:
        self._program = compile_at(input_size_wh)
        self._compile_at, self._source = compile_at, source
        self.info, self.input_size_wh = info, input_size_wh
        self.description = f"numpy {np.__version__}, float32"

    def forward(self, crops: Image) -> Floats32:
        """See ``Runtime``."""
        return run_program(self._program, crops).astype(np.float32, copy=False)

    def resized(self, input_size_wh: tuple[int, int]) -> "NumpyRuntime":
        """See ``Runtime``."""
        return NumpyRuntime(self._compile_at, self.info, self._source, input_size_wh)

    def __reduce__(self) -> tuple[Callable[..., Runtime], tuple[Any, ...]]:
        """Pickle the name of the file, which is opened again."""
        return reopened, (open_numpy, (self._source.absolute(), self.input_size_wh), self.input_size_wh)


def open_numpy(path: Path, input_size_wh: tuple[int, int] | None = None) -> NumpyRuntime:
    """Compile weights for NumPy: ``.safetensors`` or a PyTorch checkpoint.

    Args:
        path: The file.
        input_size_wh: (width, height) of the crops if the file does not state it; None for (192, 256).

    Raises:
        UserError: As in ``native.compile_weights``.
    """
    compile_at, info = read_compilable(path)
    return NumpyRuntime(compile_at, info, path, info.size_for(input_size_wh) or DEFAULT_INPUT_SIZE_WH)
