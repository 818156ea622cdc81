"""Training steps on a CPU with fewer passes through memory: the same network, computed by the compiled kernels.

A training step of Lite-HRNet is bound by memory: PyTorch reads and writes every activation once per operation, and most
operations do a few additions per number. ``use_kernels`` replaces the ``forward`` of modules for training in float32
and channels last. Parameters, buffers and their names stay. Evaluation and other devices, types and layouts use the
original ``forward``.
"""

from collections.abc import Callable, Iterator, Sequence
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
from litehrnet.training.fast import convolutions, kernels, sums, weighting
from litehrnet.training.fast.layouts import SharedGradient


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


def _chain(x: Tensor, *modules: nn.Module, shared: SharedGradient | None = None) -> Tensor:
    """Compute convolutions and batch normalizations in order, with the ReLUs among them.

    ``shared`` is the gradient of ``x``; then the first layer must be a 1x1 or a depthwise convolution.
    """
    layers = list(_layers(*modules))
    while layers:
        layer = layers.pop(0)
        if isinstance(layer, nn.BatchNorm2d):
            x = convolutions.norm(x, layer, relu=_take_relu(layers))
        elif isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1):
            x = _pointwise(x, layer, layers, shared=shared)
        elif isinstance(layer, nn.Conv2d) and layer.groups > 1:
            norm, pointwise = layers.pop(0), layers.pop(0)
            assert isinstance(norm, nn.BatchNorm2d)
            assert isinstance(pointwise, nn.Conv2d)
            x, *affine = convolutions.depthwise_norm(x, layer, norm, shared)
            x = _pointwise(x, pointwise, layers, (affine[0], affine[1]))
        elif isinstance(layer, nn.Conv2d) and _is_first_convolution(layer, x, layers):
            norm = layers.pop(0)
            assert isinstance(norm, nn.BatchNorm2d)
            x = convolutions.convolution_norm(x, layer, norm, relu=_take_relu(layers))
        else:
            x = layer(x)
        shared = None
    return x


def _is_first_convolution(layer: nn.Conv2d, x: Tensor, following: list[nn.Module]) -> bool:
    """Whether this is a 3x3 convolution of images that need no gradient, with batch normalization after it."""
    return (
        (layer.kernel_size, layer.padding, layer.groups, layer.bias) == ((3, 3), (1, 1), 1, None)
        and layer.stride in ((1, 1), (2, 2))
        and not x.requires_grad
        and isinstance(next(iter(following), None), nn.BatchNorm2d)
    )


def _pointwise(
    x: Tensor,
    layer: nn.Conv2d,
    following: list[nn.Module],
    affine: tuple[Tensor, Tensor] | None = None,
    shared: SharedGradient | None = None,
) -> Tensor:
    """A 1x1 convolution of ``x``, or of ``x`` times a factor plus an offset; then batch normalization, and ReLU."""
    norm = following.pop(0)
    assert isinstance(norm, nn.BatchNorm2d)
    assert layer.bias is None
    return convolutions.product_norm(x, layer, norm, relu=_take_relu(following), affine=affine, shared=shared)


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
    layers = self.cross_resolution_weighting
    pooled, branches = weighting.pooled_halves(branches)
    cells = torch.sigmoid(_chain(pooled, layers.conv1, layers.conv2))
    return weighting.weighted_halves(self, cells, branches)


def _fused_module(self: FusedModule, branches: list[Tensor]) -> list[Tensor]:
    if not all(_is_for_kernels(self, x) for x in branches):
        return FusedModule.forward(self, branches)
    return _exchange(self.fuse_layers, self.layers(branches))


def _exchange(layers: Fuse, branches: Sequence[Tensor]) -> list[Tensor]:
    """``Fuse`` and the ReLU after it: branch 0 counts twice, and the lower branches get its sum, maybe rectified."""
    sources, outputs = list(branches), []
    shared: list[SharedGradient | None] = [SharedGradient() for _ in branches]
    for i, x in enumerate(branches):
        terms = [_term(layers, i, j, source, shared[j]) for j, source in enumerate(sources) if j != i]
        total, rectified = sums.fused_sum(x, 2.0 if i == 0 else 1.0, terms, shared[i])
        if i == 0:
            # The next module also reads the rectified sum, so PyTorch adds its gradients.
            sources[0], shared[0] = (rectified, None) if layers.rectified else (total, SharedGradient())
        outputs.append(rectified)
    return outputs


def _term(layers: Fuse, i: int, j: int, x: Tensor, shared: SharedGradient | None) -> sums.FuseTerm:
    """The term of branch j in output i."""
    maps = layers[i]
    assert isinstance(maps, nn.ModuleDict)
    path = list(_layers(maps[str(j)]))
    if j < i:
        return sums.FuseTerm(_chain(x, *path, shared=shared), 1, 2.0 if j == 0 else 1.0)
    return sums.FuseTerm(_chain(x, *path[:-1], shared=shared), 2 ** (j - i), 1.0)  # enlarged as it is added


_FORWARD: dict[type[nn.Module], Callable[..., Any]] = {
    nn.Sequential: _sequential,
    Stem: _stem,
    Projection: _projection,
    ConditionalChannelWeighting: _conditional_channel_weighting,
    FusedModule: _fused_module,
}
