"""Compile Small HRNet (docs/spec/architecture.md, section 21)."""

import numpy as np

from litehrnet.engine.builder import Builder
from litehrnet.engine.fusion import raised
from litehrnet.engine.parameters import Parameters
from litehrnet.engine.program import ABSENT, Activation, Planes, join
from litehrnet.variants import (
    HRNET_BLOCKS_PER_BRANCH,
    HRNET_BOTTLENECK_CHANNELS,
    HRNET_LAYER1_CHANNELS,
    HRNET_STEM_CHANNELS,
    Variant,
)


def small_hrnet(b: Builder, p: Parameters, variant: Variant, image: Planes) -> Planes:
    """Compile the backbone; returns the branch of the highest resolution."""
    c0, c1, c2, c3 = variant.channels
    x = _conv(b, p, "backbone.conv1", "backbone.bn1", image, HRNET_STEM_CHANNELS, stride=2)
    x = _conv(b, p, "backbone.conv2", "backbone.bn2", x, HRNET_STEM_CHANNELS, stride=2)
    x = _bottleneck(b, p, "backbone.layer1.0", x)
    first = _sequence(b, p, "backbone.transition1.0", x, c0, stride=1)
    branches = _module(b, p, "backbone.stage2.0", [first, _sequence(b, p, "backbone.transition1.1.0", x, c1)], 2)
    branches.append(_sequence(b, p, "backbone.transition2.2.0", branches[-1], c2))
    branches = _module(b, p, "backbone.stage3.0", branches, 3)
    branches.append(_sequence(b, p, "backbone.transition3.3.0", branches[-1], c3))
    return _module(b, p, "backbone.stage4.0", branches, 1)[0]


def _conv(
    b: Builder,
    p: Parameters,
    conv: str,
    norm: str,
    x: Planes,
    channels: int,
    activation: Activation = Activation.RELU,
    stride: int = 1,
    addend: Planes = ABSENT,
) -> Planes:
    return b.convolution(conv, x, p.folded(conv, norm, (channels, len(x), 3, 3)), activation, stride, addend=addend)


def _sequence(b: Builder, p: Parameters, name: str, x: Planes, channels: int, stride: int = 2) -> Planes:
    return _conv(b, p, f"{name}.0", f"{name}.1", x, channels, stride=stride)


def _bottleneck(b: Builder, p: Parameters, name: str, x: Planes) -> Planes:
    """The residual block; its last convolution and the shortcut are one product."""
    hidden, channels = HRNET_BOTTLENECK_CHANNELS, HRNET_LAYER1_CHANNELS
    first = p.folded(f"{name}.conv1", f"{name}.bn1", (hidden, len(x), 1, 1))
    y = b.pointwise(f"{name}.conv1", x, first, Activation.RELU)
    y = _conv(b, p, f"{name}.conv2", f"{name}.bn2", y, hidden)
    weight, bias = p.folded(f"{name}.conv3", f"{name}.bn3", (channels, hidden, 1, 1))
    shortcut, offset = p.folded(f"{name}.downsample.0", f"{name}.downsample.1", (channels, len(x), 1, 1))
    product = np.hstack([weight, shortcut]), bias + offset
    return b.pointwise(f"{name}.conv3", join([y, x]), product, Activation.RELU)


def _basic_block(b: Builder, p: Parameters, name: str, x: Planes) -> Planes:
    y = _conv(b, p, f"{name}.conv1", f"{name}.bn1", x, len(x))
    return _conv(b, p, f"{name}.conv2", f"{name}.bn2", y, len(x), addend=x)


def _module(b: Builder, p: Parameters, name: str, branches: list[Planes], outputs: int) -> list[Planes]:
    blocks = []
    for index, x in enumerate(branches):
        for block in range(HRNET_BLOCKS_PER_BRANCH):
            x = _basic_block(b, p, f"{name}.branches.{index}.{block}", x)
        blocks.append(x)
    return [_fused(b, p, f"{name}.fuse_layers", blocks, i) for i in range(outputs)]


def _fused(b: Builder, p: Parameters, name: str, branches: list[Planes], i: int) -> Planes:
    """The ReLU of branch i plus all others at its resolution; each step adds to the sum of those before."""
    total = branches[i]
    if i == 0:
        total = b.enlarge(f"{name}.0", raised(b, p, name, branches, 0))
        b.add(f"{name}.0", total, branches[0], Activation.RELU)
    elif i + 1 < len(branches):
        total = b.enlarge(f"{name}.{i}", raised(b, p, name, branches, i), total)
    for j in range(i):
        x = branches[j]
        for k in range(i - j - 1):
            x = _sequence(b, p, f"{name}.{i}.{j}.{k}", x, len(x))
        last = f"{name}.{i}.{j}.{i - j - 1}"
        activation = Activation.RELU if j == i - 1 else Activation.NONE
        total = _conv(b, p, f"{last}.0", f"{last}.1", x, len(total), activation, stride=2, addend=total)
    return total
