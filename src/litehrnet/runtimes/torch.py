"""PyTorch, for safetensors files, checkpoints, and networks in training."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from litehrnet.arrays import Floats32, Image
from litehrnet.errors import UserError
from litehrnet.keypoints.crop import normalize
from litehrnet.optional import require
from litehrnet.processors import default_threads
from litehrnet.variants import DEFAULT_INPUT_SIZE_WH, check_input_size
from litehrnet.weights.weights_file import WeightsInfo

if TYPE_CHECKING:
    import torch

    from litehrnet.models.networks import Network


class TorchRuntime:
    """A ``Runtime`` for a network in memory.

    Args:
        network: The network, on the device that runs it.
        info: Metadata of its weights.
        input_size_wh: (width, height) of the crops.
        precision: Precision of the convolutions: ``float32``, ``bf16`` or ``fp16``; the weights stay in float32.
        compiled: Use ``torch.compile``, which compiles at the first crops.

    Raises:
        UserError: The network does not support this input size.
    """

    def __init__(
        self,
        network: Network,
        info: WeightsInfo,
        input_size_wh: tuple[int, int],
        *,
        precision: str = "float32",
        compiled: bool = False,
    ) -> None:
        import torch

        check_input_size(*input_size_wh)
        self.network, self.info, self.input_size_wh = network, info, input_size_wh
        self.device = next(network.parameters()).device
        self._precision, self._compiled = precision, compiled
        self._dtype = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        self._forward = torch.compile(network) if compiled else network
        where = f"{torch.get_num_threads()} threads" if self.device.type == "cpu" else str(self.device)
        how = f"{precision}, compiled" if compiled else precision
        self.description = f"torch {torch.__version__}, {how}, {where}"

    def forward(self, crops: Image) -> Floats32:
        """See ``Runtime``; the network is switched to evaluation mode for the call."""
        import torch

        with torch.inference_mode(), self._evaluating():
            images = torch.from_numpy(normalize(crops, self.info.mean, self.info.std)).to(self.device)
            images = images.contiguous(memory_format=torch.channels_last)
            heatmaps: Floats32 = self._forward(images).float().cpu().contiguous().numpy()
        return heatmaps

    def maps(self, crops: torch.Tensor) -> torch.Tensor:
        """Run crops that are on the network's device already: uint8 (n, height, width, 3), RGB.

        Returns:
            float32 (n, maps, h, w) on the device, like those of ``forward``.
        """
        import torch

        mean, std = (255 * torch.tensor(values, device=self.device) for values in (self.info.mean, self.info.std))
        with torch.no_grad(), self._evaluating():
            found: torch.Tensor = self._forward(((crops - mean) / std).permute(0, 3, 1, 2)).float()
        return found

    @contextlib.contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Run a block in evaluation mode and in the precision of this runtime."""
        import torch

        training = self.network.training
        self.network.eval()
        with torch.autocast(self.device.type, self._dtype, enabled=self._dtype is not torch.float32):
            yield
        self.network.train(training)

    def resized(self, input_size_wh: tuple[int, int]) -> TorchRuntime:
        """See ``Runtime``."""
        check_input_size(*input_size_wh)
        other = copy.copy(self)
        other.input_size_wh = input_size_wh
        return other

    def __reduce__(self) -> tuple[Callable[..., TorchRuntime], tuple[Any, ...]]:
        """Pickle the network with its weights: it may be in memory only."""
        import torch

        settings = {"precision": self._precision, "compiled": self._compiled}
        return _unpickled, (self.network, self.info, self.input_size_wh, settings, torch.get_num_threads())


def _unpickled(
    network: Network, info: WeightsInfo, input_size_wh: tuple[int, int], settings: dict[str, Any], threads: int
) -> TorchRuntime:
    import torch

    torch.set_num_threads(threads)
    return TorchRuntime(network, info, input_size_wh, **settings)


def open_torch(
    path: Path,
    input_size_wh: tuple[int, int] | None = None,
    threads: int | None = None,
    precision: str = "float32",
    device: str = "cpu",
    compiled: bool = False,
) -> TorchRuntime:
    """Load safetensors or a PyTorch checkpoint, in channels last; arguments as for ``open_runtime``.

    ``threads`` applies to the whole process. ``fp16`` only works on a GPU.

    Raises:
        UserError: PyTorch is not installed or does not have the device. The file is missing, damaged, or does not hold
            weights of these networks. The network does not support this input size. Or ``torch.compile`` fails.
    """
    require("torch", "train", f"{path}: reading this format")
    import torch

    from litehrnet.models.networks import channels_last
    from litehrnet.models.weights import load_network

    network, info = load_network(path)
    torch.set_num_threads(threads or default_threads())
    place = _device(device)
    if place.type == "cpu" and precision == "fp16":
        raise UserError("precision fp16: only works on a GPU (expected bf16 or float32 on a CPU, or another device)")
    network = channels_last(network.to(place))
    size = info.size_for(input_size_wh) or DEFAULT_INPUT_SIZE_WH
    runtime = TorchRuntime(network, info, size, precision=precision, compiled=compiled)
    if compiled:
        _compile_now(runtime)
    return runtime


def _device(name: str) -> torch.device:
    import torch

    try:
        place = torch.device(name)
        torch.empty(1, device=place).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"device {name}: PyTorch does not have it (expected cpu, cuda, cuda:1, ...)") from error
    return place


def _compile_now(runtime: TorchRuntime) -> None:
    """Compile when the weights are opened, so that errors such as a missing C++ compiler appear at once."""
    width, height = runtime.input_size_wh
    try:
        runtime.forward(np.zeros((1, height, width, 3), np.uint8))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise UserError(f"torch.compile fails here ({reason}; expected a C++ compiler)") from error
