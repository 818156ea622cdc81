"""PyTorch, for weights that are not exported (safetensors of ours, checkpoints of others) and networks in training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from litehrnet.keypoints.crop import normalize
from litehrnet.optional import require
from litehrnet.variants import DEFAULT_INPUT_SIZE_WH, check_input_size
from litehrnet.weightsfile import WeightsInfo

if TYPE_CHECKING:
    from litehrnet.models.lite_hrnet import PoseNetwork


class TorchRuntime:
    """A ``Runtime`` for a network in memory, in float32.

    Args:
        network: On the device where it is to run.
        info: What it is.
        input_size_wh: (width, height) of its crops.

    Raises:
        UserError: The network cannot take images of this size.
    """

    def __init__(self, network: PoseNetwork, info: WeightsInfo, input_size_wh: tuple[int, int]) -> None:
        import torch

        check_input_size(*input_size_wh)
        self.network, self.info, self.input_size_wh = network, info, input_size_wh
        self.device = next(network.parameters()).device
        where = f"{torch.get_num_threads()} threads" if self.device.type == "cpu" else str(self.device)
        self.description = f"torch {torch.__version__}, float32, {where}"

    def heatmaps(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``Runtime``; the network is in evaluation mode meanwhile."""
        import torch

        training = self.network.training
        self.network.eval()
        with torch.inference_mode():
            images = torch.from_numpy(normalize(crops, self.info.mean, self.info.std)).to(self.device)
            heatmaps: NDArray[np.float32] = self.network(images).float().cpu().numpy()
        self.network.train(training)
        return heatmaps


def open_torch(path: Path, input_size_wh: tuple[int, int] | None = None, threads: int | None = None) -> TorchRuntime:
    """Load safetensors or a PyTorch checkpoint, onto the CPU.

    Args:
        path: The weights.
        input_size_wh: (width, height) where the file does not say; (192, 256) where nothing does.
        threads: CPU threads, of the whole process; None for all.

    Raises:
        UserError: PyTorch is not installed; the file is missing, damaged or no weights of these networks; the network
            cannot take images of this size.
    """
    require("torch", "train", f"{path}: reading this format")
    import torch

    from litehrnet.models.weights import load_network

    network, info = load_network(path)
    torch.set_num_threads(threads or os.cpu_count() or 1)
    return TorchRuntime(network, info, info.input_size_wh or input_size_wh or DEFAULT_INPUT_SIZE_WH)
