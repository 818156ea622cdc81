"""The four published networks as one small table, and the image sizes they take; without torch.

Source: table 1 of the paper, and docs/spec/architecture.md, sections 2 and 10.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from litehrnet.errors import UserError

STEM_CHANNELS = 32

DEFAULT_INPUT_SIZE_WH = (192, 256)
"""(width, height) of the crops where nothing says it: the published networks' most usual one."""


@dataclass(frozen=True)
class Variant:
    """One network of the family.

    Attributes:
        name: As it is called on the command line.
        unit: What a module repeats: ``lite`` (conditional channel weighting, figure 4 (b) of the paper)
            or ``naive`` (the shuffle unit, figure 4 (a)).
        channels: Channels of the four branches, highest resolution (1/4 of the image) first.
        modules: Modules in the stages of two, three and four branches.
    """

    name: str
    unit: Literal["lite", "naive"]
    channels: tuple[int, int, int, int]
    modules: tuple[int, int, int]


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("lite_hrnet_18", "lite", (40, 80, 160, 320), (2, 4, 2)),
        Variant("lite_hrnet_30", "lite", (40, 80, 160, 320), (3, 8, 3)),
        # The published configurations give this network a head of 40 channels, which cannot run: the
        # highest-resolution branch has 30, and 30 reproduces the published parameters and FLOPs.
        Variant("naive_lite_hrnet_18", "naive", (30, 60, 120, 240), (2, 4, 2)),
        Variant("wider_naive_lite_hrnet_18", "naive", (40, 80, 160, 320), (2, 4, 2)),
    )
}


def find_variant(name: str) -> Variant:
    """The variant called ``name``.

    Raises:
        UserError: There is none.
    """
    if name not in VARIANTS:
        raise UserError(f"{name}: no such network (expected one of {', '.join(VARIANTS)})")
    return VARIANTS[name]


def accepts_side(pixels: int) -> bool:
    """Whether an image side of ``pixels`` goes through every fusion: 1/4 of it, rounded up, divides by 8."""
    return pixels > 0 and -(-pixels // 4) % 8 == 0


def check_input_size(width: int, height: int) -> None:
    """Refuse image sizes the network cannot take, naming the nearest ones that it can.

    Raises:
        UserError: A side is not a multiple of 32 (nor 1 to 3 pixels short of one).
    """
    if accepts_side(width) and accepts_side(height):
        return
    smaller = (_multiple_of_32_below(width), _multiple_of_32_below(height))
    larger = (-(-max(width, 1) // 32) * 32, -(-max(height, 1) // 32) * 32)
    sizes = " and ".join(f"{w}x{h}" for w, h in dict.fromkeys((smaller, larger)))
    raise UserError(
        f"input size {width}x{height} (width x height): the branches would not meet in the fusions; "
        f"both sides must be multiples of 32 (nearest: {sizes})"
    )


def heatmap_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) of the heatmaps for an image of ``width`` x ``height``: a quarter, rounded up."""
    return -(-width // 4), -(-height // 4)


def _multiple_of_32_below(pixels: int) -> int:
    return max(32, pixels // 32 * 32)


def identify_variant(shapes: Mapping[str, tuple[int, ...]]) -> Variant | None:
    """The variant whose published parameter names and widths ``shapes`` has, or None where none fits.

    Args:
        shapes: Array shapes by parameter name (docs/spec/architecture.md, section 11).
    """
    unit: Literal["lite", "naive"] = "lite" if any("cross_resolution_weighting" in name for name in shapes) else "naive"
    width = shapes.get("backbone.transition0.0.2.weight", (0,))[0]
    modules = tuple(
        len({name.split(".")[2] for name in shapes if name.startswith(f"backbone.stage{stage}.")}) for stage in range(3)
    )
    for variant in VARIANTS.values():
        if (variant.unit, variant.channels[0], variant.modules) == (unit, width, modules):
            return variant
    return None


def describe_weights(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What the shapes say about the network they belong to, as the end of a sentence."""
    width = shapes.get("backbone.transition0.0.2.weight", (0,))[0]
    variant = identify_variant(shapes)
    if variant is not None:
        return f"these weights have {width} channels in branch 0 and {variant.modules} modules: {variant.name}"
    if width:
        return f"these weights have {width} channels in branch 0, like no network of {', '.join(VARIANTS)}"
    return "these weights are of another network family"
