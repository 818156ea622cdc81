"""The four networks of the paper as one small table, and the image sizes they accept; without torch.

Source: table 1 of the paper, and docs/spec/architecture.md, sections 2 and 10.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from litehrnet.errors import UserError

STEM_CHANNELS = 32
UNITS_PER_MODULE = 2
CROSS_RESOLUTION_REDUCTION = 8
SPATIAL_REDUCTION = 4

DEFAULT_INPUT_SIZE_WH = (192, 256)
"""Default (width, height) of the crops: the paper's most common input size."""


@dataclass(frozen=True)
class Unit:
    """The block that a module repeats.

    ``models.lite_hrnet`` maps units to PyTorch blocks, ``engine.units`` to steps of the native engine. A unit may be
    missing from the second map: PyTorch then runs its networks.

    Attributes:
        name: Name in configuration files, in lower case.
        marker: Part of a parameter name that only networks with this unit have.
    """

    name: str
    marker: str


LITE = Unit("lite", "cross_resolution_weighting")
"""Conditional channel weighting, figure 4 (b) of the paper."""

NAIVE = Unit("naive", ".branch2.")
"""The shuffle unit, figure 4 (a) of the paper."""

UNITS = (LITE, NAIVE)


@dataclass(frozen=True)
class Variant:
    """One network of the family.

    Attributes:
        name: Name on the command line.
        unit: The block that a module repeats.
        channels: Channels of the four branches, highest resolution (1/4 of the image) first.
        modules: Number of modules in the stages of two, three and four branches.
    """

    name: str
    unit: Unit
    channels: tuple[int, int, int, int]
    modules: tuple[int, int, int]


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("lite_hrnet_18", LITE, (40, 80, 160, 320), (2, 4, 2)),
        Variant("lite_hrnet_30", LITE, (40, 80, 160, 320), (3, 8, 3)),
        # The mmpose configs give this network a head of 40 channels, which cannot run: the highest-resolution
        # branch has 30. A head of 30 reproduces the paper's parameters and FLOPs.
        Variant("naive_lite_hrnet_18", NAIVE, (30, 60, 120, 240), (2, 4, 2)),
        Variant("wider_naive_lite_hrnet_18", NAIVE, (40, 80, 160, 320), (2, 4, 2)),
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
    units = [unit for unit in UNITS if any(unit.marker in name for name in shapes)]
    width = shapes.get("backbone.transition0.0.2.weight", (0,))[0]
    modules = tuple(
        len({name.split(".")[2] for name in shapes if name.startswith(f"backbone.stage{stage}.")}) for stage in range(3)
    )
    for variant in VARIANTS.values():
        if ([variant.unit], variant.channels[0], variant.modules) == (units, width, modules):
            return variant
    return None


def describe_weights(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Describe the network that the shapes belong to, as the end of a sentence."""
    width = shapes.get("backbone.transition0.0.2.weight", (0,))[0]
    variant = identify_variant(shapes)
    if variant is not None:
        return f"these weights have {width} channels in branch 0 and {variant.modules} modules: {variant.name}"
    if width:
        return f"these weights have {width} channels in branch 0, like no network of {', '.join(VARIANTS)}"
    return "these weights belong to another network family"
