"""Compile ShuffleNetV2 (docs/spec/architecture.md, section 18)."""

from litehrnet.engine.builder import Builder
from litehrnet.engine.parameters import Parameters
from litehrnet.engine.program import Activation, Planes, shuffle
from litehrnet.engine.units import shuffle_unit
from litehrnet.variants import SHUFFLED_LAYERS


def shufflenet_v2(b: Builder, p: Parameters, image: Planes) -> Planes:
    """Compile the backbone; returns the features at 1/32 of the image."""
    x = b.convolution("backbone.conv1", image, p.block("backbone.conv1", (24, 3, 3, 3)), stride=2)
    x = b.max_pool("backbone.maxpool", x)
    for layer, (units, channels) in enumerate(SHUFFLED_LAYERS):
        name = f"backbone.layers.{layer}"
        x = _downsampling_unit(b, p, f"{name}.0", x, channels // 2)
        for unit in range(1, units):
            x = shuffle_unit(b, p, f"{name}.{unit}", x)
    last = f"backbone.layers.{len(SHUFFLED_LAYERS)}"
    return b.pointwise(last, x, p.block(last, (1024, len(x), 1, 1)), Activation.RELU)


def _downsampling_unit(b: Builder, p: Parameters, name: str, x: Planes, half: int) -> Planes:
    first, second, third = (f"{name}.branch2.{layer}" for layer in range(3))
    relu = Activation.RELU
    left = b.depthwise(f"{name}.branch1.0", x, p.block(f"{name}.branch1.0", (len(x), 1, 3, 3)), stride=2)
    left = b.pointwise(f"{name}.branch1.1", left, p.block(f"{name}.branch1.1", (half, len(x), 1, 1)), relu)
    right = b.pointwise(first, x, p.block(first, (half, len(x), 1, 1)), relu)
    right = b.depthwise(second, right, p.block(second, (half, 1, 3, 3)), stride=2)
    return shuffle(left, b.pointwise(third, right, p.block(third, (half, half, 1, 1)), relu))
