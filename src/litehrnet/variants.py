"""All networks as one small table, and the image sizes they accept; without torch.

The four networks of the paper, its successor Dite-HRNet, and the networks that the paper compares itself with. Source:
table 1 of the paper, and docs/spec/architecture.md, sections 2, 10 and 16 to 21.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from litehrnet.errors import UserError

STEM_CHANNELS = 32
UNITS_PER_MODULE = 2
CROSS_RESOLUTION_REDUCTION = 8
SPATIAL_REDUCTION = 4
SQUEEZE_REDUCTION = 4
DENSE_REDUCTION = 8
"""Channels per hidden channel of Dite-HRNet's dense context."""
SPLITS = ((1, 4, 4), (1, 4, 4), (2, 2, 8), (4, 1, 8))
"""Dite-HRNet's (groups of channels, kernels of each dynamic convolution, reduction of the global context) by branch."""

DEFAULT_INPUT_SIZE_WH = (192, 256)
"""Default (width, height) of the crops: the paper's most common input size."""


@dataclass(frozen=True)
class Unit:
    """The block that a network repeats.

    ``models.backbones`` maps units to PyTorch backbones, ``engine.units`` and ``engine.compiler`` to steps of the
    native engine. A unit may be missing there: PyTorch and ONNX Runtime then run its networks.

    Attributes:
        name: Name in configuration files, in lower case.
        marker: Part of a parameter name that only networks with this unit have.
        widths: Name of a parameter array; its first dimension is ``channels[0]`` of the network's variant.
    """

    name: str
    marker: str
    widths: str = "backbone.transition0.0.2.weight"


LITE = Unit("lite", "cross_resolution_weighting")
"""Conditional channel weighting, figure 4 (b) of the paper."""

NAIVE = Unit("naive", "stage0.0.layers.0.0.branch2.")
"""The shuffle unit, figure 4 (a) of the paper."""

DYNAMIC = Unit("dynamic", ".dcm.")
"""Dynamic split convolution and context modeling, of Dite-HRNet."""

BASIC = Unit("basic", ".branches.0.0.conv1.", "backbone.transition1.0.0.weight")
"""Residual blocks of 3x3 convolutions, of HRNet."""

INVERTED = Unit("inverted", "backbone.layer7.0.conv.2.", "backbone.conv2.conv.weight")
"""Inverted residuals, of MobileNetV2."""

SEARCHED = Unit("searched", "backbone.layer16.conv.", "backbone.layer16.conv.weight")
"""Inverted residuals with squeeze-excitation and h-swish, of MobileNetV3."""

SHUFFLED = Unit("shuffled", "backbone.layers.0.0.branch1.", "backbone.layers.3.conv.weight")
"""Shuffle units and downsampling units, of ShuffleNetV2."""

UNITS = (LITE, NAIVE, DYNAMIC, BASIC, INVERTED, SEARCHED, SHUFFLED)


