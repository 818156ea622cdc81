"""ShuffleNetV2 as a backbone: images to features at 1/32 of their resolution.

Sources: Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", ECCV 2018;
docs/spec/architecture.md, section 18. Attribute names follow the parameter names of MMPose's checkpoints.
"""

from torch import Tensor, nn

from litehrnet.models.blocks import ConvBlock, ShuffleUnit, channel_shuffle, conv3, depthwise, pointwise
from litehrnet.variants import SHUFFLED_LAYERS


class DownsamplingUnit(nn.Module):
    """First unit of a layer: two paths of stride 2 through all input channels, shuffled."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch1 = nn.Sequential(
            ConvBlock(depthwise(in_channels, stride=2)),
            ConvBlock(pointwise(in_channels, half), activation=nn.ReLU),
        )
        self.branch2 = nn.Sequential(
            ConvBlock(pointwise(in_channels, half), activation=nn.ReLU),
            ConvBlock(depthwise(half, stride=2)),
            ConvBlock(pointwise(half, half), activation=nn.ReLU),
        )

    def forward(self, x: Tensor) -> Tensor:
        return channel_shuffle(self.branch1(x), self.branch2(x))


class ShuffleNetV2(nn.Module):
    """ShuffleNetV2 of the usual width."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvBlock(conv3(3, 24, stride=2), activation=nn.ReLU)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layers = nn.Sequential()
        in_channels = 24
        for units, channels in SHUFFLED_LAYERS:
            others = [ShuffleUnit(channels) for _ in range(units - 1)]
            self.layers.append(nn.Sequential(DownsamplingUnit(in_channels, channels), *others))
            in_channels = channels
        self.layers.append(ConvBlock(pointwise(in_channels, 1024), activation=nn.ReLU))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layers(self.maxpool(self.conv1(images)))
        return features
