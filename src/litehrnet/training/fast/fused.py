"""Training steps on a CPU with fewer passes through memory: the same network, computed by the compiled kernels.

A training step of Lite-HRNet is bound by memory: PyTorch reads and writes every activation once per operation, and most
operations do a few additions per number. ``use_kernels`` replaces the ``forward`` of modules for training in float32
and channels last. Parameters, buffers and their names stay. Evaluation and other devices, types and layouts use the
original ``forward``.
"""

from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any, TypeVar

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
from litehrnet.training.fast import kernels
from litehrnet.training.fast.exchange import Exchange, Term
from litehrnet.training.fast.layers import Convolution, Layer, Norm, Path, Product, Separable
from litehrnet.training.fast.weighting import Weighting

T = TypeVar("T")


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


def _made_once(module: nn.Module, key: object, make: Callable[[], T]) -> T:
    """What ``make`` returns; it is called once per module and key. It must not change when the network learns."""
    made: dict[object, T] = module.__dict__.setdefault("_made_for_kernels", {})
    if key not in made:
        made[key] = make()
    return made[key]


def _chain(module: nn.Module, x: Tensor, *names: str) -> Tensor:
    """Compute the layers of some children in order: convolutions, batch normalizations and the ReLUs among them."""

    def make() -> list[Callable[[Tensor], Tensor]]:
        children = [module.get_submodule(name) for name in names]
        return _operations(list(_layers(*children)), x.requires_grad)

    for operation in _made_once(module, (names, x.requires_grad), make):
        x = operation(x)
    return x


def _operations(following: list[nn.Module], requires_grad: bool) -> list[Callable[[Tensor], Tensor]]:
    """The operations that compute modules in order: paths, and modules that the kernels do not know."""
    operations: list[Callable[[Tensor], Tensor]] = []
    path: list[Layer] = []
    while following:
        layer = _take_layer(following, is_image=not operations and not path and not requires_grad)
        if layer is not None:
            path.append(layer)
            continue
        operations += [Path(path)] if path else []
        operations.append(following.pop(0))
        path = []
    return [*operations, Path(path)] if path else operations


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
        return Norm(first, _take_relu(following))
    if not isinstance(first, nn.Conv2d):
        return None
    if first.kernel_size == (1, 1):
        return _take_product(following)
    if first.groups > 1:
        return Separable(*_take_pair(following), _take_product(following))
    if is_image and _is_first_convolution(first) and isinstance(next(iter(following[1:]), None), nn.BatchNorm2d):
        return Convolution(*_take_pair(following), _take_relu(following))
    return None


def _is_first_convolution(layer: nn.Conv2d) -> bool:
    """Whether this is a 3x3 convolution that the kernels know."""
    return (layer.kernel_size, layer.padding, layer.groups, layer.bias) == ((3, 3), (1, 1), 1, None) and (
        layer.stride in ((1, 1), (2, 2)) and layer.weight.is_contiguous(memory_format=torch.channels_last)
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
    return _chain(self, x, *self._modules) if _is_for_kernels(self, x) else nn.Sequential.forward(self, x)  # type: ignore[no-untyped-call]


def _stem(self: Stem, image: Tensor) -> Tensor:
    if not _is_for_kernels(self, image):
        return Stem.forward(self, image)
    a, b = _chain(self, image, "conv1").chunk(2, dim=1)
    b = _chain(self, b, "expand_conv", "depthwise_conv", "linear_conv")
    return channel_shuffle(_chain(self, a, "branch1"), b)


def _projection(self: Projection, x: Tensor) -> Tensor:
    if not _is_for_kernels(self, x):
        return Projection.forward(self, x)
    return _chain(self, x, "depthwise_conv", "pointwise_conv")


def _conditional_channel_weighting(self: ConditionalChannelWeighting, branches: list[Tensor]) -> list[Tensor]:
    if not all(_is_for_kernels(self, x) for x in branches):
        return ConditionalChannelWeighting.forward(self, branches)
    return _made_once(self, None, lambda: Weighting(self))(branches)


def _fused_module(self: FusedModule, branches: list[Tensor]) -> list[Tensor]:
    if not all(_is_for_kernels(self, x) for x in branches):
        return FusedModule.forward(self, branches)
    exchange = _made_once(self, None, lambda: exchange_of(self.fuse_layers))
    return exchange(self.layers(branches))


def exchange_of(fuse: Fuse) -> Exchange:
    """The terms of every output of a fuse layer: its maps, without the layers that enlarge."""
    numbers = range(len(fuse))
    return Exchange([[_term(fuse, i, j) for j in numbers if j != i] for i in numbers], fuse.rectified)


def _term(fuse: Fuse, i: int, j: int) -> Term:
    """The term of branch j in output i."""
    maps = fuse[i]
    assert isinstance(maps, nn.ModuleDict)
    following = list(_layers(maps[str(j)]))
    if j < i:
        return Term(j, _path(following), 1, 2.0 if j == 0 else 1.0)
    return Term(j, _path(following[:-1]), 2 ** (j - i), 1.0)  # the sum enlarges it


_FORWARD: dict[type[nn.Module], Callable[..., Any]] = {
    nn.Sequential: _sequential,
    Stem: _stem,
    Projection: _projection,
    ConditionalChannelWeighting: _conditional_channel_weighting,
    FusedModule: _fused_module,
}
