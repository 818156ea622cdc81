"""Lite-HRNet: parallel branches of four resolutions; and Dite-HRNet, which has other blocks in the same frame.

Sources: Yu et al., "Lite-HRNet: A Lightweight High-Resolution Network", CVPR 2021, table 1;
docs/spec/architecture.md, sections 2, 4, 11 and 20. The paper's stages 2, 3 and 4 are named stage0, stage1 and
stage2, as in the reference implementation's checkpoints.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from litehrnet.models.blocks import (
    ConditionalChannelWeighting,
    Fuse,
    ShuffleUnits,
    Stem,
    depthwise,
    pointwise,
)
from litehrnet.models.dynamic_blocks import DynamicStem, DynamicUnit
from litehrnet.models.heads import IterativeHead
from litehrnet.variants import DYNAMIC, LITE, NAIVE, STEM_CHANNELS, UNITS_PER_MODULE, Unit, Variant


def _lite_units(channels: Sequence[int]) -> nn.Module:
    return nn.Sequential(*(ConditionalChannelWeighting(channels) for _ in range(UNITS_PER_MODULE)))


def _naive_units(channels: Sequence[int]) -> nn.Module:
    return ShuffleUnits(channels, UNITS_PER_MODULE)


def _dynamic_units(channels: Sequence[int]) -> nn.Module:
    return nn.Sequential(*(DynamicUnit(channels) for _ in range(UNITS_PER_MODULE)))


@dataclass(frozen=True)
class Blocks:
    """Blocks in which the networks of this frame differ.

    Attributes:
        units: Creates the units of one module, for the channels of its branches.
        stem: Creates the stem, for the channels of the image and of its result.
        rectified: See ``Fuse``.
    """

    units: Callable[[Sequence[int]], nn.Module]
    stem: Callable[[int, int], nn.Module] = Stem
    rectified: bool = False


BLOCKS = {
    LITE: Blocks(_lite_units),
    NAIVE: Blocks(_naive_units),
    DYNAMIC: Blocks(_dynamic_units, DynamicStem, rectified=True),
}


class FusedModule(nn.Module):
    """Module that a stage repeats: two units on all branches, then the exchange between the branches."""

    def __init__(self, unit: Unit, channels: Sequence[int]) -> None:
        super().__init__()
        self.layers = BLOCKS[unit].units(channels)
        self.fuse_layers = Fuse(channels, BLOCKS[unit].rectified)
        self.activation = nn.ReLU()

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        return [self.activation(x) for x in self.fuse_layers(self.layers(branches))]


def _transition(in_channels: int, out_channels: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        depthwise(in_channels, stride=stride),
        nn.BatchNorm2d(in_channels),
        pointwise(in_channels, out_channels),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class LiteHRNet(nn.Module):
    """Backbone with its iterative head: images to features at 1/4 of their resolution.

    Args:
        variant: Entry of ``litehrnet.variants`` with a unit of ``BLOCKS``.

    Shapes:
        images float (n, 3, H, W) -> features float (n, variant.channels[0], ceil(H/4), ceil(W/4)).
    """

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        channels, unit = variant.channels, variant.unit
        self.stem = BLOCKS[unit].stem(3, STEM_CHANNELS)
        # Each name is the number of the branch that the transition creates; other branches are unchanged.
        self.transition0 = nn.ModuleDict(
            {
                "0": _transition(STEM_CHANNELS, channels[0], stride=1),
                "1": nn.Sequential(_transition(STEM_CHANNELS, channels[1], stride=2)),
            }
        )
        self.stage0 = nn.Sequential(*(FusedModule(unit, channels[:2]) for _ in range(variant.modules[0])))
        self.transition1 = nn.ModuleDict({"2": nn.Sequential(_transition(channels[1], channels[2], stride=2))})
        self.stage1 = nn.Sequential(*(FusedModule(unit, channels[:3]) for _ in range(variant.modules[1])))
        self.transition2 = nn.ModuleDict({"3": nn.Sequential(_transition(channels[2], channels[3], stride=2))})
        self.stage2 = nn.Sequential(*(FusedModule(unit, channels) for _ in range(variant.modules[2])))
        self.head_layer = IterativeHead(channels)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        branches = self.stage0([self.transition0["0"](x), self.transition0["1"](x)])
        branches = self.stage1([*branches, self.transition1["2"](branches[-1])])
        branches = self.stage2([*branches, self.transition2["3"](branches[-1])])
        features: Tensor = self.head_layer(branches)
        return features
