"""PyTorch, for weights that are not exported: safetensors of ours and checkpoints of others."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from litehrnet.keypoints.crop import normalize
from litehrnet.optional import require
from litehrnet.variants import DEFAULT_INPUT_SIZE_WH, check_input_size


class TorchRuntime:
    """A ``Runtime`` for safetensors and PyTorch checkpoints, in float32 on the CPU.

    Args:
        path: The weights.
        input_size_wh: (width, height) where the file does not say; (192, 256) where nothing does.
        threads: CPU threads, of the whole process; None for all.

    Raises:
        UserError: PyTorch is not installed; the file is missing, damaged or no weights of these networks; the network
            cannot take images of this size.
    """

    def __init__(self, path: Path, input_size_wh: tuple[int, int] | None = None, threads: int | None = None) -> None:
        require("torch", "train", f"{path}: reading this format")
        import torch

        from litehrnet.models.weights import load_network

        self.network, self.info = load_network(path)
        self.input_size_wh = self.info.input_size_wh or input_size_wh or DEFAULT_INPUT_SIZE_WH
        check_input_size(*self.input_size_wh)
        torch.set_num_threads(threads or os.cpu_count() or 1)
        self.description = f"torch {torch.__version__}, float32, {torch.get_num_threads()} threads"

    def heatmaps(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``Runtime``."""
        import torch

        with torch.inference_mode():
            images = torch.from_numpy(normalize(crops, self.info.mean, self.info.std))
            heatmaps: NDArray[np.float32] = self.network(images).numpy()
        return heatmaps
