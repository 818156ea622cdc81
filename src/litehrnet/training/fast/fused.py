"""Training steps on a CPU with fewer passes through memory: the same network, computed by the compiled kernels.

A training step of Lite-HRNet is bound by memory: PyTorch reads and writes every activation once per operation, and most
operations do a few additions per number. ``use_kernels`` replaces the ``forward`` of modules for training in float32
and channels last. Parameters, buffers and their names stay. Evaluation and other devices, types and layouts use the
original ``forward``.
"""

from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from litehrnet.models.blocks import (
    ConditionalChannelWeighting,
    ConvBlock,
    Fuse,
    Stem,
    TwiceTrackedBatchNorm,
    channel_shuffle,
)
from litehrnet.models.heads import Projection
from litehrnet.models.lite_hrnet import FusedModule
from litehrnet.training.fast import exchange, kernels, layers, weighting
from litehrnet.training.fast.layers import Layer, Product, Separable


def use_kernels(network: nn.Module) -> bool:
    """Compute the training steps of a network by the kernels, if they support it.

    Args:
        network: Changed in place: the ``forward`` of its modules is replaced.

    Returns:
        Whether it was done. It is not if the kernels were not built or batch normalization is not PyTorch's own.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not kernels.available or any(type(m) not in (nn.BatchNorm2d, TwiceTrackedBatchNorm) for m in norms):
        return False
    for module in network.modules():
        forward = _FORWARD.get(type(module))
        if forward is not None and (type(module) is not nn.Sequential or _is_chain(module)):
            module.forward = MethodType(forward, module)
    return True


def _is_for_kernels(module: nn.Module, x: Tensor) -> bool:
    return (
        module.training
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.stride(1) == 1
        and not torch.is_autocast_enabled("cpu")
    )


def _is_chain(module: nn.Module) -> bool:
    """Whether all layers are layers that ``_chain`` knows."""
    layers = list(_layers(module))
    return len(layers) > 1 and all(isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.ReLU) for layer in layers)


def _layers(*modules: nn.Module) -> Iterator[nn.Module]:
    """Yield layers in the order in which they are computed."""
    for module in modules:
        if isinstance(module, ConvBlock | nn.Sequential):
            yield from _layers(*module.children())
        else:
            yield module


def _chain(x: Tensor, *modules: nn.Module) -> Tensor:
    """Compute convolutions and batch normalizations in order, with the ReLUs among them."""
    following = list(_layers(*modules))
    path: list[Layer] = []
    while following:
        layer = _take_layer(following, is_image=not path and not x.requires_grad)
        if layer is not None:
            path.append(layer)
            continue
        x, path = following.pop(0)(layers.path(path, x) if path else x), []
    return layers.path(path, x) if path else x


def _path(following: list[nn.Module]) -> list[Product | Separable]:
    """Layers for the kernels from 1x1 and depthwise convolutions with batch normalizations and ReLUs."""
    path = []
    while following:
        layer = _take_layer(following, is_image=False)
        assert isinstance(layer, Product | Separable)
        path.append(layer)
    return path


def _take_layer(following: list[nn.Module], *, is_image: bool) -> Layer | None:
    """Take the modules of the next layer off the list and return that layer; None if the kernels have no such layer.

    Args:
        following: Modules in the order in which they are computed.
        is_image: Whether the layer reads images that need no gradient.
    """
    first = following[0]
    if isinstance(first, nn.BatchNorm2d):
        del following[0]
        return layers.Norm(first, _take_relu(following))
    if not isinstance(first, nn.Conv2d):
        return None
    if first.kernel_size == (1, 1):
        return _take_product(following)
    if first.groups > 1:
        return Separable(*_take_pair(following), _take_product(following))
    if is_image and _is_first_convolution(first) and isinstance(next(iter(following[1:]), None), nn.BatchNorm2d):
        return layers.Convolution(*_take_pair(following), _take_relu(following))
    return None


def _is_first_convolution(layer: nn.Conv2d) -> bool:
    """Whether this is a 3x3 convolution that the kernels know."""
    return (layer.kernel_size, layer.padding, layer.groups, layer.bias) == ((3, 3), (1, 1), 1, None) and (
        layer.stride in ((1, 1), (2, 2))
    )


def _take_product(following: list[nn.Module]) -> Product:
    return Product(*_take_pair(following), _take_relu(following))


def _take_pair(following: list[nn.Module]) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """Remove a convolution and the batch normalization after it."""
    conv, norm = following[:2]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    del following[:2]
    return conv, norm


def _take_relu(following: list[nn.Module]) -> bool:
    """Remove a ReLU that comes next; return whether there was one."""
    is_next = bool(following) and isinstance(following[0], nn.ReLU)
    del following[: int(is_next)]
    return is_next


def _sequential(self: nn.Sequential, x: Tensor) -> Tensor:
    return _chain(x, *self) if _is_for_kernels(self, x) else nn.Sequential.forward(self, x)  # type: ignore[no-untyped-call]


def _stem(self: Stem, image: Tensor) -> Tensor:
    if not _is_for_kernels(self, image):
        return Stem.forward(self, image)
    a, b = _chain(image, self.conv1).chunk(2, dim=1)
    b = _chain(b, self.expand_conv, self.depthwise_conv, self.linear_conv)
    return channel_shuffle(_chain(a, self.branch1), b)


def _projection(self: Projection, x: Tensor) -> Tensor:
    if not _is_for_kernels(self, x):
        return Projection.forward(self, x)
    return _chain(x, self.depthwise_conv, self.pointwise_conv)


def _conditional_channel_weighting(self: ConditionalChannelWeighting, branches: list[Tensor]) -> list[Tensor]:
    if not all(_is_for_kernels(self, x) for x in branches):
        return ConditionalChannelWeighting.forward(self, branches)
    return weighting.weighted(self, branches)


def _fused_module(self: FusedModule, branches: list[Tensor]) -> list[Tensor]:
    if not all(_is_for_kernels(self, x) for x in branches):
        return FusedModule.forward(self, branches)
    return exchange.exchanged(exchange_of(self.fuse_layers), self.layers(branches))


def exchange_of(fuse: Fuse) -> exchange.Exchange:
    """The terms of every output of a fuse layer: its maps, without the layers that enlarge."""
    numbers = range(len(fuse))
    return exchange.Exchange([[_term(fuse, i, j) for j in numbers if j != i] for i in numbers], fuse.rectified)


def _term(fuse: Fuse, i: int, j: int) -> exchange.Term:
    """The term of branch j in output i."""
    maps = fuse[i]
    assert isinstance(maps, nn.ModuleDict)
    following = list(_layers(maps[str(j)]))
    if j < i:
        return exchange.Term(j, _path(following), 1, 2.0 if j == 0 else 1.0)
    return exchange.Term(j, _path(following[:-1]), 2 ** (j - i), 1.0)  # the sum enlarges it


_FORWARD: dict[type[nn.Module], Callable[..., Any]] = {
    nn.Sequential: _sequential,
    Stem: _stem,
    Projection: _projection,
    ConditionalChannelWeighting: _conditional_channel_weighting,
    FusedModule: _fused_module,
}
