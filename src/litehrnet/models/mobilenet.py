"""MobileNetV2 and MobileNetV3 as backbones: images to features at 1/32 of their resolution.

Sources: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018; Howard et al., "Searching
for MobileNetV3", ICCV 2019; docs/spec/architecture.md, sections 17 and 19. Attribute names follow the parameter names
of MMPose's checkpoints.
"""

from torch import Tensor, nn

from litehrnet.models.blocks import ConvBlock, SpatialWeighting, conv3, depthwise, pointwise
from litehrnet.variants import INVERTED_LAYERS, SEARCHED_LAYERS, SQUEEZE_REDUCTION


class InvertedResidual(nn.Module):
    """Unit of MobileNetV2: expansion, depthwise convolution, linear projection, and the input if sizes agree."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        expand = [ConvBlock(pointwise(in_channels, hidden), activation=nn.ReLU6)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *expand,
            ConvBlock(depthwise(hidden, stride=stride), activation=nn.ReLU6),
            ConvBlock(pointwise(hidden, out_channels)),
        )
        self.adds_input = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(x)
        return x + result if self.adds_input else result


class MobileNetV2(nn.Module):
    """MobileNetV2 of the usual width."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvBlock(conv3(3, 32, stride=2), activation=nn.ReLU6)
        self.layers = [f"layer{number}" for number in range(1, len(INVERTED_LAYERS) + 1)]
        in_channels = 32
        for name, (expansion, channels, units, stride) in zip(self.layers, INVERTED_LAYERS, strict=True):
            layer = nn.Sequential(InvertedResidual(in_channels, channels, stride, expansion))
            layer.extend(InvertedResidual(channels, channels, 1, expansion) for _ in range(units - 1))
            self.add_module(name, layer)
            in_channels = channels
        self.conv2 = ConvBlock(pointwise(in_channels, 1280), activation=nn.ReLU6)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv1(images)
        for name in self.layers:
            x = getattr(self, name)(x)
        features: Tensor = self.conv2(x)
        return features


class SqueezeExcitation(SpatialWeighting):
    """One weight per channel, with a piecewise linear gate in place of the sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, SQUEEZE_REDUCTION)

    def gate(self, x: Tensor) -> Tensor:
        """Convert a number of any size to a weight, 0..1; the published code adds 1 and halves."""
        return ((x + 1) / 2).clamp(0, 1)


class SearchedUnit(nn.Module):
    """Unit of MobileNetV3, with the activated projection of the published code."""

    def __init__(
        self,
        in_channels: int,
        size: int,
        hidden: int,
        channels: int,
        squeezed: bool,
        activation: type[nn.Module],
        stride: int,
    ) -> None:
        super().__init__()
        self.expand_conv = ConvBlock(pointwise(in_channels, hidden), activation=activation)
        self.depthwise_conv = ConvBlock(depthwise(hidden, size=size, stride=stride), activation=activation)
        self.se = SqueezeExcitation(hidden) if squeezed else nn.Identity()
        self.linear_conv = ConvBlock(pointwise(hidden, channels), activation=activation)
        self.adds_input = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear_conv(self.se(self.depthwise_conv(self.expand_conv(x))))
        return x + result if self.adds_input else result


class MobileNetV3(nn.Module):
    """MobileNetV3 "large" in the published layout, and a last 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvBlock(conv3(3, 16, stride=2), activation=nn.Hardswish)
        self.layers = [f"layer{number}" for number in range(1, len(SEARCHED_LAYERS) + 2)]
        in_channels = 16
        for name, (size, hidden, channels, squeezed, swish, stride) in zip(
            self.layers[:-1], SEARCHED_LAYERS, strict=True
        ):
            activation = nn.Hardswish if swish else nn.ReLU
            self.add_module(name, SearchedUnit(in_channels, size, hidden, channels, squeezed, activation, stride))
            in_channels = channels
        self.add_module(self.layers[-1], ConvBlock(pointwise(in_channels, 960), activation=nn.Hardswish))

    def forward(self, images: Tensor) -> Tensor:
        x: Tensor = self.conv1(images)
        for name in self.layers:
            x = getattr(self, name)(x)
        return x
