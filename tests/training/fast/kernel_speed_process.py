"""Prints how long each operation of the kernels takes, forward and backward, divided by PyTorch's time for the same.

Processor time, in turn with each other, the median of 15 rounds, as JSON. LITEHRNET_KERNELS names the instruction set.
"""

import copy
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litehrnet.models.blocks import ConditionalChannelWeighting, Fuse, depthwise, pointwise
from litehrnet.training.fast.fused import exchange_of, use_kernels
from litehrnet.training.fast.layers import Norm, Path
from litehrnet.training.memory import keep_freed_memory

Run = Callable[[], object]
ROUNDS = 15


def main() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    json.dump({name: _ratio(*runs) for name, runs in _operations().items()}, sys.stdout)


def _operations() -> dict[str, tuple[Run, Run]]:
    """Ours and PyTorch's, on 8 images with channels and sizes of the networks."""
    high, low = _images(40, 32, 24), _images(80, 16, 12)
    norm, unit = nn.BatchNorm2d(40), ConditionalChannelWeighting([40, 80])
    fuse = Fuse([40, 80]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    normed, exchange = Path([Norm(norm, True)]), exchange_of(fuse)
    return {
        "norm": (
            _step(lambda x: [normed(x)], [high]),
            _step(lambda x: [F.relu(norm(x))], [high]),
        ),
        "product and norm": _fused_and_plain(
            nn.Sequential(pointwise(80, 40), nn.BatchNorm2d(40), nn.ReLU()), [_images(80, 32, 24)]
        ),
        "odd product and norm": _fused_and_plain(
            nn.Sequential(pointwise(60, 7), nn.BatchNorm2d(7), nn.ReLU()), [_images(60, 32, 24)]
        ),
        "depthwise": _fused_and_plain(_depthwise_chain(40, 1), [high]),
        "depthwise, halving": _fused_and_plain(_depthwise_chain(40, 2), [high]),
        "unit": _fused_and_plain(unit, [high, low]),
        "exchange": (
            _step(lambda *branches: exchange(branches), [high, low]),
            _step(lambda *branches: [F.relu(y) for y in fuse(list(branches))], [high, low]),
        ),
    }


def _depthwise_chain(channels: int, stride: int) -> nn.Module:
    return nn.Sequential(
        depthwise(channels, stride=stride), nn.BatchNorm2d(channels), pointwise(channels, 40), nn.BatchNorm2d(40)
    )


def _images(channels: int, height: int, width: int) -> Tensor:
    x = torch.randn(8, channels, height, width, generator=torch.Generator().manual_seed(channels))
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


def _fused_and_plain(module: nn.Module, inputs: list[Tensor]) -> tuple[Run, Run]:
    module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fused = copy.deepcopy(module)
    assert use_kernels(fused)
    return _step(_called(fused), inputs), _step(_called(module), inputs)


def _called(module: nn.Module) -> Callable[..., list[Tensor]]:
    if isinstance(module, ConditionalChannelWeighting):
        return lambda *branches: list(module(list(branches)))
    return lambda x: [module(x)]


def _step(forward: Callable[..., list[Tensor]], inputs: list[Tensor]) -> Run:
    gradients = [torch.ones_like(y) for y in forward(*inputs)]
    return lambda: torch.autograd.backward(forward(*inputs), gradients)


def _ratio(ours: Run, theirs: Run) -> float:
    def seconds(run: Run) -> float:
        started = time.process_time()
        run()
        return time.process_time() - started

    seconds(ours), seconds(theirs)
    return statistics.median(seconds(ours) / seconds(theirs) for _ in range(ROUNDS))


if __name__ == "__main__":
    main()
