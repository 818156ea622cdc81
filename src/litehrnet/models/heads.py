"""Heads: iterative head, and heatmaps, classes of pixels, or boxes (docs/spec/architecture.md, sections 8 and 15)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from litehrnet.detection.objects import MAPS
from litehrnet.models.blocks import ConvBlock, depthwise, pointwise


class Projection(nn.Module):
    """Depthwise 3x3 and pointwise convolution, each with batch normalization; ReLU only after the latter."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvBlock(depthwise(in_channels))
        self.pointwise_conv = ConvBlock(pointwise(in_channels, out_channels), relu=True)

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return projected


class IterativeHead(nn.Module):
    """From the lowest resolution upward: project, enlarge, add to the next branch; returns the highest resolution."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        upward = list(reversed(channels))
        self.projects = nn.ModuleList(Projection(a, b) for a, b in zip(upward, [*upward[1:], upward[-1]], strict=True))

    def forward(self, branches: list[Tensor]) -> Tensor:
        lowest, *higher = reversed(branches)
        z: Tensor = self.projects[0](lowest)
        for x, project in zip(higher, self.projects[1:], strict=True):
            # Corners aligned, as published: the enlarging is not by exactly two.
            z = project(x + F.interpolate(z, size=x.shape[-2:], mode="bilinear", align_corners=True))
        return z


class HeatmapHead(nn.Module):
    """One 1x1 convolution with bias: one heatmap per keypoint, no activation."""

    def __init__(self, in_channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.final_layer = pointwise(in_channels, num_keypoints, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        heatmaps: Tensor = self.final_layer(x)
        return heatmaps


class SegmentationHead(nn.Module):
    """One 1x1 convolution with bias: one map of scores per class, no activation."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.classifier = pointwise(in_channels, num_classes, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(x)
        return scores


class DetectionHead(nn.Module):
    """One 1x1 convolution with bias: the five maps of ``litehrnet.detection``, no activation."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.box_layer = pointwise(in_channels, MAPS, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.box_layer(x)
        return maps