INVERTED_LAYERS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""(expansion, channels, units, stride of the first unit) of the layers of MobileNetV2."""

SEARCHED_LAYERS = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
)
"""(kernel size, hidden channels, channels, squeeze-excitation, h-swish in place of ReLU, stride) of the units of
MobileNetV3."""

SHUFFLED_LAYERS = ((4, 116), (8, 232), (4, 464))
"""(units, channels) of the layers of ShuffleNetV2."""

HRNET_STEM_CHANNELS = 64
HRNET_BOTTLENECK_CHANNELS = 32
HRNET_LAYER1_CHANNELS = 128
HRNET_BLOCKS_PER_BRANCH = 2

DECONVOLUTION_CHANNELS = 256
"""Channels of the transposed convolutions of the networks that end at 1/32."""


@dataclass(frozen=True)
class Variant:
    """One network.

    Attributes:
        name: Name on the command line.
        unit: The block that the network repeats.
        channels: Channels of the branches, highest resolution first; of a network without branches, those of its
            features.
        modules: Number of modules in the stages of two, three and four branches; empty where the unit fixes the
            layers.
        feature_stride: Pixels of the image per cell of the features: 4, or 32 for networks whose head enlarges them.
    """

    name: str
    unit: Unit
    channels: tuple[int, ...]
    modules: tuple[int, ...] = ()
    feature_stride: int = 4


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("lite_hrnet_18", LITE, (40, 80, 160, 320), (2, 4, 2)),
        Variant("lite_hrnet_30", LITE, (40, 80, 160, 320), (3, 8, 3)),
        # The mmpose configs give this network a head of 40 channels, which cannot run: the highest-resolution
        # branch has 30. A head of 30 reproduces the paper's parameters and FLOPs.
        Variant("naive_lite_hrnet_18", NAIVE, (30, 60, 120, 240), (2, 4, 2)),
        Variant("wider_naive_lite_hrnet_18", NAIVE, (40, 80, 160, 320), (2, 4, 2)),
        Variant("dite_hrnet_18", DYNAMIC, (40, 80, 160, 320), (2, 4, 2)),
        Variant("dite_hrnet_30", DYNAMIC, (40, 80, 160, 320), (3, 8, 3)),
        Variant("small_hrnet_w16", BASIC, (16, 32, 64, 128)),
        Variant("mobilenetv2", INVERTED, (1280,), feature_stride=32),
        Variant("mobilenetv3", SEARCHED, (960,), feature_stride=32),
        Variant("shufflenetv2", SHUFFLED, (1024,), feature_stride=32),
    )
}


def find_variant(name: str) -> Variant:
    """Look up a variant by name.

    Raises:
        UserError: The name is unknown.
    """
    if name not in VARIANTS:
        raise UserError(f"{name}: unknown network (expected one of {', '.join(VARIANTS)})")
    return VARIANTS[name]


def accepts_side(pixels: int) -> bool:
    """Return whether an image side fits every fusion: a quarter of it, rounded up, is divisible by 8."""
    return pixels > 0 and -(-pixels // 4) % 8 == 0


def check_input_size(width: int, height: int) -> None:
    """Refuse image sizes that the network does not accept, and name the nearest ones that it does.

    Raises:
        UserError: A side is neither a multiple of 32 nor 1 to 3 pixels short of one.
    """
    if accepts_side(width) and accepts_side(height):
        return
    smaller = (_multiple_of_32_below(width), _multiple_of_32_below(height))
    larger = (-(-max(width, 1) // 32) * 32, -(-max(height, 1) // 32) * 32)
    sizes = " and ".join(f"{w}x{h}" for w, h in dict.fromkeys((smaller, larger)))
    raise UserError(
        f"input size {width}x{height} (width x height): the branches would differ in size where they are fused "
        f"(expected multiples of 32; nearest: {sizes})"
    )


def heatmap_size(width: int, height: int) -> tuple[int, int]:
    """Return (width, height) of the heatmaps for an image of ``width`` x ``height``: a quarter, rounded up."""
    return -(-width // 4), -(-height // 4)


def _multiple_of_32_below(pixels: int) -> int:
    return max(32, pixels // 32 * 32)


def identify_variant(shapes: Mapping[str, tuple[int, ...]]) -> Variant | None:
    """Find the variant whose parameter names and widths match ``shapes``, or None.

    Args:
        shapes: Array shapes by parameter name (docs/spec/architecture.md, section 11).
    """
    modules = tuple(
        len({name.split(".")[2] for name in shapes if name.startswith(f"backbone.stage{stage}.")}) for stage in range(3)
    )
    unit, width = _unit_and_width(shapes)
    for variant in VARIANTS.values():
        if (variant.unit, variant.channels[0]) == (unit, width) and variant.modules in ((), modules):
            return variant
    return None


def _unit_and_width(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Unit | None, int]:
    """Find the only unit whose marker is in the names, or None, and the channels of branch 0 or of the features."""
    units = [unit for unit in UNITS if any(unit.marker in name for name in shapes)]
    unit = units[0] if len(units) == 1 else None
    return unit, shapes.get((unit or LITE).widths, (0,))[0]


def describe_weights(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Describe the network that the shapes belong to, as the end of a sentence."""
    unit, width = _unit_and_width(shapes)
    variant = identify_variant(shapes)
    where = f"{width} channels in branch 0" if unit is None or unit.widths == LITE.widths else f"{width} channels"
    if variant is not None:
        modules = f" and {variant.modules} modules" if variant.modules else ""
        return f"these weights have {where}{modules}: {variant.name}"
    if width:
        return f"these weights have {where}, like no network of {', '.join(VARIANTS)}"
    return "these weights belong to another network family"
