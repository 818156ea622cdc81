"""Compile MobileNetV2 and MobileNetV3 (docs/spec/architecture.md, sections 17 and 19)."""

from litehrnet.engine.builder import Builder
from litehrnet.engine.parameters import Parameters
from litehrnet.engine.program import ABSENT, Activation, Planes
from litehrnet.engine.units import spatial_weighting
from litehrnet.variants import INVERTED_LAYERS, SEARCHED_LAYERS, SQUEEZE_REDUCTION


def mobilenet_v2(b: Builder, p: Parameters, image: Planes) -> Planes:
    """Compile the backbone; returns the features at 1/32 of the image."""
    x = b.convolution("backbone.conv1", image, p.block("backbone.conv1", (32, 3, 3, 3)), Activation.RELU6, stride=2)
    for layer, (expansion, channels, units, first_stride) in enumerate(INVERTED_LAYERS, start=1):
        for unit in range(units):
            name, stride = f"backbone.layer{layer}.{unit}.conv", first_stride if unit == 0 else 1
            x = _inverted_residual(b, p, name, x, channels, stride, expansion)
    return b.pointwise("backbone.conv2", x, p.block("backbone.conv2", (1280, len(x), 1, 1)), Activation.RELU6)


def _inverted_residual(
    b: Builder, p: Parameters, name: str, x: Planes, channels: int, stride: int, expansion: int
) -> Planes:
    hidden, layer, y = len(x) * expansion, 0, x
    if expansion > 1:
        y = b.pointwise(f"{name}.0", x, p.block(f"{name}.0", (hidden, len(x), 1, 1)), Activation.RELU6)
        layer = 1
    depthwise = p.block(f"{name}.{layer}", (hidden, 1, 3, 3))
    y = b.depthwise(f"{name}.{layer}", y, depthwise, stride, Activation.RELU6)
    last = f"{name}.{layer + 1}"
    addend = x if stride == 1 and len(x) == channels else ABSENT
    out = None if addend is ABSENT else x
    return b.pointwise(last, y, p.block(last, (channels, hidden, 1, 1)), addend=addend, out=out)


def mobilenet_v3(b: Builder, p: Parameters, image: Planes) -> Planes:
    """Compile the backbone; returns the features at 1/32 of the image."""
    swish = Activation.HARD_SWISH
    x = b.convolution("backbone.conv1", image, p.block("backbone.conv1", (16, 3, 3, 3)), swish, stride=2)
    for layer, settings in enumerate(SEARCHED_LAYERS, start=1):
        x = _searched_unit(b, p, f"backbone.layer{layer}", x, *settings)
    name = f"backbone.layer{len(SEARCHED_LAYERS) + 1}"
    return b.pointwise(name, x, p.block(name, (960, len(x), 1, 1)), swish)


def _searched_unit(
    b: Builder,
    p: Parameters,
    name: str,
    x: Planes,
    size: int,
    hidden: int,
    channels: int,
    squeezed: bool,
    swish: bool,
    stride: int,
) -> Planes:
    """Compile one unit. A separate step adds the input, because the last product has an activation."""
    activation = Activation.HARD_SWISH if swish else Activation.RELU
    expand, depthwise, linear = (f"{name}.{layer}_conv" for layer in ("expand", "depthwise", "linear"))
    y = b.pointwise(expand, x, p.block(expand, (hidden, len(x), 1, 1)), activation)
    means = b.new(1, 1, hidden) if squeezed else ABSENT
    y = b.depthwise(depthwise, y, p.block(depthwise, (hidden, 1, size, size)), stride, activation, means=means)
    if squeezed:
        spatial_weighting(b, p, f"{name}.se", y, means, SQUEEZE_REDUCTION, Activation.HARD_SIGMOID)
    y = b.pointwise(linear, y, p.block(linear, (channels, hidden, 1, 1)), activation)
    if stride == 1 and len(x) == channels:
        b.add(name, y, x)
    return y
