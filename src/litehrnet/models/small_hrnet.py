"""Small HRNet: parallel branches of dense convolutions; images to features at 1/4 of their resolution.

Sources: Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition", TPAMI 2021, and the small
configurations of its segmentation code; docs/spec/architecture.md, section 21. Attribute names follow the parameter
names of HRNet's checkpoints.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from litehrnet.models.blocks import conv3, pointwise, upward
from litehrnet.variants import (
    HRNET_BLOCKS_PER_BRANCH,
    HRNET_BOTTLENECK_CHANNELS,
    HRNET_LAYER1_CHANNELS,
    HRNET_STEM_CHANNELS,
    Variant,
)


class Bottleneck(nn.Module):
    """Residual block of a 1x1, a 3x3 and a 1x1 convolution, with a convolved shortcut."""

    def __init__(self, in_channels: int, hidden: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = pointwise(in_channels, hidden)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.conv2 = conv3(hidden, hidden)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.conv3 = pointwise(hidden, out_channels)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = nn.Sequential(pointwise(in_channels, out_channels), nn.BatchNorm2d(out_channels))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        result: Tensor = self.relu(self.bn3(self.conv3(y)) + self.downsample(x))
        return result


class BasicBlock(nn.Module):
    """Residual block of two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3(channels, channels)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        result: Tensor = self.relu(self.bn2(self.conv2(y)) + x)
        return result


class Branches(nn.ModuleList):
    """Basic blocks of every branch by itself."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__(nn.Sequential(*(BasicBlock(c) for _ in range(HRNET_BLOCKS_PER_BRANCH))) for c in channels)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        return [blocks(x) for blocks, x in zip(self, branches, strict=True)]


class PlainFuse(nn.ModuleList):
    """Sums over all branches at the resolutions of the first ``outputs`` branches, without the final ReLU.

    ``self[i][str(j)]`` is the map from branch j to output i, for i and j that differ.
    """

    def __init__(self, channels: Sequence[int], outputs: int) -> None:
        super().__init__(
            nn.ModuleDict({str(j): _fuse_map(channels, i, j) for j in range(len(channels)) if j != i})
            for i in range(outputs)
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        sums = []
        for i, maps in enumerate(self):
            assert isinstance(maps, nn.ModuleDict)
            total, *others = [x if j == i else maps[str(j)](x) for j, x in enumerate(branches)]
            for other in others:
                total = total + other
            sums.append(total)
        return sums


def _fuse_map(channels: Sequence[int], i: int, j: int) -> nn.Sequential:
    """Create the map from branch j to output i: enlarged, or halved i - j times with ReLU between the steps."""
    if j > i:
        return upward(channels[j], channels[i], factor=2 ** (j - i))
    steps = [_downward(channels[j], channels[j], nn.ReLU()) for _ in range(i - j - 1)]
    return nn.Sequential(*steps, _downward(channels[j], channels[i]))


def _downward(in_channels: int, out_channels: int, *following: nn.Module, stride: int = 2) -> nn.Sequential:
    return nn.Sequential(conv3(in_channels, out_channels, stride=stride), nn.BatchNorm2d(out_channels), *following)


class HRModule(nn.Module):
    """Module of a stage: basic blocks on each branch, then the exchange between the branches."""

    def __init__(self, channels: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.branches = Branches(channels)
        self.fuse_layers = PlainFuse(channels, outputs)
        self.relu = nn.ReLU()

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        return [self.relu(x) for x in self.fuse_layers(self.branches(branches))]


class SmallHRNet(nn.Module):
    """HRNet with one module per stage; the last one returns the highest resolution only."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        c0, c1, c2, c3 = variant.channels
        self.conv1 = conv3(3, HRNET_STEM_CHANNELS, stride=2)
        self.bn1 = nn.BatchNorm2d(HRNET_STEM_CHANNELS)
        self.conv2 = conv3(HRNET_STEM_CHANNELS, HRNET_STEM_CHANNELS, stride=2)
        self.bn2 = nn.BatchNorm2d(HRNET_STEM_CHANNELS)
        self.relu = nn.ReLU()
        self.layer1 = nn.Sequential(Bottleneck(HRNET_STEM_CHANNELS, HRNET_BOTTLENECK_CHANNELS, HRNET_LAYER1_CHANNELS))
        # Each name is the number of the branch that the transition creates; other branches are unchanged.
        self.transition1 = nn.ModuleDict(
            {
                "0": _downward(HRNET_LAYER1_CHANNELS, c0, nn.ReLU(), stride=1),
                "1": nn.Sequential(_downward(HRNET_LAYER1_CHANNELS, c1, nn.ReLU())),
            }
        )
        self.stage2 = nn.Sequential(HRModule((c0, c1), outputs=2))
        self.transition2 = nn.ModuleDict({"2": nn.Sequential(_downward(c1, c2, nn.ReLU()))})
        self.stage3 = nn.Sequential(HRModule((c0, c1, c2), outputs=3))
        self.transition3 = nn.ModuleDict({"3": nn.Sequential(_downward(c2, c3, nn.ReLU()))})
        self.stage4 = nn.Sequential(HRModule((c0, c1, c2, c3), outputs=1))

    def forward(self, images: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.layer1(self.relu(self.bn2(self.conv2(x))))
        branches = self.stage2([self.transition1["0"](x), self.transition1["1"](x)])
        branches = self.stage3([*branches, self.transition2["2"](branches[-1])])
        (features,) = self.stage4([*branches, self.transition3["3"](branches[-1])])
        result: Tensor = features
        return result
