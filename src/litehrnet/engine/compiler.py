"""Compile a network's named arrays to a program, with NumPy only.

Batch normalization is folded in float64. Splits, concatenations and shuffles of channels need no steps. A sum of 1x1
convolutions becomes one product, whose weights contain the doubled terms of the fusions. Terms that are enlarged are
summed at the lower resolution first. The network: docs/spec/architecture.md, sections 3 to 8.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.engine.builder import Builder
from litehrnet.engine.dite import dynamic_stem
from litehrnet.engine.fusion import fuse
from litehrnet.engine.mobilenet import mobilenet_v2, mobilenet_v3
from litehrnet.engine.parameters import Parameters
from litehrnet.engine.planning import plan_arena
from litehrnet.engine.program import Activation, Kind, Planes, Program, Step
from litehrnet.engine.shufflenet import shufflenet_v2
from litehrnet.engine.small_hrnet import small_hrnet
from litehrnet.engine.units import STEPS
from litehrnet.errors import UserError
from litehrnet.keypoints.crop import IMAGENET_MEAN, IMAGENET_STD
from litehrnet.variants import (
    BASIC,
    DECONVOLUTION_CHANNELS,
    DYNAMIC,
    INVERTED,
    SEARCHED,
    SHUFFLED,
    STEM_CHANNELS,
    Unit,
    Variant,
    check_input_size,
    heatmap_size,
)


def _features(b: Builder, p: Parameters, variant: Variant, x: Planes) -> Planes:
    return _head(b, p, _stages(b, p, variant, x))


BACKBONES: dict[Unit, Callable[[Builder, Parameters, Variant, Planes], Planes]] = {
    BASIC: small_hrnet,
    INVERTED: lambda b, p, _, image: mobilenet_v2(b, p, image),
    SEARCHED: lambda b, p, _, image: mobilenet_v3(b, p, image),
    SHUFFLED: lambda b, p, _, image: shufflenet_v2(b, p, image),
    DYNAMIC: lambda b, p, variant, image: _features(b, p, variant, dynamic_stem(b, p, image)),
}
"""Writes the steps of a backbone without the stem of Lite-HRNet, from the normalized image to the features."""


def is_compiled(unit: Unit) -> bool:
    """Whether the engine runs networks with this unit."""
    return unit in STEPS or unit in BACKBONES


class UnsupportedUnitError(UserError):
    """A network with a unit that the engine cannot compile."""


def compile_network(
    variant: Variant,
    arrays: Mapping[str, NDArray[Any]],
    input_size_wh: tuple[int, int],
    source: str,
    *,
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
    bgr: bool = False,
) -> Program:
    """Compile a network for images of one size.

    Args:
        variant: Network variant that the arrays belong to.
        arrays: Parameters and running statistics by name (docs/spec/architecture.md, section 11), for any number of
            keypoints or classes.
        input_size_wh: (width, height) of the images in pixels.
        source: Name of the weights, for messages.
        mean: Mean of R, G and B (0..1), subtracted from the image.
        std: Standard deviation of R, G and B (0..1); the difference is divided by it.
        bgr: Whether images have their channels in OpenCV's order.

    Returns:
        The program, its constants in float64.

    Raises:
        UnsupportedUnitError: The engine does not know the unit of the network.
        UserError: An array is missing, superfluous, of another shape or not finite; the network cannot take images of
            this size.
    """
    if not is_compiled(variant.unit):
        raise UnsupportedUnitError(
            f"{source}: the native engine does not support {variant.name} (PyTorch does, and ONNX Runtime after "
            "litehrnet export)"
        )
    check_input_size(*input_size_wh)
    p = Parameters(arrays, source)
    program = compile_parameters(variant, p, input_size_wh, _normalization(mean, std), bgr=bgr)
    p.check_all_taken()
    return program


def compile_parameters(
    variant: Variant, p: Parameters, input_size_wh: tuple[int, int], normalization: NDArray[np.float64], *, bgr: bool
) -> Program:
    """``compile_network`` for the arrays of ``p``, with the normalization as ``compile_stem`` expects it."""
    b = Builder()
    if variant.unit in BACKBONES:
        features = BACKBONES[variant.unit](b, p, variant, b.image(*input_size_wh, normalization, bgr=bgr))
    else:
        features = _features(b, p, variant, compile_stem(b, p, input_size_wh, normalization, bgr=bgr))
    if variant.feature_stride == 32:
        features = _deconvolutions(b, p, features)
    final = p.last_layer()
    heatmaps = b.pointwise(final, features, p.biased(final, p.rows(f"{final}.weight"), len(features)))
    steps, output, arena_floats = plan_arena(b.steps, heatmaps)
    return Program(input_size_wh, bgr, arena_floats, tuple(steps), output)


def _normalization(mean: tuple[float, float, float], std: tuple[float, float, float]) -> NDArray[np.float64]:
    """Two rows, factor and offset of R, G and B, that normalize levels of 0 to 255."""
    return np.stack([1 / (255 * np.array(std)), -np.array(mean) / np.array(std)])


def compile_stem(
    b: Builder, p: Parameters, input_size_wh: tuple[int, int], normalization: NDArray[np.float64], *, bgr: bool
) -> Planes:
    """The stem (docs/spec/architecture.md, section 3) as one step: nothing at full size leaves the caches.

    The constants are, in this order: factor and offset of the image's channels (2, 3), which normalize its levels
    before zeros are padded; weight and bias of the 3x3 convolution (32, 27); of the depthwise and 1x1 convolution of
    path A; of the expanding, depthwise and 1x1 convolution of path B.
    """
    width, height = input_size_wh
    half, name = STEM_CHANNELS // 2, "backbone.stem"
    weight, bias = p.block(f"{name}.conv1", (STEM_CHANNELS, 3, 3, 3))
    if bgr:
        normalization = normalization[:, ::-1]
        weight = weight.reshape(-1, 3, 9)[:, ::-1].reshape(weight.shape)
    layers = [
        p.block(f"{name}.branch1.0", (half, 1, 3, 3)),
        p.block(f"{name}.branch1.1", (half, half, 1, 1)),
        p.block(f"{name}.expand_conv", (STEM_CHANNELS, half, 1, 1)),
        p.block(f"{name}.depthwise_conv", (STEM_CHANNELS, 1, 3, 3)),
        p.block(f"{name}.linear_conv", (half, STEM_CHANNELS, 1, 1)),
    ]
    constants = (normalization, weight, bias, *(array for layer in layers for array in layer))
    out_width, out_height = heatmap_size(width, height)
    out = b.new(STEM_CHANNELS, out_height, out_width)
    b.steps.append(Step(Kind.STEM, name, (Planes(height, width, ()),), (out,), constants))
    return out


def _transition(b: Builder, p: Parameters, name: str, x: Planes, out_channels: int, stride: int) -> Planes:
    depthwise = p.folded(f"{name}.0", f"{name}.1", (len(x), 1, 3, 3))
    pointwise = p.folded(f"{name}.2", f"{name}.3", (out_channels, len(x), 1, 1))
    return b.pointwise(name, b.depthwise(name, x, depthwise, stride), pointwise, Activation.RELU)


def _stages(b: Builder, p: Parameters, variant: Variant, x: Planes) -> list[Planes]:
    """From the output of the stem to the four branches (docs/spec/architecture.md, sections 4 to 7)."""
    branches = [_transition(b, p, "backbone.transition0.0", x, variant.channels[0], stride=1)]
    for stage, modules in enumerate(variant.modules):
        new = stage + 1
        above = x if stage == 0 else branches[-1]
        name = f"backbone.transition{stage}.{new}.0"
        branches.append(_transition(b, p, name, above, variant.channels[new], stride=2))
        for module in range(modules):
            branches = _module(b, p, variant, f"backbone.stage{stage}.{module}", branches)
    return branches


def _module(b: Builder, p: Parameters, variant: Variant, name: str, branches: list[Planes]) -> list[Planes]:
    branches = STEPS[variant.unit](b, p, f"{name}.layers", branches)
    rectified = Activation.RELU if variant.unit == DYNAMIC else Activation.NONE
    return fuse(b, p, f"{name}.fuse_layers", branches, rectified)


def _head(b: Builder, p: Parameters, branches: list[Planes]) -> Planes:
    """The iterative head, from the lowest resolution to the highest (docs/spec/architecture.md, section 8.1)."""
    channels = [len(branch) for branch in branches]
    x = branches[-1]
    for index, out_channels in enumerate([*channels[-2::-1], channels[0]]):
        name = f"backbone.head_layer.projects.{index}"
        depthwise = p.block(f"{name}.depthwise_conv", (len(x), 1, 3, 3))
        pointwise = p.block(f"{name}.pointwise_conv", (out_channels, len(x), 1, 1))
        x = b.pointwise(name, b.depthwise(name, x, depthwise), pointwise, Activation.RELU)
        if index < 3:
            branch = branches[-2 - index]
            out = b.new_like(branch)
            b.steps.append(Step(Kind.ENLARGE_BILINEAR, name, (branch, x), (out,)))
            x = out
    return x


def _deconvolutions(b: Builder, p: Parameters, x: Planes) -> Planes:
    """Three transposed convolutions, from 1/32 to 1/4 of the image."""
    for index in (0, 3, 6):
        name = f"keypoint_head.deconv_layers.{index}"
        norm = f"keypoint_head.deconv_layers.{index + 1}"
        x = b.transposed(name, x, p.folded_transposed(name, norm, len(x), DECONVOLUTION_CHANNELS))
    return x
